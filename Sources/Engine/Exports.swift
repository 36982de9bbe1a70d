// Callers of the engine meet these types in its signatures.
@_exported import struct ServingTypes.CacheChanges
@_exported import struct ServingTypes.CachedBlock
@_exported import enum Scheduling.BatchSchedulerPolicy
