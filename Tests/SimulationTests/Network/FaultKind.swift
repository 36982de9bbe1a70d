/// What can happen to a message, or around it.
enum FaultKind: Int, CaseIterable, Hashable, Sendable {
  /// Its connection is lost, and both sides learn of it.
  case cut
  /// Nothing on its connection arrives any more; both sides learn of it when a ping is missed.
  case halfOpen
  /// Its direction of its call stands still for a while, or for good.
  case stall
  /// It takes very long, and what comes behind it waits.
  case delay
  /// Its call ends with a status that neither side meant.
  case reset
  /// The process that sends it is killed, and started again under the same name.
  case crashSender
  /// The process that it goes to is killed, and started again under the same name.
  case crashReceiver
  /// The process that it goes to stops for a while.
  case freeze
  /// A block's payload is damaged.
  case corrupt
  /// It is lost, though the stream goes on. Only on hand-offs, which need not trust the order of a stream.
  case drop
  /// It comes twice. Only on hand-offs.
  case duplicate
  /// It comes behind the next one. Only on hand-offs.
  case swap

  /// What the order of a stream, or TCP's checksum, would forbid.
  var breaksStream: Bool {
    switch self {
    case .corrupt, .drop, .duplicate, .swap: true
    case .cut, .halfOpen, .stall, .delay, .reset, .crashSender, .crashReceiver, .freeze: false
    }
  }
}
