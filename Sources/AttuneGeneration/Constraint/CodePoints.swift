/// A set of Unicode code points as ascending, separate ranges.
struct CodePoints: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let all = CodePoints([0...0xD7FF, 0xE000...0x10FFFF])
    static let digits = CodePoints([0x30...0x39])
    static let word = CodePoints([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let space = CodePoints([0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x2028...0x2029, 0xFEFF...0xFEFF])
    static let lineEnds = CodePoints([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])
    /// What cannot stand for itself in a JSON string.
    static let jsonEscaped = CodePoints([0...0x1F, 0x22...0x22, 0x5C...0x5C])

    init(_ ranges: [ClosedRange<UInt32>]) { for range in ranges { insert(range) } }

    init(_ scalar: UInt32) { ranges = [scalar...scalar] }

    var isEmpty: Bool { ranges.isEmpty }

    mutating func insert(_ new: ClosedRange<UInt32>) {
        var low = new.lowerBound
        var high = new.upperBound
        var kept: [ClosedRange<UInt32>] = []
        for range in ranges {
            let touches = UInt64(range.upperBound) + 1 >= UInt64(low) && UInt64(high) + 1 >= UInt64(range.lowerBound)
            if touches {
                low = min(low, range.lowerBound)
                high = max(high, range.upperBound)
            } else {
                kept.append(range)
            }
        }
        kept.append(low...high)
        ranges = kept.sorted { $0.lowerBound < $1.lowerBound }
    }

    func union(_ other: CodePoints) -> CodePoints { CodePoints(ranges + other.ranges) }

    func subtracting(_ other: CodePoints) -> CodePoints {
        var result: [ClosedRange<UInt32>] = []
        for range in ranges {
            var low = UInt64(range.lowerBound)
            let high = UInt64(range.upperBound)
            for cut in other.ranges where UInt64(cut.upperBound) >= low && UInt64(cut.lowerBound) <= high {
                if UInt64(cut.lowerBound) > low { result.append(UInt32(low)...cut.lowerBound - 1) }
                low = UInt64(cut.upperBound) + 1
            }
            if low <= high { result.append(UInt32(low)...UInt32(high)) }
        }
        return CodePoints(result)
    }

    func intersection(_ other: CodePoints) -> CodePoints { subtracting(CodePoints.all.subtracting(other)) }

    var inverted: CodePoints { CodePoints.all.subtracting(self) }

    /// The UTF-8 encodings of the set; surrogates are left out.
    var utf8: GrammarNode {
        var ascii = ByteSet()
        var parts: [GrammarNode] = []
        let lengths: [(ClosedRange<UInt32>, Int)] = [
            (0x80...0x7FF, 2), (0x800...0xD7FF, 3), (0xE000...0xFFFF, 3), (0x10000...0x10FFFF, 4),
        ]
        for range in ranges {
            if range.lowerBound <= 0x7F {
                ascii = ascii.union(ByteSet(UInt8(range.lowerBound)...UInt8(min(range.upperBound, 0x7F))))
            }
            for (block, length) in lengths where range.overlaps(block) {
                let clamped = range.clamped(to: block)
                parts.append(
                    Self.sequence(
                        Self.encode(clamped.lowerBound, length)[...], Self.encode(clamped.upperBound, length)[...]))
            }
        }
        if !ascii.isEmpty { parts.insert(.set(ascii), at: 0) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private static func encode(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        let lead: [UInt8] = [0, 0, 0xC0, 0xE0, 0xF0]
        var bytes: [UInt8] = []
        for place in (1..<length).reversed() {
            bytes.append(UInt8(scalar >> UInt32(6 * place) & (place == length - 1 ? 0x1F : 0x3F)) | 0x80)
        }
        bytes.append(UInt8(scalar & 0x3F) | 0x80)
        bytes[0] = UInt8(scalar >> UInt32(6 * (length - 1))) | lead[length]
        return bytes
    }

    /// Byte strings of one length between two, in lexicographic order; trailing bytes run over 80…BF.
    private static func sequence(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> GrammarNode {
        guard let first = low.first, let last = high.first else { return .empty }
        let lowRest = low.dropFirst()
        let highRest = high.dropFirst()
        if lowRest.isEmpty { return .set(ByteSet(first...last)) }
        let least = lowRest.allSatisfy { $0 == 0x80 }
        let most = highRest.allSatisfy { $0 == 0xBF }
        let floor = [UInt8](repeating: 0x80, count: lowRest.count)[...]
        let ceiling = [UInt8](repeating: 0xBF, count: lowRest.count)[...]
        if least && most {
            let tail = [GrammarNode](repeating: .set(ByteSet(0x80...0xBF)), count: lowRest.count)
            return .sequence([.set(ByteSet(first...last))] + tail)
        }
        if first == last { return .sequence([.bytes([first]), sequence(lowRest, highRest)]) }
        var parts: [GrammarNode] = []
        var start = first
        var end = last
        if !least {
            parts.append(.sequence([.bytes([first]), sequence(lowRest, ceiling)]))
            start += 1
        }
        if !most {
            parts.append(.sequence([.bytes([last]), sequence(floor, highRest)]))
            end -= 1
        }
        if start <= end {
            let tail = [GrammarNode](repeating: .set(ByteSet(0x80...0xBF)), count: lowRest.count)
            parts.append(.sequence([.set(ByteSet(start...end))] + tail))
        }
        return .choice(parts)
    }
}
