import CKernels

/// How a slab's attention is cut into tasks: tiles of neighbouring tokens, and the context's splits too where a tile is a
/// large part of all work. How it is cut does not change any result.
struct AttentionPlan {
  /// Items to attend; those of single splits come last.
  private(set) var itemCount = 0
  /// Items whose splits are merged afterwards.
  private(set) var splitItemCount = 0
  private let tileTokens: Int
  private let model: ModelConfiguration
  private let threads: Int

  init(_ model: ModelConfiguration, threads: Int) {
    tileTokens = Self.tileTokens(model)
    self.model = model
    self.threads = threads
  }

  private static func tileTokens(_ model: ModelConfiguration) -> Int {
    max(1, min(K_ATTENTION_QUERIES, K_ATTENTION_STATE / model.headSize) / model.queryHeadsPerKVHead)
  }

  /// The most floats that `finish` asks for: an item is split when it is more than so large a part of all work, so only few are.
  static func mostPartials(_ model: ModelConfiguration, threads: Int, contextLength: Int) -> Int {
    guard threads > 1 else { return 0 }
    let items = (4 * threads - 1) / model.kvHeadCount
    let tokens = min(items * tileTokens(model), TransformerScratch.rows)
    let splits = (contextLength + K_ATTENTION_SPLIT - 1) / K_ATTENTION_SPLIT
    return splits == 1 ? 0 : tokens * model.headCount * splits * (model.headSize + 16)
  }

  mutating func removeAll(_ scratch: inout TransformerScratch) {
    itemCount = 0
    splitItemCount = 0
  }

  /// Adds a sequence's tokens: the slab's rows from `row` on.
  mutating func append(row: Int, count: Int, position: Int, table: Int, _ scratch: inout TransformerScratch) {
    var done = 0
    while done < count {
      let tokens = min(tileTokens, count - done)
      scratch.items.base[itemCount] = k_attention_item(
        token: UInt32(row + done), token_count: UInt32(tokens), position: UInt32(position + done),
        table: UInt32(table), split: UInt32.max, split_count: 1, partial: 0)
      itemCount += 1
      done += tokens
    }
  }

  /// Splits the contexts of tiles that would keep one thread busy while the others have nothing left to do.
  mutating func finish(_ scratch: inout TransformerScratch) {
    guard threads > 1 else { return }
    let splitSize = K_ATTENTION_SPLIT
    let work = (0..<itemCount).reduce(0) { $0 + Self.work(scratch.items.base[$1]) } * model.kvHeadCount
    var records = 0
    var tasks = 0
    var whole = 0
    for index in 0..<itemCount {
      var item = scratch.items.base[index]
      let splits = (Int(item.position + item.token_count) + splitSize - 1) / splitSize
      if splits == 1 || Self.work(item) * 4 * threads <= work {
        scratch.items.base[whole] = item
        whole += 1
        continue
      }
      item.split_count = UInt32(splits)
      item.partial = UInt32(records)
      records += Int(item.token_count) * model.headCount * splits
      tasks += splits
      scratch.splitItems.base[splitItemCount] = item
      splitItemCount += 1
    }
    guard splitItemCount > 0 else { return }
    reserve(whole: whole, tasks: tasks, &scratch)
    scratch.partials.reserve(records * (model.headSize + 16))
    itemCount = whole
    for index in 0..<splitItemCount {
      var item = scratch.splitItems.base[index]
      for split in 0..<item.split_count {
        item.split = split
        scratch.items.base[itemCount] = item
        itemCount += 1
      }
    }
  }

  /// One for each item and head of keys and values.
  var taskCount: Int { itemCount * model.kvHeadCount }

  /// The next tasks: as many for each thread as come to about `mostWork` multiplications, and at least one.
  func tasks(
    from first: Int, window: Int?, mostWork: Int, _ scratch: borrowing TransformerScratch
  ) -> Range<Int> {
    guard mostWork < .max, first < taskCount else { return first..<taskCount }
    let item = scratch.items.base[first / model.kvHeadCount]
    let context =
      item.split == UInt32.max ? min(Int(item.position + item.token_count), window ?? .max) : K_ATTENTION_SPLIT
    let work = 2 * Int(item.token_count) * model.queryHeadsPerKVHead * model.headSize * context
    return first..<min(taskCount, first + threads * max(1, mostWork / work))
  }

  /// Pairs of a token and a position that it may see.
  private static func work(_ item: k_attention_item) -> Int {
    Int(item.token_count) * Int(item.position + item.token_count)
  }

  private func reserve(whole: Int, tasks: Int, _ scratch: inout TransformerScratch) {
    guard whole + tasks > scratch.items.capacity else { return }
    var larger = ScratchBuffer<k_attention_item>(capacity: whole + tasks)
    larger.base.update(from: scratch.items.base, count: whole)
    swap(&larger, &scratch.items)
  }
}
