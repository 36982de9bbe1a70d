import Foundation
import ServingTypes

/// Where answers go. A reader that went away or a full disk is an error, not the end of the process.
enum StandardOutput {
  static func write(_ text: String) throws(ServingError) {
    if text.isEmpty { return }
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
      let failure = error as NSError
      let cause = failure.userInfo[NSUnderlyingErrorKey] as? NSError ?? failure
      throw ServingError(.aborted, "can't write the answer: \(String(cString: strerror(Int32(cause.code))))")
    }
  }
}
