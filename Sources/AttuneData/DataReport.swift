import AttuneJSON

/// What there is to know about a data set before training on it.
public struct DataReport: Sendable {
    /// A question that is answered in more than one way.
    public struct Contradiction: Sendable {
        /// The question.
        public var question: String
        /// The answers and the rows that give them.
        public var answers: [(answer: String, sources: [RowSource])]
    }

    /// A row of the test files whose question is also in the training files.
    public struct Leak: Sendable {
        /// The row to be tested on.
        public var test: RowSource
        /// The first row with the same question that is trained on.
        public var train: RowSource
        /// Whether question and answer are the same to the byte.
        public var isExact: Bool
    }

    /// How many rows could be read and recognised.
    public private(set) var rowCount = 0
    /// What is wrong with the others.
    public let errors: [DataError]
    /// Groups of rows with the same question and answer, to the byte.
    public private(set) var exactDuplicates: [[RowSource]] = []
    /// Groups of rows with nearly the same question, exact duplicates not repeated.
    public private(set) var nearDuplicates: [[RowSource]] = []
    /// Questions answered differently.
    public private(set) var contradictions: [Contradiction] = []
    /// Test rows that are trained on.
    public private(set) var leaks: [Leak] = []
    /// Labels, and answers that say little.
    public let answers: AnswerStatistics
    /// Where each row would go in training; `nil` without a tokenizer.
    public private(set) var ledger: RowLedger?
    /// How long rows are; `nil` without a tokenizer.
    public private(set) var lengths: LengthDistribution?
    /// One row as stretches that are learned or not; empty without a tokenizer.
    public private(set) var sample: [(text: String, isTrained: Bool)] = []

    /// How a model would see the data.
    public struct ModelView: Sendable {
        /// Tokenizer and form.
        public var encoder: RowEncoder
        /// The length limit.
        public var maxLength: Int
        /// What happens to longer rows.
        public var overlength: Overlength
        /// Whether rows equal to an earlier one are left out.
        public var removesDuplicates: Bool

        /// A view.
        public init(
            encoder: RowEncoder, maxLength: Int, overlength: Overlength = .stop, removesDuplicates: Bool = false
        ) {
            self.encoder = encoder
            self.maxLength = maxLength
            self.overlength = overlength
            self.removesDuplicates = removesDuplicates
        }
    }

    /// Examines examples.
    /// - Parameters:
    ///   - examples: rows to train on.
    ///   - test: rows to test on, to be looked for among the former.
    ///   - errors: rows that could not be read.
    ///   - model: how a model would see the data; without it there are no token counts.
    public init(
        _ examples: [Example], test: [Example] = [], errors: [DataError] = [], model: ModelView? = nil
    ) {
        self.errors = errors
        rowCount = examples.count
        answers = AnswerStatistics(examples)
        findDuplicates(examples, test: test)
        findContradictions(examples)
        guard let model else { return }
        let prepared = PreparedRows(
            surveying: examples, encoder: model.encoder, maxLength: model.maxLength, overlength: model.overlength,
            removesDuplicates: model.removesDuplicates)
        ledger = prepared.ledger
        lengths = LengthDistribution(
            prepared.ledger.entries.filter { $0.tokens > 0 }.map(\.tokens), maxLength: model.maxLength)
        if let first = prepared.rows.first?.source, let example = examples.first(where: { $0.source == first }) {
            sample = (try? model.encoder.explain(example)) ?? []
        }
    }

    private mutating func findDuplicates(_ train: [Example], test: [Example]) {
        let all = train + test
        let exact = all.map { ByteString("\($0.question.shared)\u{0}\($0.question.own)\u{0}\($0.answer ?? "")") }
        let near = Similarity(all.map(\.question)).groups
        var byText: [ByteString: [Int]] = [:]
        var byGroup: [Int: [Int]] = [:]
        for place in train.indices {
            byText[exact[place], default: []].append(place)
            byGroup[near[place], default: []].append(place)
        }
        let sources = { (places: [Int]) in places.map { all[$0].source } }
        exactDuplicates = byText.values.filter { $0.count > 1 }.sorted { $0[0] < $1[0] }.map(sources)
        nearDuplicates = byGroup.values.map { group -> [Int] in
            var seen = Set<ByteString>()
            return group.filter { seen.insert(exact[$0]).inserted }
        }.filter { $0.count > 1 }.sorted { $0[0] < $1[0] }.map(sources)
        for place in train.count..<all.count {
            guard let group = byGroup[near[place]], let first = group.first else { continue }
            let same = byText[exact[place]]?.first
            leaks.append(
                Leak(test: all[place].source, train: all[same ?? first].source, isExact: same != nil))
        }
    }

    private mutating func findContradictions(_ examples: [Example]) {
        var byQuestion: [ByteString: [Int]] = [:]
        for (place, example) in examples.enumerated() where example.answer != nil {
            let question = example.question
            byQuestion[ByteString(question.shared + "\u{0}" + question.own), default: []].append(place)
        }
        for places in byQuestion.values.sorted(by: { $0[0] < $1[0] }) where places.count > 1 {
            var answers: [(answer: String, sources: [RowSource])] = []
            for place in places {
                let answer = examples[place].answer ?? ""
                if let known = answers.firstIndex(where: { $0.answer.utf8.elementsEqual(answer.utf8) }) {
                    answers[known].sources.append(examples[place].source)
                } else {
                    answers.append((answer, [examples[place].source]))
                }
            }
            guard answers.count > 1 else { continue }
            let question = examples[places[0]].question
            contradictions.append(
                Contradiction(
                    question: question.shared.isEmpty ? question.own : question.shared + "\n" + question.own,
                    answers: answers))
        }
    }
}
