import CgRPC
import Glibc

/// The named settings of a channel or server, as the library takes them.
struct ChannelArguments {
  private var integers: [(String, Int32)] = []
  private var strings: [(String, String)] = []

  mutating func set(_ key: String, _ value: Int) { integers.append((key, Int32(clamping: value))) }
  mutating func set(_ key: String, _ value: Bool) { integers.append((key, value ? 1 : 0)) }
  mutating func set(_ key: String, _ value: String) { strings.append((key, value)) }

  /// Whole milliseconds, at least one.
  mutating func set(_ key: String, _ value: Duration) {
    let milliseconds = value.components.seconds * 1000 + value.components.attoseconds / 1_000_000_000_000_000
    integers.append((key, Int32(clamping: max(1, milliseconds))))
  }

  mutating func set(_ limits: MessageLimits) {
    set("grpc.max_receive_message_length", limits.maxReceiveMessageBytes)
    set("grpc.max_send_message_length", limits.maxSendMessageBytes)
    set("grpc.max_metadata_size", limits.maxMetadataBytes)
  }

  mutating func set(_ keepalive: Keepalive) {
    set("grpc.keepalive_time_ms", keepalive.interval)
    set("grpc.keepalive_timeout_ms", keepalive.timeout)
    set("grpc.keepalive_permit_without_calls", keepalive.withoutCalls)
    set("grpc.http2.max_pings_without_data", 0)
  }

  mutating func set(_ tuning: HTTP2Tuning) {
    if let bytes = tuning.lookaheadBytes { set("grpc.http2.lookahead_bytes", bytes) }
    if let bytes = tuning.maxFrameBytes { set("grpc.http2.max_frame_size", bytes) }
    set("grpc.http2.bdp_probe", tuning.probesBandwidth)
    if let chunk = tuning.readChunkBytes {
      set("grpc.experimental.tcp_min_read_chunk_size", chunk.minimum)
      set("grpc.experimental.tcp_read_chunk_size", chunk.initial)
      set("grpc.experimental.tcp_max_read_chunk_size", chunk.maximum)
    }
  }

  /// Calls `body` with the settings, valid during the call only.
  func withArguments<Result>(_ body: (UnsafePointer<grpc_channel_args>) -> Result) -> Result {
    var texts: [UnsafeMutablePointer<CChar>?] = []
    defer { for text in texts { free(text) } }
    func copy(_ text: String) -> UnsafeMutablePointer<CChar>? {
      let copied = strdup(text)
      texts.append(copied)
      return copied
    }
    var arguments: [grpc_arg] = []
    for (key, value) in integers {
      var argument = grpc_arg()
      argument.type = GRPC_ARG_INTEGER
      argument.key = copy(key)
      argument.value.integer = value
      arguments.append(argument)
    }
    for (key, value) in strings {
      var argument = grpc_arg()
      argument.type = GRPC_ARG_STRING
      argument.key = copy(key)
      argument.value.string = copy(value)
      arguments.append(argument)
    }
    return arguments.withUnsafeMutableBufferPointer { buffer in
      var list = grpc_channel_args(num_args: buffer.count, args: buffer.baseAddress)
      return withUnsafePointer(to: &list) { body($0) }
    }
  }
}
