import Directory
import GRPCTransport
import PrefillServer
import ServingTypes

/// What a worker is, where it answers, and how it ends.
public struct WorkerConfiguration: Sendable {
  public var id: WorkerID
  public var role: WorkerRole
  /// The model's name, as requests give it.
  public var model: String
  public var incarnation: Incarnation
  /// In gRPC's syntax, for example `127.0.0.1:0` or `unix:/path`.
  public var listen: String
  /// The target at which others reach this worker; nil is the address that was bound.
  public var advertise: String?
  public var server: LibGRPCServerTransport.Configuration
  /// Shared by all of a cluster's workers and routers; nil lets anybody call.
  public var authToken: String?
  public var decode: DecodeConfiguration
  public var announcer: AnnouncerConfiguration
  /// How long a receiver may take nothing while lent blocks wait for it.
  public var sendStallTimeout: Duration
  /// How the worker proves that it works before it calls itself ready; nil takes it for granted.
  public var selfTest: SelfTestConfiguration?
  /// How old the engine's last sign of life may be, beyond what its step is expected to take, before only a restart helps.
  public var livenessTimeout: Duration
  /// How long running streams may go on once the worker drains.
  public var drainTimeout: Duration
  /// How long a worker that drains stays at least, so that routers hear of it.
  public var drainNotice: Duration

  /// How long before the end of `drainTimeout` a stream that still runs is given up, so that it goes on elsewhere.
  public var moveNotice: Duration { min(.seconds(5), drainTimeout / 4) }

  public init(
    id: WorkerID, role: WorkerRole, model: String, incarnation: Incarnation = .random(),
    listen: String = "127.0.0.1:0", advertise: String? = nil, server: LibGRPCServerTransport.Configuration? = nil,
    authToken: String? = nil, decode: DecodeConfiguration = DecodeConfiguration(),
    announcer: AnnouncerConfiguration = AnnouncerConfiguration(), drainTimeout: Duration = .seconds(30),
    drainNotice: Duration = .milliseconds(200), sendStallTimeout: Duration = .seconds(60),
    selfTest: SelfTestConfiguration? = nil, livenessTimeout: Duration = .seconds(60)
  ) {
    self.id = id
    self.role = role
    self.model = model
    self.incarnation = incarnation
    self.listen = listen
    self.advertise = advertise
    var defaults = LibGRPCServerTransport.Configuration()
    // Blocks leave in messages of megabytes.
    if role.servesPrefill { defaults.http2 = .bulk }
    self.server = server ?? defaults
    self.authToken = authToken
    self.decode = decode
    self.announcer = announcer
    self.drainTimeout = drainTimeout
    self.drainNotice = drainNotice
    self.sendStallTimeout = sendStallTimeout
    self.selfTest = selfTest
    self.livenessTimeout = livenessTimeout
  }
}
