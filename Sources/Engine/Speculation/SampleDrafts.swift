import ServingTypes
import SpeculativeDecoding

/// What one sample's drafts are made of; the proposers are empty until the first draft is wanted.
struct SampleDrafts {
  var length: DraftLength
  var ngram: NGramProposer?
  var suffix: SuffixProposer?

  init(length: DraftLength) { self.length = length }

  /// Takes a token that the sequence certainly has now.
  mutating func append(_ token: TokenID) {
    ngram?.append(contentsOf: CollectionOfOne(token))
    suffix?.append(contentsOf: CollectionOfOne(token))
  }
}
