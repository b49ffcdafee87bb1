/// How rows become batches.
public struct BatchOptions: Sendable {
    /// What fills a sequence.
    public enum PackingMode: String, Sendable, CaseIterable {
        /// Each row is a sequence.
        case none
        /// Whole rows share a sequence of at most `maxLength` tokens and do not see each other.
        case bestFit
        /// All rows end to end, cut every `maxLength` tokens; rows of a piece see each other.
        case wrapped
    }

    /// Sequences (rows, or packed sequences) in a batch.
    public var batchSize: Int
    /// The length of packed sequences.
    public var maxLength: Int
    /// What fills a sequence.
    public var packing: PackingMode
    /// Whether each epoch has an order of its own; otherwise that of the file.
    public var shuffles: Bool
    /// Whether sequences of like length share a batch.
    public var groupsByLength: Bool
    /// The seed of all orders.
    public var seed: UInt64

    /// Options.
    public init(
        batchSize: Int, maxLength: Int, packing: PackingMode = .none, shuffles: Bool = true,
        groupsByLength: Bool = false,
        seed: UInt64 = 42
    ) {
        self.batchSize = batchSize
        self.maxLength = maxLength
        self.packing = packing
        self.shuffles = shuffles
        self.groupsByLength = groupsByLength
        self.seed = seed
    }
}

/// The batches of every epoch, each found from its cursor alone.
///
/// Packing is done once, over all rows; epochs differ in the order of the sequences.
public struct BatchPlan: Sendable {
    private let rows: [TrainingRow]
    private let options: BatchOptions
    /// Rows of each sequence.
    private let sequences: [[Int]]
    private let lengths: [Int]
    /// Tokens of each sequence that its batch needs; see `Batch.needed`.
    private let neededLengths: [Int]
    /// What all rows begin with and none learns from: their longest common beginning before the place from which a row's
    /// first learned token is predicted.
    public let sharedBeginning: ArraySlice<Int32>

    /// Plans batches.
    /// - Throws: `DataError` for a batch size below 1, or a row longer than a packed sequence.
    public init(_ rows: [TrainingRow], options: BatchOptions) throws(DataError) {
        guard options.batchSize >= 1 else {
            throw DataError(.usage, "per_device_train_batch_size is \(options.batchSize); it must be at least 1")
        }
        self.options = options
        switch options.packing {
        case .none:
            self.rows = rows
            sequences = rows.indices.map { [$0] }
        case .bestFit:
            if let long = rows.first(where: { $0.tokens.count > options.maxLength }) {
                throw DataError(
                    .badData, "\(long.tokens.count) tokens do not fit a packed sequence of \(options.maxLength)",
                    at: long.source)
            }
            self.rows = rows
            sequences = Packing.bestFitDecreasing(lengths: rows.map(\.tokens.count), capacity: options.maxLength)
        case .wrapped:
            guard options.maxLength >= 2 else {
                throw DataError(.usage, "max_length is \(options.maxLength); a wrapped piece needs at least two tokens")
            }
            self.rows = Self.wrapped(rows, length: options.maxLength)
            sequences = self.rows.indices.map { [$0] }
        }
        let all = self.rows
        lengths = sequences.map { $0.reduce(0) { $0 + all[$1].tokens.count } }
        neededLengths = sequences.map { $0.reduce(0) { $0 + all[$1].neededCount } }
        sharedBeginning = Self.sharedBeginning(all)
    }

    /// How many batches an epoch has; the last may have fewer sequences.
    public var batchesPerEpoch: Int { (sequences.count + options.batchSize - 1) / options.batchSize }

    /// How many sequences an epoch has: rows, or packed sequences.
    public var sequenceCount: Int { sequences.count }

    /// How many tokens of an epoch are learned.
    public var trainedCount: Int { rows.reduce(0) { $0 + $1.trainedCount } }

    /// Sequences whose batches are looked at one by one; the orders of a longer run are not worth the wait before its first step.
    private static let mostOrdered = 2_000_000

