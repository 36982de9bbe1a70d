import Foundation
import RPC
import ServingTypes
import Testing

struct TLSConfigurationTests {
  private func message(of body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return (error as? ServingError)?.message ?? ""
    }
  }

  @Test func whatIsMissingIsNamed() throws {
    #expect(message { _ = try TLSConfiguration().serverSecurity() }.contains("certificate file"))
    #expect(
      message { _ = try TLSConfiguration(certificateFile: "/no/such.pem").clientSecurity() }.contains("/no/such.pem"))
    let file = NSTemporaryDirectory() + "baton-not-pem-\(UInt64.random(in: 0 ... .max))"
    try "nothing".write(toFile: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    #expect(message { _ = try TLSConfiguration(authorityFile: file).clientSecurity() }.contains(file))
    try "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    #expect(message { _ = try TLSConfiguration(certificateFile: file).serverSecurity() }.contains("go together"))
    _ = try TLSConfiguration(authorityFile: file).clientSecurity()
  }
}
