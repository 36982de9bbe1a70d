import Engine
import Foundation
import ModelRuntime
import Scheduling
import ServingTypes

/// The engine, its kernels and its memory.
struct EngineSettings: Sendable {
  var engine: EngineConfiguration
  var kernels: KernelArithmetic
  /// Nil: the fastest that the processor can run. Only benchmarks choose.
  var kernelPath: KernelPath?
  var threads: Int
  var blockSize: Int
  /// Nil: as many as the memory holds.
  var numBlocks: Int?
  var kvDType: KVDType
  var memoryUtilization: Double
  /// Nil: what the machine has free, divided by `localWorkers`.
  var memoryBudget: Int?
  var localWorkers: Int
  /// Nil where the default holds.
  var givenSwapSpace: Int?
  /// The GGUF file of the model that drafts.
  var draftModel: String?

  init(_ options: EngineOptions, _ reader: inout ParameterReader) {
    let defaults = EngineConfiguration()
    let count = 1...1_000_000
    kernels = reader.choice("kernels", flag: options.kernels, default: .fast)
    threads = reader.integer("threads", flag: options.threads, default: Self.processors, in: 1...256)
    blockSize = reader.integer("block_size", flag: options.blockSize, default: 16, in: 8...64)
    numBlocks = reader.optionalInteger(
      "num_blocks", flag: options.numBlocks, in: 2...Int(Int32.max), aliases: ["num_gpu_blocks"])
    kvDType = Self.readKVDType(options, &reader)
    memoryUtilization = reader.number(
      "memory_utilization", flag: options.memoryUtilization, default: 0.9, in: 0.01...1,
      aliases: ["gpu_memory_utilization"])
    memoryBudget = reader.optionalByteCount("memory_budget", flag: options.memoryBudget)
    localWorkers = reader.integer("local_workers", flag: options.localWorkers, default: 1, in: 1...1024)
    draftModel = reader.string("draft_model", flag: options.draftModel)
    engine = EngineConfiguration(
      enablePrefixCaching: reader.boolean(
        "enable_prefix_caching", flag: options.enablePrefixCaching, default: defaults.enablePrefixCaching,
        aliases: ["reuse_prefix_cache"]),
      maxNumSeqs: reader.integer(
        "max_num_seqs", flag: options.maxNumSeqs, default: defaults.maxNumSeqs, in: 1...65_536),
      maxModelLen: reader.optionalInteger("max_model_len", flag: options.maxModelLen, in: 1...100_000_000),
      maxNumBatchedTokens: reader.integer(
        "max_num_batched_tokens", flag: options.maxNumBatchedTokens, default: defaults.maxNumBatchedTokens, in: count),
      maxPrefillTokens: reader.integer(
        "max_prefill_tokens", flag: options.maxPrefillTokens, default: defaults.maxPrefillTokens, in: count),
      prefillChunkSize: reader.integer(
        "prefill_chunk_size", flag: options.prefillChunkSize, default: defaults.prefillChunkSize, in: count),
      handoffChunkSize: reader.integer(
        "handoff_chunk_size", flag: options.handoffChunkSize, default: defaults.handoffChunkSize, in: count),
      enableChunkedPrefill: reader.boolean(
        "enable_chunked_prefill", flag: options.enableChunkedPrefill, default: defaults.enableChunkedPrefill),
      targetStepTime: reader.duration(
        "target_step_time", flag: options.targetStepTime, default: defaults.targetStepTime),
      maxQueueWait: reader.duration("max_queue_wait", flag: options.maxQueueWait, default: defaults.maxQueueWait),
      maxQueuedRequests: reader.integer(
        "max_queued_requests", flag: options.maxQueuedRequests, default: defaults.maxQueuedRequests, in: count),
      batchSchedulerPolicy: reader.choice(
        "batch_scheduler_policy", flag: options.batchSchedulerPolicy, default: defaults.batchSchedulerPolicy),
      fairSharePolicy: reader.choice(
        "fair_share_policy", flag: options.fairSharePolicy, default: defaults.fairSharePolicy),
      schedulingInterval: reader.duration(
        "scheduling_interval", flag: options.schedulingInterval, default: defaults.schedulingInterval),
      batchMergeWindow: reader.duration(
        "batch_merge_window", flag: options.batchMergeWindow, default: defaults.batchMergeWindow),
      enableSpecDecode: reader.boolean(
        "enable_spec_decode", flag: options.enableSpecDecode, default: defaults.enableSpecDecode),
      specMethod: reader.choice(
        "spec_method", flag: options.specMethod, default: draftModel == nil ? .ngram : .draft),
      numSpeculativeTokens: reader.integer(
        "num_speculative_tokens", flag: options.numSpeculativeTokens, default: defaults.numSpeculativeTokens,
        in: 0...64),
      checkIntegrityOnIdle: reader.boolean(
        "check_integrity_on_idle", flag: options.checkIntegrityOnIdle, default: defaults.checkIntegrityOnIdle))
    givenSwapSpace = Self.readTiers(options, &reader, into: &engine)
    Self.readFetching(options, &reader, into: &engine)
    if (draftModel != nil) != (engine.specMethod == .draft) {
      reader.note(
        problem: draftModel == nil
          ? "spec_method is draft, and draft_model is missing"
          : "draft_model is given, and spec_method is \(engine.specMethod.rawValue)")
    }
  }

  /// `kv_cache_dtype`, for which `enable_kv_cache_quantization` stands where it is not given.
  private static func readKVDType(_ options: EngineOptions, _ reader: inout ParameterReader) -> KVDType {
    let isQuantized = reader.optionalBoolean(
      "enable_kv_cache_quantization", flag: options.enableKvCacheQuantization)
    let type: KVDType = reader.choice(
      "kv_cache_dtype", flag: options.kvCacheDtype, default: isQuantized == true ? .fp8 : .f16)
    if let isQuantized, isQuantized != (type.scaleBytes > 0) {
      reader.note(
        problem: "enable_kv_cache_quantization is \(isQuantized), and kv_cache_dtype is \(type.rawValue): leave one out"
      )
    }
    return type
  }

  /// Processors that this process may use, by its affinity and its cgroup's quota.
  static var processors: Int {
    var count = ProcessInfo.processInfo.activeProcessorCount
    if let quota = try? String(contentsOfFile: "/sys/fs/cgroup/cpu.max", encoding: .utf8) {
      let parts = quota.split(whereSeparator: \.isWhitespace).map { Double($0) }
      if parts.count == 2, let time = parts[0], let period = parts[1], period > 0 {
        count = min(count, Int((time / period).rounded(.up)))
      }
    }
    return min(256, max(1, count))
  }
}
