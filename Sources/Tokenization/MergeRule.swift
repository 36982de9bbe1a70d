/// Which two neighbouring symbols may become one, and how urgently.
protocol MergeRule {
  /// The lowest priority is merged first; nil where the two don't merge.
  func merge(_ left: SymbolMerger.Symbol, _ right: SymbolMerger.Symbol) -> (priority: UInt32, id: Int32)?
}
