import RPC
import ServingTypes
import Testing

struct ServerAddressTests {
  @Test(arguments: ["localhost:1", "127.0.0.1:65535", "[::1]:0", "worker-0.prefill.svc:50051", "unix:/run/a b.sock"])
  func textIsReadAndWritten(text: String) throws {
    #expect(try ServerAddress(text).description == text)
  }

  @Test(arguments: [
    "", "host", "host:", ":1", "host:65536", "host:-1", "host:1x", "::1:5", "[host]:1", "a b:1", "http://host:1",
    "unix:",
  ])
  func malformedTextIsQuoted(text: String) throws {
    let error = #expect(throws: ServingError.self) { _ = try ServerAddress(text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("'\(text)'") == true)
  }

  @Test func aChosenPortReplacesTheGivenOne() throws {
    #expect(try ServerAddress("[::1]:0").with(port: 77).description == "[::1]:77")
    #expect(ServerAddress(unixPath: "/x").with(port: 1) == ServerAddress(unixPath: "/x"))
  }
}
