// Callers of the engine meet these types in its signatures.
@_exported import struct KVCache.CacheChanges
@_exported import struct KVCache.CachedBlock
@_exported import enum Scheduling.BatchSchedulerPolicy
