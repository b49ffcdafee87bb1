import AttuneData
import Testing

private func row(_ tokens: [Int32], prompt: Int = 0, line: Int = 1) -> TrainingRow {
    TrainingRow(
        tokens: tokens, trained: tokens.indices.map { $0 >= prompt }, source: RowSource(file: "f", line: line))
}

@Suite struct BatchTests {
    @Test func targetsAreTheNextTokenInsideARow() {
        let batch = Batch([row([1, 2, 3, 4], prompt: 2), row([5, 6])])
        #expect(batch.tokens == [1, 2, 3, 4, 5, 6])
        #expect(batch.targets == [-100, 3, 4, -100, 6, -100])
        #expect(batch.rows.map(\.range) == [0..<4, 4..<6])
        #expect(batch.trainedCount == 3)
    }

    @Test func packingFollowsTRL() {
        // The example of TRL's documentation, and a trace of ties made with it.
        #expect(Packing.bestFitDecreasing(lengths: [4, 2, 3, 1], capacity: 4) == [[0], [2, 3], [1]])
        #expect(
            Packing.bestFitDecreasing(lengths: PackingSample.lengths, capacity: PackingSample.capacity)
                == PackingSample.bins)
        #expect(Packing.bestFitDecreasing(lengths: [0, 3, 0], capacity: 4) == [[1]])
    }

    @Test func packingHoldsEveryRowOnceWithinCapacity() {
        let lengths = (0..<2000).map { 1 + ($0 * 7919) % 1024 }
        let bins = Packing.bestFitDecreasing(lengths: lengths, capacity: 1024)
        #expect(bins.flatMap { $0 }.sorted() == Array(0..<2000))
        let loads = bins.map { $0.reduce(0) { $0 + lengths[$1] } }
        #expect(loads.allSatisfy { $0 <= 1024 })
        #expect(Double(lengths.reduce(0, +)) / Double(bins.count * 1024) > 0.98)
    }

    @Test func plansCoverEveryRowEachEpoch() throws {
        let rows = (0..<23).map { row(Array(repeating: Int32($0), count: 2 + $0 % 7), line: $0 + 1) }
        for mode in BatchOptions.PackingMode.allCases {
            for grouped in [false, true] {
                let plan = try BatchPlan(
                    rows, options: BatchOptions(batchSize: 4, maxLength: 16, packing: mode, groupsByLength: grouped))
                var longest = 0
                for epoch in 0..<3 {
                    let order = plan.order(epoch: epoch)
                    let batches = (0..<plan.batchesPerEpoch).map { plan.batch(at: $0, order: order) }
                    let tokens = batches.flatMap(\.tokens).sorted()
                    #expect(tokens == rows.flatMap(\.tokens).sorted())
                    longest = max(longest, batches.map(\.tokens.count).max() ?? 0)
                }
                #expect(plan.longestBatch(epochs: 3) == longest)
            }
        }
        let plan = try BatchPlan(rows, options: BatchOptions(batchSize: 4, maxLength: 16, shuffles: false))
        #expect(plan.batchesPerEpoch == 6)
        #expect(plan.batch(at: 0, order: plan.order(epoch: 1)).rows.map(\.source.line) == [1, 2, 3, 4])
        #expect(plan.batch(at: 5, order: plan.order(epoch: 1)).rows.count == 3)
        #expect(throws: DataError.self) { try BatchPlan(rows, options: BatchOptions(batchSize: 0, maxLength: 16)) }
        #expect(throws: DataError.self) {
            try BatchPlan(rows, options: BatchOptions(batchSize: 1, maxLength: 4, packing: .bestFit))
        }
    }

    @Test func wrappedPiecesKeepNoBoundaries() throws {
        let rows = [row([1, 2, 3]), row([4, 5, 6, 7])]
        let plan = try BatchPlan(
            rows, options: BatchOptions(batchSize: 1, maxLength: 5, packing: .wrapped, shuffles: false))
        let order = plan.order(epoch: 0)
        let first = plan.batch(at: 0, order: order)
        #expect(first.tokens == [1, 2, 3, 4, 5])
        #expect(first.targets == [2, 3, 4, 5, -100])
        #expect(first.rows.count == 1)
        #expect(plan.batch(at: 1, order: order).tokens == [6, 7])
    }

    @Test func sharedBeginningsAreLaidOutOnce() throws {
        let rows = [
            row([1, 2, 3, 4, 9], prompt: 4), row([1, 2, 3, 4, 8, 7], prompt: 4), row([1, 2, 3, 5, 6], prompt: 4),
        ]
        let layout = PrefixLayout(Batch(rows), minimum: 1)
        #expect(layout.tokens == [1, 2, 3, 4, 9, 4, 8, 7, 5, 6])
        #expect(layout.stretches.map(\.range) == [0..<3, 3..<5, 5..<8, 8..<10])
        // With equal prompts the token from which the answer's first is predicted stays with its row.
        #expect(layout.stretches.map(\.ancestors) == [[], [0..<3], [0..<3], [0..<3]])
        #expect(layout.targets == [-100, -100, -100, 9, -100, 8, 7, -100, 6, -100])
        #expect(layout.savedTokens == 6 && layout.stretches[0].rowCount == 3)
        let apart = PrefixLayout(Batch(rows), minimum: 4)
        #expect(apart.tokens == Batch(rows).tokens && apart.targets == Batch(rows).targets && apart.savedTokens == 0)
    }

    @Test func whatAllRowsBeginWithMayStandBeforeTheBatch() throws {
        let rows = [
            row([1, 2, 3, 4, 9], prompt: 4), row([1, 2, 3, 4, 8, 7], prompt: 4), row([1, 2, 3, 5, 6], prompt: 4),
        ]
        let plan = try BatchPlan(rows, options: BatchOptions(batchSize: 3, maxLength: 16))
        #expect(plan.sharedBeginning == [1, 2, 3])
        let layout = PrefixLayout(Batch(rows), trunk: 3, minimum: 1)
        #expect(layout.tokens == [4, 9, 4, 8, 7, 5, 6])
        #expect(layout.stretches.map(\.range) == [3..<5, 5..<8, 8..<10])
        #expect(layout.stretches.map(\.ancestors) == [[0..<3], [0..<3], [0..<3]])
        #expect(layout.targets == [-100, 9, -100, 8, 7, -100, 6, -100].suffix(7) && layout.savedTokens == 9)
        // One row that learns from its second token on ends it there; so does one of another beginning.
        for (odd, beginning) in [(row([1, 2, 3, 4], prompt: 2), [1]), (row([7, 2, 3, 4], prompt: 3), [])] {
            let mixed = try BatchPlan(rows + [odd], options: BatchOptions(batchSize: 3, maxLength: 16))
            #expect(mixed.sharedBeginning == beginning.map { Int32($0) }[...])
        }
        let whole = try BatchPlan([row([5, 6, 7])], options: BatchOptions(batchSize: 3, maxLength: 16))
        #expect(whole.sharedBeginning == [])
        let wrapped = try BatchPlan(rows, options: BatchOptions(batchSize: 1, maxLength: 4, packing: .wrapped))
        #expect(wrapped.sharedBeginning == [])
    }

    /// Beginnings that all rows share are counted once a batch, exactly; those that some share not at all.
    @Test func theLongestBatchIsWhatHasToBeComputed() throws {
        let opening = (0..<10).map { Int32($0) }
        let rows = (0..<9).map { place in
            row(opening + (0..<2 + place % 4).map { Int32(20 + place + $0) }, prompt: 11)
        }
        let plan = try BatchPlan(rows, options: BatchOptions(batchSize: 4, maxLength: 64))
        let order = plan.order(epoch: 0)
        let batches = (0..<plan.batchesPerEpoch).map { plan.batch(at: $0, order: order) }
        #expect(plan.longestBatch() == batches.map(\.tokens.count).max())
        #expect(plan.longestBatch(sharesBeginnings: true) == batches.map { PrefixLayout($0.needed).tokens.count }.max())
        // A run without end is not walked through: the four longest rows could meet.
        #expect(plan.longestBatch(epochs: .max) == 15 + 15 + 14 + 14)
        #expect(plan.longestBatch(epochs: .max, sharesBeginnings: true) == 14 + 4 + 3 + 3)
    }

    /// Nothing is learned from a row's last token, nor from what follows the last learned one.
    @Test func onlyWhatSomethingIsLearnedFromIsNeeded() {
        var turns = row([1, 2, 3, 4, 5, 6], prompt: 2)
        turns.trained = [false, false, true, true, false, false]
        let unlearned = row([7, 8], prompt: 2)
        let rows = [turns, unlearned, row([4, 5, 6], prompt: 1), row([9], prompt: 0)]
        let batch = Batch(rows)
        let needed = batch.needed
        #expect(needed.tokens == [1, 2, 3, 7, 8, 4, 5, 9])
        #expect(needed.targets == [-100, 3, 4, -100, -100, 5, 6, -100])
        #expect(needed.rows.map(\.range) == [0..<3, 3..<5, 5..<7, 7..<8])
        #expect(needed.rows.map(\.identity) == batch.rows.map(\.identity))
        #expect(needed.trainedCount == batch.trainedCount && needed.needed == needed)
        #expect(rows.map(\.neededCount) == needed.rows.map(\.range.count))
    }

    @Test func beginningsFormATree() throws {
        let rows = [
            row([1, 2, 5, 6, 9, 0], prompt: 5), row([3, 3, 3], prompt: 1), row([1, 2, 5, 6, 8, 0], prompt: 5),
            row([1, 2, 7, 0], prompt: 3),
        ]
        let layout = PrefixLayout(Batch(rows), minimum: 2)
        #expect(layout.tokens == [1, 2, 5, 6, 9, 0, 8, 0, 7, 0, 3, 3, 3])
        #expect(layout.stretches.map(\.rowCount) == [3, 2, 1, 1, 1, 1])
        #expect(
            layout.stretches.map(\.ancestors) == [[], [0..<2], [0..<2, 2..<4], [0..<2, 2..<4], [0..<2], []])
        #expect(layout.savedTokens == 2 * 2 + 2)
    }

    /// Whatever the rows: following each row's stretches gives its tokens and targets back.
    @Test(arguments: 0..<40) func everyRowCanBeReadBack(seed: Int) throws {
        let values = RowOrder.shuffled(4000, seed: UInt64(seed), epoch: 0)
        var place = 0
        func draw(_ below: Int) -> Int {
            place += 1
            return values[place] % below
        }
        let rows = (0..<12).map { _ in
            row((0..<2 + draw(12)).map { _ in Int32(draw(2)) }, prompt: draw(10))
        }
        let batch = Batch(rows)
        let layout = PrefixLayout(batch, minimum: 1 + seed % 3)
        #expect(layout.tokens.count + layout.savedTokens == batch.tokens.count)
        let leaves = layout.stretches.filter { $0.rowCount == 1 }.map { stretch in
            (stretch.ancestors + [stretch.range]).flatMap { Array(layout.tokens[$0]) }
                + (stretch.ancestors + [stretch.range]).flatMap { Array(layout.targets[$0]) }
        }
        let expected = batch.rows.map { Array(batch.tokens[$0.range]) + Array(batch.targets[$0.range]) }
        #expect(
            leaves.sorted { $0.lexicographicallyPrecedes($1) } == expected.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(layout.targets.count { $0 != Batch.ignored } == batch.trainedCount)
    }
}

