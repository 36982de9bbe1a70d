import ClusterHarness
import Testing

@Suite struct ChaosAnswerTests {
  private func answer(_ samples: (String, String?)...) -> ChaosAnswer {
    var answer = ChaosAnswer(samples: samples.count)
    for (index, sample) in samples.enumerated() {
      answer.samples[index].text = sample.0
      answer.samples[index].finish = sample.1
    }
    return answer
  }

  @Test func aBeginningIsRight() {
    let right = answer(("one two", "length"), ("three", "stop"))
    #expect(answer(("", nil), ("", nil)).begins(right))
    #expect(answer(("one t", nil), ("three", nil)).begins(right))
    #expect(right.begins(right))
  }

  @Test func everythingElseIsWrong() {
    let right = answer(("one two", "length"))
    #expect(!answer(("one x", nil)).begins(right))
    #expect(!answer(("one two three", nil)).begins(right))
    #expect(!answer(("one", "length")).begins(right), "a good end that comes too early")
    #expect(!answer(("one two", "stop")).begins(right))
    #expect(!answer(("one two", "length"), ("", nil)).begins(right))
  }
}
