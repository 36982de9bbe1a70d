import Glibc
import NIOCore

/// One of a proxied connection's two sockets: what it reads goes to its partner. Belongs to the proxy's event loop.
final class ProxyHalf: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private struct Piece {
    var due: NIODeadline
    var bytes: ByteBuffer
  }

  /// Bytes that may wait in a slow connection before no more are read.
  private static let mostWaiting = 1 << 20

  private let channel: any Channel
  private unowned let connections: ProxyConnections
  var partner: ProxyHalf?
  private var weather = FaultProxy.Weather.clear
  private var waiting: CircularBuffer<Piece> = []
  private var waitingBytes = 0
  /// A read is asked for, or cannot be yet.
  private var isReading: Bool
  private var isTimerSet = false
  private var isEnded = false
  private var hasReadAll = false

  init(_ channel: any Channel, in connections: ProxyConnections) {
    self.channel = channel
    self.connections = connections
    isReading = !channel.isActive
  }

  func set(_ weather: FaultProxy.Weather) {
    self.weather = weather
    forward()
    readMore()
  }

  func end(_ ending: FaultProxy.Ending) {
    guard !isEnded else { return }
    isEnded = true
    waiting.removeAll()
    connections.remove(self)
    // Nothing is left to linger for: the kernel sends a reset instead of the end.
    if ending == .reset, let options = channel as? any SocketOptionProvider {
      options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { [channel] _ in channel.close(promise: nil) }
    } else {
      channel.close(promise: nil)
    }
    let other = partner
    partner = nil
    other?.end(ending)
  }

  // MARK: From the socket

  func channelActive(context: ChannelHandlerContext) {
    isReading = false
    readMore()
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    waitingBytes += bytes.readableBytes
    var due = NIODeadline.now()
    if case .slow(let delay) = weather { due = due + TimeAmount(delay) }
    // Weather that clears up must not let later bytes overtake earlier ones.
    if let last = waiting.last { due = max(due, last.due) }
    waiting.append(Piece(due: due, bytes: bytes))
    forward()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReading = false
    readMore()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    partner?.readMore()
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    hasReadAll = true
    forward()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.reset) }

  // MARK: To the partner

  private func readMore() {
    guard !isReading, !isEnded, !hasReadAll, weather != .stalled, waitingBytes < Self.mostWaiting,
      partner?.channel.isWritable == true
    else { return }
    isReading = true
    channel.read()
  }

  /// Writes what is due, and the end of the stream after it.
  private func forward() {
    guard !isEnded, weather != .stalled, let partner else { return }
    let now = NIODeadline.now()
    var hasWritten = false
    while let piece = waiting.first, piece.due <= now || weather == .clear {
      waiting.removeFirst()
      waitingBytes -= piece.bytes.readableBytes
      partner.channel.write(piece.bytes, promise: nil)
      hasWritten = true
    }
    if hasWritten { partner.channel.flush() }
    if let next = waiting.first {
      setTimer(at: next.due)
    } else if hasReadAll {
      end(.close)
    } else {
      readMore()
    }
  }

  private func setTimer(at due: NIODeadline) {
    guard !isTimerSet else { return }
    isTimerSet = true
    let half = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.eventLoop.scheduleTask(deadline: due) {
      half.value.isTimerSet = false
      half.value.forward()
    }
  }
}