@Suite struct RowOrderTests {
    @Test func permutationsDependOnSeedAndEpochAlone() {
        let order = RowOrder.shuffled(1000, seed: 42, epoch: 0)
        #expect(order.sorted() == Array(0..<1000))
        #expect(order == RowOrder.shuffled(1000, seed: 42, epoch: 0))
        #expect(order != RowOrder.shuffled(1000, seed: 42, epoch: 1))
        #expect(order != RowOrder.shuffled(1000, seed: 43, epoch: 0))
        // Fixed for ever: a checkpoint of today resumes tomorrow.
        #expect(RowOrder.shuffled(8, seed: 42, epoch: 3) == RowOrderSample.eight)
        #expect(RowOrder.shuffled(0, seed: 1, epoch: 0).isEmpty)
    }

    @Test func shuffleIsFair() {
        var counts = [Int](repeating: 0, count: 24)
        for epoch in 0..<24_000 {
            let order = RowOrder.shuffled(4, seed: 7, epoch: epoch)
            let rank = order.indices.reduce(0) { sum, place in
                sum * (4 - place) + order[(place + 1)...].count { $0 < order[place] }
            }
            counts[rank] += 1
        }
        // 23 degrees of freedom: above 60 with probability below 0.0001.
        let statistic = counts.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
        #expect(statistic < 60)
    }

    @Test func likeLengthsShareABatch() {
        let lengths = (0..<400).map { 1 + ($0 * 37) % 200 }
        let order = RowOrder.groupedByLength(lengths, batchSize: 8, seed: 1, epoch: 0)
        #expect(order.sorted() == Array(0..<400))
        #expect(lengths[order[0]] == lengths.max())
        func waste(_ order: [Int]) -> Int {
            stride(from: 0, to: 400, by: 8).reduce(0) { sum, start in
                let batch = order[start..<(start + 8)].map { lengths[$0] }
                return sum + 8 * (batch.max() ?? 0) - batch.reduce(0, +)
            }
        }
        #expect(waste(order) * 5 < waste(RowOrder.shuffled(400, seed: 1, epoch: 0)))
    }

    @Test func cursorsWalkThroughEpochs() {
        var cursor = Cursor()
        for _ in 0..<7 { cursor = cursor.advanced(batchesPerEpoch: 3) }
        #expect(cursor == Cursor(epoch: 2, position: 1))
    }
}
