import Foundation
import GRPCTransport

/// Throw-away certificates: an authority, and what it signs.
final class TestCertificates: Sendable {
  let folder: String

  static let isPossible = (try? openssl(in: "/", ["version"])) != nil

  init() throws {
    folder = NSTemporaryDirectory() + "baton-tls-\(UInt64.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Self.openssl(
      in: folder,
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem",
      ])
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  var authority: String { get throws { try text("authority.pem") } }

  /// A certificate for one name, signed by the authority.
  func issue(_ name: String) throws -> CertifiedKey {
    try Self.openssl(
      in: folder,
      [
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
        "-keyout", "\(name).key", "-out", "\(name).csr",
      ])
    try "subjectAltName=DNS:\(name)\n".write(toFile: folder + "/\(name).ext", atomically: true, encoding: .utf8)
    try Self.openssl(
      in: folder,
      [
        "x509", "-req", "-in", "\(name).csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
        "-days", "2", "-extfile", "\(name).ext", "-out", "\(name).pem",
      ])
    return CertifiedKey(certificateChain: try text("\(name).pem"), privateKey: try text("\(name).key"))
  }

  private func text(_ file: String) throws -> String {
    try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
  }

  struct Failure: Error {}

  private static func openssl(in folder: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    if process.terminationStatus != 0 { throw Failure() }
  }
}
