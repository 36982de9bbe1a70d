import ArgumentParser

/// Addresses, the directory and who may call.
struct ServerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("gRPC: host:port or unix:path. Port 0 takes a free one.", valueName: "address"))
  var listen: String?
  @Option(
    help: ArgumentHelp("HTTP: /metrics, /livez, /readyz, and the API on a router. none is off.", valueName: "address"))
  var httpListen: String?
  @Option(
    help: ArgumentHelp(
      "The directory: redis://, redis-cluster:// or redis-sentinel:// with hosts, or unix:///path.", valueName: "url"))
  var redis: String?
  @Option(help: ArgumentHelp("How long running requests may go on after SIGTERM.", valueName: "time"))
  var drainTimeout: String?
  @Option(help: ArgumentHelp("Standing still for this long fails /livez (60s).", valueName: "time"))
  var livenessTimeout: String?
  @Option(help: ArgumentHelp("How long a silent peer may take to say that it lives (2s).", valueName: "time"))
  var probeTimeout: String?
  @Option(help: ArgumentHelp("Token that gRPC callers must present.", valueName: "token"))
  var authToken: String?
  @Option(help: ArgumentHelp("This server's certificate chain, PEM; turns TLS on.", valueName: "file"))
  var tlsCertificate: String?
  @Option(help: ArgumentHelp("The certificate's private key, PEM.", valueName: "file"))
  var tlsKey: String?
  @Option(
    help: ArgumentHelp(
      "Authorities whose certificates are trusted, PEM; callers must then have one.", valueName: "file"))
  var tlsCa: String?
}
