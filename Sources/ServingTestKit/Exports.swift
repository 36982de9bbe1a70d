// Tests draw their data from it.
@_exported import struct ServingTypes.SplitMix64
@_exported import ModelSimulation
