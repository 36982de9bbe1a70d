import Glibc

/// Finds models for tests that run real ones; such tests are skipped where the model is absent.
public enum ModelFile {
  public static let smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
  public static let gemma3 = "gemma-3-270m.Q4_K_M.gguf"
  public static let qwenHalfBillion = "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"
  public static let qwen = "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf"

  /// The model's path in `$BATON_MODELS`, or else in `~/.cache/baton/models`; nil where it is not there.
  public static func path(_ name: String) -> String? {
    func environment(_ variable: String) -> String? { getenv(variable).map { String(cString: $0) } }
    let folder = environment("BATON_MODELS") ?? (environment("HOME") ?? "") + "/.cache/baton/models"
    let path = folder + "/" + name
    return access(path, R_OK) == 0 ? path : nil
  }
}
