import ArgumentParser

/// The command line.
struct Baton: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "baton",
    abstract: "Serves large language models in two tiers: prefill and decode.",
    discussion: """
      Parameters are flags, variables (BATON_BLOCK_SIZE for --block-size) and keys of a YAML file (block_size, --config); \
      the first one wins.

      EXAMPLES
        baton serve --model model.gguf
        baton generate --model model.gguf --prompt "Name three rivers."
        baton prefill --model model.gguf --redis redis://127.0.0.1:6379
        baton decode  --model model.gguf --redis redis://127.0.0.1:6379
        baton router  --model model.gguf --redis redis://127.0.0.1:6379

      EXIT CODES
        0   done
        1   failed
        64  wrong use or bad input
        66  a file or model is missing
        69  nobody can serve
        75  too busy
        77  not allowed
        130 interrupted
      """,
    version: "baton 0.1.0",
    subcommands: [
      Serve.self, Router.self, Prefill.self, Decode.self, Generate.self, Bench.self, Doctor.self, Model.self,
    ])
}