    /// The most tokens a batch of the first epochs needs computed; of a very long run, the most it could.
    ///
    /// - Parameter sharesBeginnings: whether only what is needed of a batch is computed, and what all rows begin with once; what only
    ///   some share is not counted off.
    public func longestBatch(epochs: Int = 1, sharesBeginnings: Bool = false) -> Int {
        let beginning = sharesBeginnings ? sharedBeginning.count : 0
        let off = beginning < PrefixLayout.shortest ? 0 : beginning
        // What a sequence adds to its batch; the beginning stands once in it.
        let own = sequences.indices.map {
            (sharesBeginnings ? neededLengths[$0] : lengths[$0]) - off * sequences[$0].count
        }
        guard epochs <= Self.mostOrdered / max(1, sequences.count) else {
            return off + own.sorted(by: >).prefix(options.batchSize).reduce(0, +)
        }
        return off + ((0..<epochs).map { longestSum(own, order(epoch: $0)) }.max() ?? 0)
    }

    private func longestSum(_ own: [Int], _ order: [Int]) -> Int {
        stride(from: 0, to: order.count, by: options.batchSize).map { start in
            order[start..<min(start + options.batchSize, order.count)].reduce(0) { $0 + own[$1] }
        }.max() ?? 0
    }

    private static func sharedBeginning(_ rows: [TrainingRow]) -> ArraySlice<Int32> {
        guard var shared = rows.first?.tokens[...] else { return [] }
        for row in rows {
            let first = row.trained.dropFirst().firstIndex(of: true) ?? row.tokens.count
            shared = shared.prefix(max(0, first - 1))
            shared = shared.prefix(zip(shared, row.tokens).prefix { $0 == $1 }.count)
            if shared.isEmpty { break }
        }
        return shared
    }

    /// Names the rows and how they share sequences, by content: equal for equal plans, on every machine.
    public var fingerprint: UInt64 {
        var hash = StableHash()
        for sequence in sequences {
            hash.combine(UInt64(sequence.count))
            for row in sequence { hash.combine(rows[row].identity) }
        }
        return hash.value
    }

    /// The order in which an epoch visits the sequences. Make it once an epoch and pass it to `batch`.
    public func order(epoch: Int) -> [Int] {
        if options.groupsByLength {
            return RowOrder.groupedByLength(
                lengths, batchSize: options.batchSize, seed: options.seed, epoch: options.shuffles ? epoch : 0)
        }
        return options.shuffles
            ? RowOrder.shuffled(sequences.count, seed: options.seed, epoch: epoch) : Array(sequences.indices)
    }

    /// The rows of a batch.
    /// - Precondition: `position` is below `batchesPerEpoch`.
    public func rows(at position: Int, order: [Int]) -> [TrainingRow] {
        let start = position * options.batchSize
        return order[start..<min(start + options.batchSize, order.count)].flatMap { sequences[$0].map { rows[$0] } }
    }

    /// A batch of an epoch's order.
    /// - Precondition: `position` is below `batchesPerEpoch`.
    public func batch(at position: Int, order: [Int]) -> Batch { Batch(rows(at: position, order: order)) }

    /// All rows end to end, cut every `length` tokens; the short last piece is kept.
    private static func wrapped(_ rows: [TrainingRow], length: Int) -> [TrainingRow] {
        var pieces: [TrainingRow] = []
        var tokens: [Int32] = []
        var trained: [Bool] = []
        var source: RowSource?
        func flush() {
            if let first = source { pieces.append(TrainingRow(tokens: tokens, trained: trained, source: first)) }
            (tokens, trained, source) = ([], [], nil)
        }
        for row in rows {
            for place in row.tokens.indices {
                source = source ?? row.source
                tokens.append(row.tokens[place])
                trained.append(row.trained[place])
                if tokens.count == length { flush() }
            }
        }
        flush()
        return pieces
    }
}
