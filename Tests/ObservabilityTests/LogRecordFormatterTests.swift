import Foundation
import Observability
import Testing

@Suite struct LogRecordFormatterTests {
  @Test(arguments: [
    (Duration.zero, "1970-01-01T00:00:00.000Z"),
    (.seconds(951_782_400) + .milliseconds(7), "2000-02-29T00:00:00.007Z"),
    (.seconds(1_704_067_199) + .milliseconds(999), "2023-12-31T23:59:59.999Z"),
    (.seconds(4_107_542_400), "2100-03-01T00:00:00.000Z"),
    (.milliseconds(-1), "1969-12-31T23:59:59.999Z"),
  ])
  func timestamps(time: Duration, text: String) {
    #expect(LogRecordFormatter.timestamp(time) == text)
  }

  @Test func anyTextStaysOneLineOfValidJSON() throws {
    let nasty = "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f} é 🎈\u{2028}"
    let line = LogRecordFormatter.line(
      time: .zero, level: "info", label: nasty, message: nasty,
      metadata: [
        nasty: .string(nasty), "n": .integer(-1), "d": .number(0.5), "inf": .number(.infinity), "b": .boolean(true),
        "a": .array([.string("x"), .object(["k": .integer(1)])]),
      ])
    #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1)
    #expect(line.last == UInt8(ascii: "\n"))
    let object = try #require(JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
    #expect(object["message"] as? String == nasty)
    #expect(object["ts"] as? String == "1970-01-01T00:00:00.000Z")
    let metadata = try #require(object["metadata"] as? [String: Any])
    #expect(metadata[nasty] as? String == nasty)
    #expect(metadata["n"] as? Int == -1)
    #expect(metadata["inf"] is NSNull)
  }

  @Test func emptyMetadataIsLeftOut() {
    let line = LogRecordFormatter.line(time: .zero, level: "info", label: "l", message: "m")
    #expect(!String(decoding: line, as: UTF8.self).contains("metadata"))
  }
}
