@_exported import struct KVCache.BlockStamp
// Callers of the engine meet these types in its signatures.
@_exported import protocol KVCache.BlockTier
@_exported import enum KVCache.TierFailure
@_exported import struct KVCache.TierStatistics
@_exported import enum Scheduling.BatchSchedulerPolicy
@_exported import enum Scheduling.FairSharePolicy
@_exported import enum Scheduling.FetchFailure
@_exported import struct Scheduling.FetchReport
@_exported import struct Scheduling.FetchStatistics
@_exported import struct SpeculativeDecoding.DraftModelStatistics
@_exported import enum SpeculativeDecoding.SpeculationMethod
