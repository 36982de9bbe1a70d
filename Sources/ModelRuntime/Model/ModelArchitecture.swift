/// The model families that can be run.
public enum ModelArchitecture: String, Hashable, Sendable, CaseIterable {
  case llama
  case qwen2
  case gemma3
}
