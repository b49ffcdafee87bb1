/// The order in which an epoch visits its rows: a function of seed and epoch alone, with no state to be saved.
public enum RowOrder {
    // Keeps the numbers of this use apart from other uses of the same seed.
    private static let stream: UInt32 = 0x5348_5546

    /// A permutation of `0..<count` (Fisher and Yates, random numbers by Philox).
    public static func shuffled(_ count: Int, seed: UInt64, epoch: Int) -> [Int] {
        let random = Philox(seed: seed)
        var order = Array(0..<count)
        guard count > 1 else { return order }
        for last in stride(from: count - 1, to: 0, by: -1) {
            let draw = random.block(
                (
                    UInt32(truncatingIfNeeded: last), UInt32(truncatingIfNeeded: last >> 32),
                    UInt32(truncatingIfNeeded: epoch), stream
                ))
            let wide = UInt64(draw.0) << 32 | UInt64(draw.1)
            order.swapAt(last, Int(wide.multipliedFullWidth(by: UInt64(last) + 1).high))
        }
        return order
    }

    /// Rows of like length together: the shuffled order in stretches of fifty batches, longest first within each, and
    /// the batch with the longest row of all before the others, so that memory runs out early or never.
    public static func groupedByLength(_ lengths: [Int], batchSize: Int, seed: UInt64, epoch: Int) -> [Int] {
        let shuffled = shuffled(lengths.count, seed: seed, epoch: epoch)
        let stretch = max(1, batchSize) * 50
        var stretches: [[Int]] = []
        for start in stride(from: 0, to: shuffled.count, by: stretch) {
            let rows = shuffled[start..<min(start + stretch, shuffled.count)]
            let places = Dictionary(uniqueKeysWithValues: zip(rows, 0...))
            stretches.append(
                rows.sorted { (-lengths[$0], places[$0] ?? 0) < (-lengths[$1], places[$1] ?? 0) })
        }
        if let first = stretches.indices.max(by: { lengths[stretches[$0][0]] < lengths[stretches[$1][0]] }) {
            stretches.swapAt(0, first)
        }
        return stretches.flatMap { $0 }
    }
}

/// A place in training that can be written down and returned to: all before it is done.
public struct Cursor: Sendable, Equatable {
    /// The epoch, counted from 0.
    public var epoch: Int
    /// The next batch of that epoch, counted from 0.
    public var position: Int

    /// A place; the start of training unless said otherwise.
    public init(epoch: Int = 0, position: Int = 0) {
        self.epoch = epoch
        self.position = position
    }

    /// The place after one more batch.
    public func advanced(batchesPerEpoch: Int) -> Cursor {
        position + 1 < batchesPerEpoch
            ? Cursor(epoch: epoch, position: position + 1) : Cursor(epoch: epoch + 1, position: 0)
    }
}
