/// Where a step's prompts stand while it is made.
struct PromptTurn {
  /// Sure of its share, and placed last, though before the others in the step.
  var oldest: Sequence?
  var reserved = 0
  var place = 0
  /// The other running prompts, in the order in which they are served.
  var others: [Sequence] = []
  /// Of these, the ones that had their turn.
  var passed = 0

  var next: Sequence? { passed < others.count ? others[passed] : nil }
}
