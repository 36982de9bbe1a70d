// Callers of the engine meet these types in its signatures.
@_exported import enum Scheduling.BatchSchedulerPolicy
@_exported import struct SpeculativeDecoding.DraftModelStatistics
@_exported import enum SpeculativeDecoding.SpeculationMethod
