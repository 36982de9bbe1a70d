import ArgumentParser
import Foundation
import ServingTypes

/// Where the process starts. Errors are one line on standard error; the exit code tells their kind.
@main
enum Entry {
  static func main() async {
    // A closed pipe or socket is an error of that write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    // libgrpc's own lines on standard error are no JSON and say less than the errors that it returns.
    setenv("GRPC_VERBOSITY", "NONE", 0)
    do {
      var command = try Baton.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      report(error)
    }
  }

  private static func report(_ error: any Error) -> Never {
    if let error = error as? ServingError {
      complain(error.message)
      exit(exitCode(error.code))
    }
    let code = Baton.exitCode(for: error)
    if code.isSuccess {
      print(Baton.fullMessage(for: error))
    } else if !(error is ExitCode) {
      complain(Baton.message(for: error))
    }
    exit(code.rawValue)
  }

  private static func complain(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    try? FileHandle.standardError.write(contentsOf: Data("baton: error: \(line)\n".utf8))
  }

  /// 64, 66, 69, 75 and 77 as in sysexits.h; 1 is every other failure.
  private static func exitCode(_ code: ServingError.Code) -> Int32 {
    switch code {
    case .invalidArgument: 64
    case .notFound: 66
    case .unavailable, .deadlineExceeded: 69
    case .resourceExhausted: 75
    case .permissionDenied, .unauthenticated: 77
    case .cancelled: 130
    case .failedPrecondition, .aborted, .unimplemented, .internalError, .dataLoss: 1
    }
  }
}
