/// Exact match among questions of similar length.
public struct LengthSlice: Sendable {
    /// The shortest and the longest question of the slice, in characters (Unicode code points).
    public let lengths: ClosedRange<Int>
    /// Exact matches.
    public let correct: Proportion

    /// Quartiles by length of the question; equal lengths share a slice, so there may be fewer than four.
    static func quartiles(_ predictions: [Prediction]) -> [LengthSlice] {
        guard predictions.count >= 4 else { return [] }
        let sorted = predictions.map { (length: $0.prompt.unicodeScalars.count, right: $0.isExactMatch) }
            .sorted { $0.length < $1.length }
        var slices: [LengthSlice] = []
        var start = 0
        for quarter in 1...4 {
            var end = sorted.count * quarter / 4
            while end > start, end < sorted.count, sorted[end].length == sorted[end - 1].length { end += 1 }
            guard end > start else { continue }
            let part = sorted[start..<end]
            slices.append(
                LengthSlice(
                    lengths: sorted[start].length...sorted[end - 1].length,
                    correct: Proportion(part.count { $0.right }, of: part.count)))
            start = end
        }
        return slices
    }
}
