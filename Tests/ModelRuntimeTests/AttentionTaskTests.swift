import CKernels
import Testing

/// How attention's tasks are given to the pool's threads.
struct AttentionTaskTests {
  private static let heads = 3

  /// Every task runs once, and names the one that its thread runs next.
  @Test(arguments: 1...8, [0, 5])
  func threadsDoNeighbouringTasks(threads: Int, first: Int) {
    for count in 1...20 {
      let ran = Self.run(threads: threads, first: first, count: count)
      #expect(ran.flatMap { $0.map(\.task) }.sorted() == Array(first..<first + count))
      for thread in ran {
        for (index, call) in thread.enumerated() {
          #expect(call.next == (index + 1 < thread.count ? thread[index + 1].task : nil))
          #expect(index == 0 || call.task == thread[index - 1].task + 1)
        }
      }
    }
  }

  /// What each thread runs, in its order: the pool gives it every so-many-th index.
  private static func run(threads: Int, first: Int, count: Int) -> [[(task: Int, next: Int?)]] {
    let items = (0..<(first + count) / heads + 1).map { index in
      k_attention_item(
        token: UInt32(index), token_count: 1, position: 0, table: 0, split: UInt32.max, split_count: 1, partial: 0)
    }
    var record: [Float] = [0, 0]
    var kernels = k_kernels()
    kernels.attention = { attention, item, head, next, nextHead in
      guard let attention, let item, let record = attention.pointee.output else { return }
      record[0] = Float(Int(item.pointee.token) * Int(attention.pointee.kv_heads) + Int(head))
      record[1] = next.map { Float(Int($0.pointee.token) * Int(attention.pointee.kv_heads) + Int(nextHead)) } ?? -1
    }
    return items.withUnsafeBufferPointer { items in
      record.withUnsafeMutableBufferPointer { record in
        withUnsafePointer(to: kernels) { kernels in
          var attention = k_attention()
          attention.output = record.baseAddress
          attention.kv_heads = UInt32(heads)
          var job = k_attention_job(
            kernels: kernels, attention: attention, items: items.baseAddress, first: first, count: count,
            threads: threads)
          return (0..<threads).map { thread in
            stride(from: thread, to: count, by: threads).map { index in
              k_attention_task(&job, index)
              return (Int(record[0]), record[1] < 0 ? nil : Int(record[1]))
            }
          }
        }
      }
    }
  }
}
