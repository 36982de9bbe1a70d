import GRPCCore
import RPC
import ServingTypes
import Testing

struct StatusMappingTests {
  @Test(arguments: ServingError.Code.allCases)
  func everyCodeSurvivesTheWire(code: ServingError.Code) {
    let error = ServingError(code, "why", retryAfter: .milliseconds(1500))
    #expect(ServingError(RPCError(error)) == error)
    let plain = ServingError(code, "why")
    #expect(ServingError(RPCError(plain)) == plain)
  }

  @Test func foreignCodesAreTakenForTheNearest() {
    #expect(ServingError(RPCError(code: .unknown, message: "")).code == .internalError)
    #expect(ServingError(RPCError(code: .alreadyExists, message: "")).code == .failedPrecondition)
    #expect(ServingError(RPCError(code: .outOfRange, message: "")).code == .invalidArgument)
  }

  @Test func delaysOfPeersAreBounded() {
    func delay(_ text: String) -> Duration? {
      ServingError(RPCError(code: .unavailable, message: "", metadata: ["retry-after-ms": .string(text)])).retryAfter
    }
    #expect(delay("250") == .milliseconds(250))
    #expect(delay("-1") == nil)
    #expect(delay("soon") == nil)
    #expect(delay("9223372036854775807") == .seconds(3600))
    #expect(delay("99999999999999999999") == nil)
  }

  @Test func anyErrorBecomesOne() {
    struct Odd: Error {}
    #expect(ServingError(any: CancellationError()).code == .cancelled)
    #expect(ServingError(any: Odd()).code == .internalError)
    #expect(ServingError(any: RPCError(code: .notFound, message: "x")) == ServingError(.notFound, "x"))
    let error = ServingError(.aborted, "y")
    #expect(ServingError(any: error) == error)
  }
}
