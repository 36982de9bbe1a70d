import GRPCCore
import GRPCProtobuf
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

  @Test func delaysReachCallersThatKnowTheStandardForm() throws {
    let long = ServingError(
      .resourceExhausted, String(repeating: "why ", count: 10_000), retryAfter: .milliseconds(1500))
    let error = RPCError(long)
    let details = try #require(try error.unpackGoogleRPCStatus())
    #expect(details.code == .resourceExhausted)
    #expect(details.details.first?.retryInfo?.delay == .milliseconds(1500))
    let bytes = error.metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.encoded().utf8.count }
    #expect(bytes < 2000, "metadata are bounded")
    #expect(RPCError(ServingError(.resourceExhausted, "why")).metadata.isEmpty)
  }

  @Test func numbersOfStatusesAreRead() {
    for code in ServingError.Code.allCases {
      #expect(StatusMapping.code(forStatus: StatusMapping.code(for: code).rawValue) == code)
    }
    for odd in [0, -1, 99, Int.max] { #expect(StatusMapping.code(forStatus: odd) == .internalError) }
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
