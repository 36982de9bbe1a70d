// swift-tools-version: 6.2
import Foundation
import PackageDescription

// The core (everything that does no gRPC and no HTTP) builds alone in seconds with BATON_PACKAGE=core.
// The sanitizers need that: each of them builds the whole graph anew.
let coreOnly = ProcessInfo.processInfo.environment["BATON_PACKAGE"] == "core"

// BATON_TESTS=KVCacheTests,EngineTests leaves the other test targets out: all of them are one program, which takes minutes.
let chosenTests = ProcessInfo.processInfo.environment["BATON_TESTS"]?.split(separator: ",").map(String.init)

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [.treatAllWarnings(as: .error)]

let grpc: Target.Dependency = .product(name: "GRPCCore", package: "grpc-swift-2")
let grpcProtobuf: Target.Dependency = .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let hummingbird: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTP: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

func core(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func test(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: strict)
}

// In the order of docs/design.md: a target imports those above it, never one below.
let coreTargets: [Target] = [
  .target(
    name: "CKernels",
    // Debug builds compile C without optimisation, which makes even the smallest model unusable.
    cSettings: strictC + [.unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=off"])]
  ),
  .target(name: "CRoofline", cSettings: strictC + [.unsafeFlags(["-O3"])]),
  .systemLibrary(name: "COpenSSL"),
  core("ServingTypes", ["CKernels", "COpenSSL"]),
  core("Observability", ["ServingTypes"]),
  core("Tokenization", ["ServingTypes"]),
  core("ModelRuntime", ["CKernels", "COpenSSL", "ServingTypes", "Tokenization"]),
  core("ModelSimulation", ["ServingTypes", "Tokenization", "ModelRuntime"]),
  .executableTarget(
    name: "KernelBenchmark", dependencies: ["CKernels", "CRoofline", "ServingTypes", "ModelRuntime"],
    swiftSettings: strict),
  core("KVCache", ["ServingTypes"]),
  core("Scheduling", ["ServingTypes", "KVCache"]),
  core("SpeculativeDecoding", ["ServingTypes", "ModelRuntime", "KVCache", "Scheduling"]),
  core("Engine", ["ServingTypes", "ModelRuntime", "KVCache", "Scheduling", "SpeculativeDecoding"]),
  .systemLibrary(name: "CHiredis"),
  .systemLibrary(name: "CTLS"),
  core("Directory", ["ServingTypes", "Observability", "CHiredis", "COpenSSL", "CTLS"]),
  core("LoadHarness", ["ServingTypes", "KVCache", "Engine", "Directory"]),
  core("ServingTestKit", ["ServingTypes", "ModelRuntime", "ModelSimulation", "KVCache", "Engine"]),
]

let coreTests: [Target] = [
  test("ServingTypesTests", ["ServingTypes", "CKernels"]),
  test("ObservabilityTests", ["Observability"]),
  test("TokenizationTests", ["Tokenization", "ModelRuntime", "ServingTestKit"]),
  test("ModelRuntimeTests", ["ModelRuntime", "CKernels", "Tokenization", "ServingTestKit"]),
  test("RooflineTests", ["CRoofline"]),
  test("KVCacheTests", ["KVCache", "ServingTestKit"]),
  test("SchedulingTests", ["Scheduling", "ServingTestKit"], resources: [.copy("Scenarios")]),
  test("SpeculativeDecodingTests", ["SpeculativeDecoding", "ModelRuntime", "ServingTestKit"]),
  test("EngineTests", ["Engine", "ServingTestKit"]),
  test("LoadHarnessTests", ["LoadHarness", "Engine", "ServingTypes", "ServingTestKit"]),
  test("DirectoryTests", ["Directory", "ServingTypes", "Observability"]),
]

let shellTargets: [Target] = [
  .systemLibrary(name: "CgRPC"),
  .target(name: "ServingProtos", dependencies: [grpc, grpcProtobuf, protobuf]),
  core("GRPCTransport", ["ServingTypes", "CgRPC", grpc]),
  core("RPC", ["ServingTypes", "Observability", "ServingProtos", "GRPCTransport", grpc, grpcProtobuf, protobuf]),
  core(
    "KVTransfer",
    [
      "ServingTypes", "CKernels", "Engine", "ServingProtos", "GRPCTransport", "RPC", grpc, grpcProtobuf, protobuf,
    ]),
  core(
    "Routing",
    ["ServingTypes", "Observability", "Tokenization", "ServingProtos", "RPC", "Directory", grpc, grpcProtobuf, logging]),
  core(
    "OpenAIAPI",
    [
      "ServingTypes", "Observability", "Tokenization", "Routing", hummingbird, nio, nioHTTP,
      httpTypes, lifecycle, logging,
    ]),
  core(
    "PrefillServer",
    [
      "ServingTypes", "Observability", "Engine", "ServingProtos", "GRPCTransport", "RPC", "KVTransfer", "Directory",
      grpc, grpcProtobuf, logging,
    ]),
  core(
    "DecodeServer",
    [
      "ServingTypes", "Observability", "Tokenization", "ModelRuntime", "Engine", "ServingProtos", "GRPCTransport",
      "RPC",
      "KVTransfer", "Directory", "PrefillServer", grpc, grpcProtobuf, logging, lifecycle,
    ]),
  core(
    "RouterServer",
    [
      "ServingTypes", "Observability", "Routing", "OpenAIAPI", "ServingProtos", "GRPCTransport", "RPC", grpc, logging,
    ]),
  core(
    "ClusterHarness",
    [
      "ServingTypes", "Observability", "LoadHarness", "ServingProtos", "GRPCTransport", "RPC", grpc, grpcProtobuf, nio,
      nioPosix, nioHTTP1,
    ]),
  .executableTarget(
    name: "baton",
    dependencies: [
      "ServingTypes", "Observability", "Tokenization", "ModelRuntime", "ModelSimulation", "Scheduling", "Engine",
      "LoadHarness", "RPC", "ClusterHarness", "GRPCTransport", "Directory", "Routing", "OpenAIAPI", "DecodeServer",
      "RouterServer",
      "ServingProtos", arguments, yams, logging, lifecycle, signals, grpc, grpcProtobuf,
    ],
    swiftSettings: strict),
]

let shellTests: [Target] = [
  test("GRPCTransportTests", ["GRPCTransport", "ServingTypes", grpc], resources: [.copy("Peer")]),
  test(
    "RPCTests",
    ["RPC", "Observability", "GRPCTransport", "ServingProtos", "ServingTypes", grpc, grpcProtobuf, protobuf],
    resources: [.copy("Peer")]),
  test(
    "KVTransferTests",
    ["KVTransfer", "Engine", "ServingProtos", "GRPCTransport", "ServingTestKit", grpc, grpcProtobuf, protobuf]),
  test(
    "RoutingTests",
    [
      "ServingTypes", "Observability", "Tokenization", "ServingProtos", "GRPCTransport", "RPC", "Directory", "Routing",
      "RouterServer", grpc, grpcProtobuf, protobuf, logging,
    ]),
  test("OpenAIAPITests", ["OpenAIAPI", "ServingTestKit", nio, nioPosix, lifecycle], exclude: ["Clients"]),
  test(
    "WorkerTests",
    [
      "PrefillServer", "DecodeServer", "KVTransfer", "Engine", "Tokenization", "Observability", "Directory", "RPC",
      "Routing", "GRPCTransport", "ServingProtos", "ServingTypes", "ServingTestKit", grpc, grpcProtobuf, protobuf,
      logging,
    ]),
  test(
    "SimulationTests",
    [
      "PrefillServer", "DecodeServer", "Routing", "KVTransfer", "Engine", "Tokenization", "Observability", "Directory",
      "RPC", "GRPCTransport", "ServingProtos", "ServingTypes", "ServingTestKit", grpc, protobuf, logging,
    ]),
  test(
    "IntegrationTests",
    [
      "ServingTypes", "Observability", "ServingProtos", "GRPCTransport", "ClusterHarness", "LoadHarness", grpc,
      grpcProtobuf, protobuf,
    ],
    exclude: ["Peers"]),
  test("ClusterHarnessTests", ["ClusterHarness", "ServingTypes", nio, nioPosix]),
  test("TidyTests", []),
]

let package = Package(
  name: "baton",
  products: [.executable(name: "kernel-bench", targets: ["KernelBenchmark"])]
    + (coreOnly ? [] : [.executable(name: "baton", targets: ["baton"])]),
  dependencies: coreOnly
    ? []
    : [
      .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
      .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
      .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
      .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
      .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
      .package(url: "https://github.com/apple/swift-nio-extras", from: "1.20.0"),
      .package(url: "https://github.com/apple/swift-http-types", from: "1.0.0"),
      .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
      .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
      .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
      .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
  targets: coreTargets + (coreOnly ? [] : shellTargets)
    + (coreTests + (coreOnly ? [] : shellTests)).filter { chosenTests?.contains($0.name) ?? true },
  swiftLanguageModes: [.v6]
)
