import KVCache
import ServingTestKit
import ServingTypes
import Testing

@Suite struct FreeBlockQueueTests {
  @Test func keepsTheOrder() {
    var queue = FreeBlockQueue(blockCount: 5)
    for block in [3, 1, 4] as [BlockID] { queue.append(block) }
    queue.prepend(0)
    queue.insert(2, before: 4)
    #expect(queue.orderedBlocks() == [0, 3, 1, 2, 4])
    queue.remove(1)
    #expect(!queue.contains(1))
    #expect(queue.popFirst() == 0)
    #expect(queue.orderedBlocks() == [3, 2, 4])
    #expect(queue.count == 3)
  }

  @Test func behavesLikeAnArray() {
    var random = SplitMix64(seed: 1)
    var queue = FreeBlockQueue(blockCount: 40)
    var model: [BlockID] = []
    for _ in 0..<5000 {
      let block = BlockID(random.next() % 40)
      switch random.next() % 5 {
      case 0 where !model.contains(block):
        queue.append(block)
        model.append(block)
      case 1 where !model.contains(block):
        queue.prepend(block)
        model.insert(block, at: 0)
      case 2 where model.contains(block):
        queue.remove(block)
        model.removeAll { $0 == block }
      case 3:
        #expect(queue.popFirst() == model.first)
        if !model.isEmpty { model.removeFirst() }
      case 4 where !model.contains(block) && !model.isEmpty:
        let place = Int(random.next() % UInt64(model.count))
        queue.insert(block, before: model[place])
        model.insert(block, at: place)
      default: break
      }
      #expect(queue.count == model.count)
    }
    #expect(queue.orderedBlocks() == model)
    #expect(queue.first == model.first)
  }
}
