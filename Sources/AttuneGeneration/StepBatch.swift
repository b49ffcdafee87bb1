import AttuneTensor

extension Scheduler {
    /// The rows of a plan in the form the model takes, and how many rows of logits each part gets.
    public func batch(for plan: StepPlan) -> (batch: InferenceBatch, logitCounts: [Int]) {
        let size = pool.blockSize
        var tokens: [Int32] = []
        var cacheRows: [Int32] = []
        var segments: [Segment] = []
        var logitRows: [Int32] = []
        var logitCounts: [Int] = []
        var adapters: [(rows: Range<Int>, adapter: String?)] = []
        for part in plan.parts {
            guard let sequence = sequences[part.id] else { preconditionFailure("part of an unknown sequence") }
            let first = tokens.count
            tokens.append(contentsOf: sequence.tokens[part.range])
            for position in part.range {
                cacheRows.append(Int32(sequence.table[position / size] * size + position % size))
            }
            let rows = first..<tokens.count
            segments.append(
                Segment(
                    queries: rows, keys: Self.rows(of: sequence.table, count: part.range.upperBound, size),
                    identity: UInt64(part.id)))
            let wanted =
                sequence.wantsPromptLogits && part.range.lowerBound < sequence.promptCount
                ? rows : part.reachesEnd ? rows.suffix(1) : rows.suffix(0)
            logitRows.append(contentsOf: wanted.map(Int32.init))
            logitCounts.append(wanted.count)
            if let last = adapters.last, last.adapter == sequence.scope.adapter {
                adapters[adapters.count - 1].rows = last.rows.lowerBound..<tokens.count
            } else {
                adapters.append((rows, sequence.scope.adapter))
            }
        }
        let batch = InferenceBatch(
            tokens: tokens, cacheRows: cacheRows, segments: SegmentTable(segments), logitRows: logitRows,
            adapters: adapters)
        return (batch, logitCounts)
    }

    /// The first `count` rows of a block table, neighbouring blocks joined.
    private static func rows(of table: [Int], count: Int, _ size: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var left = count
        for block in table where left > 0 {
            let rows = block * size..<block * size + min(size, left)
            left -= rows.count
            if let last = ranges.last, last.upperBound == rows.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<rows.upperBound
            } else {
                ranges.append(rows)
            }
        }
        return ranges
    }
}
