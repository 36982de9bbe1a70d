import ArgumentParser

/// The parameters of the engine and its memory; docs/tuning.md explains them.
struct EngineOptions: ParsableArguments {
  @Option(help: ArgumentHelp("fast, or reference: float32 activations, for accuracy.", valueName: "kind"))
  var kernels: String?
  @Option(help: ArgumentHelp("Threads of the kernels.", valueName: "n"))
  var threads: String?
  @Option(help: ArgumentHelp("Tokens in a block of the KV cache, 8 to 64.", valueName: "n"))
  var blockSize: String?
  @Option(
    name: [.long, .customLong("num-gpu-blocks")],
    help: ArgumentHelp("Blocks in the pool (default: by memory).", valueName: "n"))
  var numBlocks: String?
  @Option(help: ArgumentHelp("f16, bf16, f32, fp8 or int8.", valueName: "type"))
  var kvCacheDtype: String?
  @Flag(inversion: .prefixedNo, help: "Short for --kv-cache-dtype fp8; off: f16.")
  var enableKvCacheQuantization: Bool?
  @Option(
    name: [.long, .customLong("gpu-memory-utilization")],
    help: ArgumentHelp("Share of the memory budget that is used.", valueName: "share"))
  var memoryUtilization: String?
  @Option(help: ArgumentHelp("Memory for weights, blocks and scratch (default: what is free).", valueName: "size"))
  var memoryBudget: String?
  @Option(help: ArgumentHelp("Workers that share this machine's memory.", valueName: "n"))
  var localWorkers: String?
  @Option(help: ArgumentHelp("Longest context in tokens (default: the model's).", valueName: "n"))
  var maxModelLen: String?
  @Option(help: ArgumentHelp("Sequences in flight.", valueName: "n"))
  var maxNumSeqs: String?
  @Option(help: ArgumentHelp("Tokens of one step.", valueName: "n"))
  var maxNumBatchedTokens: String?
  @Option(help: ArgumentHelp("Prefill tokens of one step.", valueName: "n"))
  var maxPrefillTokens: String?
  @Option(help: ArgumentHelp("Tokens of one prefill chunk.", valueName: "n"))
  var prefillChunkSize: String?
  @Option(help: ArgumentHelp("Tokens of a chunk whose blocks are handed over.", valueName: "n"))
  var handoffChunkSize: String?
  @Flag(inversion: .prefixedNo, help: "Split long prompts into chunks.")
  var enableChunkedPrefill: Bool?
  @Flag(
    name: [.long, .customLong("reuse-prefix-cache")], inversion: .prefixedNo,
    help: "Keep and reuse blocks of earlier prompts.")
  var enablePrefixCaching: Bool?
  @Option(help: ArgumentHelp("Chunks are shortened to it; 0 is off.", valueName: "time"))
  var targetStepTime: String?
  @Option(help: ArgumentHelp("The longest wait in the queue.", valueName: "time"))
  var maxQueueWait: String?
  @Option(help: ArgumentHelp("Requests that may wait.", valueName: "n"))
  var maxQueuedRequests: String?
  @Option(help: ArgumentHelp("fifo or lifo.", valueName: "policy"))
  var batchSchedulerPolicy: String?
  @Option(help: ArgumentHelp("none or deficit_round_robin: turns by tenant.", valueName: "policy"))
  var fairSharePolicy: String?
  @Option(help: ArgumentHelp("Least time between steps.", valueName: "time"))
  var schedulingInterval: String?
  @Option(help: ArgumentHelp("How long an idle engine waits for company.", valueName: "time"))
  var batchMergeWindow: String?
  @Flag(inversion: .prefixedNo, help: "Draft tokens and verify them in one pass.")
  var enableSpecDecode: Bool?
  @Option(help: ArgumentHelp("How drafts are made: ngram, suffix, or draft: by a smaller model.", valueName: "method"))
  var specMethod: String?
  @Option(help: ArgumentHelp("A smaller model of the same vocabulary, which drafts.", valueName: "file"))
  var draftModel: String?
  @Option(help: ArgumentHelp("Draft tokens of a sequence and step at most.", valueName: "n"))
  var numSpeculativeTokens: String?
  @Option(help: ArgumentHelp("Host memory for blocks that the pool has no room for; 0 is none.", valueName: "size"))
  var swapSpace: String?
  @Option(help: ArgumentHelp("Folder of a file for blocks that host memory has no room for.", valueName: "path"))
  var offloadDir: String?
  @Option(help: ArgumentHelp("The file's size at most.", valueName: "size"))
  var offloadSpace: String?
  @Option(help: ArgumentHelp("Threads that move blocks down and up.", valueName: "n"))
  var offloadNumThreads: String?
  @Option(help: ArgumentHelp("Share of the pool beyond which unused blocks are copied down.", valueName: "share"))
  var offloadThreshold: String?
  @Option(help: ArgumentHelp("Blocks of a sequence that come up at once.", valueName: "n"))
  var prefetchBlocks: String?
  @Flag(inversion: .prefixedNo, help: "Fetch prefixes from other workers where that is faster.")
  var enableBlockFetch: Bool?
  @Option(help: ArgumentHelp("Fewer blocks are not fetched.", valueName: "n"))
  var fetchMinBlocks: String?
  @Option(help: ArgumentHelp("Bytes a second that fetches are assumed to bring at first.", valueName: "size"))
  var fetchBandwidth: String?
  @Option(help: ArgumentHelp("The least time that a fetch is waited for.", valueName: "time"))
  var fetchTimeout: String?
  @Flag(inversion: .prefixedNo, help: "Prove on idle that no block leaked.")
  var checkIntegrityOnIdle: Bool?
}
