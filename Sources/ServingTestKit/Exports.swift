@_exported import ModelSimulation

// Tests draw their data from it.
@_exported import struct ServingTypes.SplitMix64
