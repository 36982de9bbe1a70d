import ArgumentParser

/// `baton bench`.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures this machine, or compares ways to serve on it.",
    discussion: """
      Without a subcommand it is `baton bench engine`, whose options --help names. docs/benchmarks.md says what a row counts.

      EXAMPLES
        baton bench --model model.gguf
        baton bench engine --help
        baton bench paged --model model.gguf --svg paged.svg
        baton bench chaos --model model.gguf
        baton bench handoff
        baton bench latency --model model.gguf
        baton bench offload --model model.gguf
        baton bench cluster --policy prefix,round_robin
        baton bench router
        baton bench directory
        baton bench prompts --model model.gguf
        baton bench sweep --model model.gguf --parameter block_size --values 8,16,32,64
        baton bench speculation --model model.gguf --draft-model small.gguf
      """,
    subcommands: [
      BenchEngine.self, BenchPaged.self, BenchSweep.self, BenchSpeculation.self, BenchLatency.self, BenchOffload.self,
      BenchChaos.self, BenchCluster.self, BenchRouter.self, BenchDirectory.self, BenchHandoff.self,
      BenchPrompts.self,
    ],
    defaultSubcommand: BenchEngine.self)
}
