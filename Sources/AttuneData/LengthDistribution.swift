import AttuneJSON

/// How long rows are, in tokens, against the length limit.
public struct LengthDistribution: Sendable, Equatable {
    /// The limit.
    public let maxLength: Int
    /// Lengths, ascending.
    public let lengths: [Int]
    /// Upper edges (inclusive) and counts of about a dozen equal stretches.
    public let histogram: [(upTo: Int, count: Int)]

    /// The distribution of some lengths.
    public init(_ lengths: [Int], maxLength: Int) {
        self.maxLength = maxLength
        let sorted = lengths.sorted()
        self.lengths = sorted
        let longest = sorted.last ?? 0
        // The first of 1, 2, 5, 10, 20, … that needs at most a dozen stretches.
        var width = 1
        var step = 0
        while longest > width * 12 {
            width = step % 3 == 1 ? width / 2 * 5 : width * 2
            step += 1
        }
        var bars = [Int](repeating: 0, count: longest == 0 ? 0 : (longest + width - 1) / width)
        for length in sorted where length > 0 { bars[(length - 1) / width] += 1 }
        histogram = bars.enumerated().map { (upTo: ($0 + 1) * width, count: $1) }
    }

    /// Equal lengths against the same limit.
    public static func == (left: LengthDistribution, right: LengthDistribution) -> Bool {
        left.maxLength == right.maxLength && left.lengths == right.lengths
    }

    /// The length that a share of the rows does not pass.
    public func quantile(_ share: Double) -> Int {
        guard !lengths.isEmpty else { return 0 }
        return lengths[max(0, Int((share * Double(lengths.count)).rounded(.up)) - 1)]
    }

    /// How many rows are longer than the limit.
    public var overCount: Int { lengths.count { $0 > maxLength } }

    /// Figures and histogram.
    public var json: JSON {
        let total = lengths.reduce(0, +)
        return [
            "max_length": JSON(maxLength), "over": JSON(overCount), "total": JSON(total),
            "mean": JSON(lengths.isEmpty ? 0 : Double(total) / Double(lengths.count)), "min": JSON(lengths.first ?? 0),
            "median": JSON(quantile(0.5)), "p90": JSON(quantile(0.9)), "p99": JSON(quantile(0.99)),
            "max": JSON(lengths.last ?? 0),
            "histogram": .array(histogram.map { ["up_to": JSON($0.upTo), "count": JSON($0.count)] }),
        ]
    }

    /// Figures and bars.
    public var text: String {
        var lines = [
            "tokens per row: median \(quantile(0.5)), 90 % ≤ \(quantile(0.9)), longest \(lengths.last ?? 0); "
                + "\(overCount) over max_length \(maxLength)"
        ]
        let most = histogram.map(\.count).max() ?? 1
        let width = histogram.last.map { String($0.upTo).count } ?? 1
        for bar in histogram {
            let label = String(repeating: " ", count: width - String(bar.upTo).count) + String(bar.upTo)
            let length = bar.count == 0 ? 0 : max(1, bar.count * 40 / max(1, most))
            let mark = bar.upTo > maxLength ? "▒" : "█"
            lines.append("  ≤ \(label) \(String(repeating: mark, count: length)) \(bar.count)")
        }
        return lines.joined(separator: "\n")
    }
}
