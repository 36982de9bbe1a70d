import KVCache
import ServingTypes

/// A tier in memory that fails on demand, as disks do. Its calls take no time, unless it hangs.
public final class FaultyTier: BlockTier {
  public enum Fault: Hashable, Sendable, CaseIterable {
    case none
    /// No more than a quarter of its capacity can be written.
    case fills
    /// What was written is not there any more.
    case loses
    /// Every read, or every write, fails.
    case readsFail
    case writesFail
    /// One bit of the bytes is not as it was written.
    case flipsABit
    /// Another block lies in the place.
    case mixesUp
    /// The block of another layout lies in the place.
    case isAnotherLayout
    /// Reads and writes return only when the fault changes.
    case hangs
  }

  private struct State {
    var fault: Fault
    var slots: [Int: (stamp: BlockStamp, bytes: [UInt8])] = [:]
    var writes = 0
    var reads = 0
  }

  public let capacity: Int
  public let mayBlock: Bool
  private let state: SignalledLock<State>

  public init(capacity: Int, fault: Fault = .none, mayBlock: Bool = true) {
    self.capacity = capacity
    self.mayBlock = mayBlock
    state = SignalledLock(State(fault: fault))
  }

  public var fault: Fault {
    get { state.withLock { $0.fault } }
    set { state.withLock { $0.fault = newValue } }
  }

  /// Calls that have begun.
  public var reads: Int { state.withLock { $0.reads } }
  public var writes: Int { state.withLock { $0.writes } }

  private func waitWhileHanging() {
    _ = state.wait(timeout: nil) { $0.fault == .hangs ? nil : true }
  }

  public func write(_ stamp: BlockStamp, _ bytes: UnsafeRawBufferPointer, to slot: Int) throws(TierFailure) {
    state.withLock { $0.writes += 1 }
    waitWhileHanging()
    let content = Array(bytes)
    let failure: TierFailure? = state.withLock { state in
      switch state.fault {
      case .writesFail: return .unavailable
      case .fills where state.slots[slot] == nil && state.slots.count >= capacity / 4: return .full
      default:
        state.slots[slot] = (stamp, content)
        return nil
      }
    }
    if let failure { throw failure }
  }

  public func read(from slot: Int, into bytes: UnsafeMutableRawBufferPointer) throws(TierFailure) -> BlockStamp {
    state.withLock { $0.reads += 1 }
    waitWhileHanging()
    let result: Result<(stamp: BlockStamp, bytes: [UInt8]), TierFailure> = state.withLock { state in
      guard state.fault != .readsFail else { return .failure(.unavailable) }
      guard state.fault != .loses, var content = state.slots[slot] else { return .failure(.truncated) }
      switch state.fault {
      case .flipsABit: content.bytes[content.bytes.count / 3] ^= 4
      case .mixesUp: if let other = state.slots.first(where: { $0.key != slot }) { content = other.value }
      case .isAnotherLayout: content.stamp.layout = content.stamp.hash
      default: break
      }
      return .success(content)
    }
    let content = try result.get()
    bytes.copyBytes(from: content.bytes)
    return content.stamp
  }
}
