/// Writes one log record as one line of JSON: `ts`, `level`, `label`, `message`, `metadata`.
///
/// Pure: the caller reads the clock and writes the line. Newlines in any text are escaped, so a record is always one line.
public enum LogRecordFormatter {
  /// - Parameters:
  ///   - time: since 1970-01-01 UTC.
  ///   - metadata: left out of the line when empty.
  /// - Returns: UTF-8, ending in a newline.
  public static func line(
    time: Duration, level: String, label: String, message: String, metadata: [String: LogValue] = [:]
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(128 + message.utf8.count)
    bytes.append(contentsOf: "{\"ts\":\"".utf8)
    bytes.append(contentsOf: timestamp(time).utf8)
    bytes.append(contentsOf: "\",\"level\":".utf8)
    JSONText.append(level, to: &bytes)
    bytes.append(contentsOf: ",\"label\":".utf8)
    JSONText.append(label, to: &bytes)
    bytes.append(contentsOf: ",\"message\":".utf8)
    JSONText.append(message, to: &bytes)
    if !metadata.isEmpty {
      bytes.append(contentsOf: ",\"metadata\":".utf8)
      LogValue.object(metadata).append(to: &bytes)
    }
    bytes.append(contentsOf: "}\n".utf8)
    return bytes
  }

  /// RFC 3339 in UTC, to the millisecond.
  ///
  /// - SeeAlso: H. Hinnant, chrono-Compatible Low-Level Date Algorithms, for the date of a day number.
  public static func timestamp(_ time: Duration) -> String {
    let (seconds, attoseconds) = time.components
    let milliseconds = attoseconds / 1_000_000_000_000_000
    let total = seconds * 1000 + milliseconds
    let day = total.dividingFloor(by: 86_400_000)
    let rest = total - day * 86_400_000
    let shifted = day + 719_468
    let era = shifted.dividingFloor(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let date = "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfMonth, 2))"
    let clock = "\(pad(rest / 3_600_000, 2)):\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1000 % 60, 2))"
    return "\(date)T\(clock).\(pad(rest % 1000, 3))Z"
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}

extension Int64 {
  fileprivate func dividingFloor(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
