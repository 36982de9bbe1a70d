/// Faults put in on purpose, so that the simulation's tests can show that they would be found. None in any server.
package struct Mutants: OptionSet, Hashable, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) { self.rawValue = rawValue }

  /// A received block's checksum is not compared.
  package static let skipChecksum = Mutants(rawValue: 1 << 0)
  /// A cancelled request's blocks are not given back.
  package static let forgetReleaseOnCancel = Mutants(rawValue: 1 << 1)
  /// A call for an earlier life of a worker is served.
  package static let trustStaleIncarnation = Mutants(rawValue: 1 << 2)
  /// A block that is not the one due is taken for it.
  package static let acceptLateFrame = Mutants(rawValue: 1 << 3)
  /// A block's pin goes back when the block is handed to the transport, not when the transport has sent it.
  package static let reuseBeforeSent = Mutants(rawValue: 1 << 4)
  /// Blocks are sent without credit.
  package static let ignoreCredit = Mutants(rawValue: 1 << 5)
  /// A hand-off may end with blocks missing.
  package static let acceptHole = Mutants(rawValue: 1 << 6)
  /// A request that moves does not say what it had generated.
  package static let forgetMovedTokens = Mutants(rawValue: 1 << 7)
  /// A block is published before it was verified.
  package static let publishUnverified = Mutants(rawValue: 1 << 8)
  /// A hand-off that stands still is never given up.
  package static let waitForever = Mutants(rawValue: 1 << 9)
}
