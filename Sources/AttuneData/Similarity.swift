/// Which texts say the same: text reduced to what matters, overlapping stretches of it, and groups of texts that share
/// most.
///
/// Two texts are near duplicates when the Jaccard similarity |A ∩ B| / |A ∪ B| of their five-letter shingles is at
/// least 0.8. Pairs are not all compared: each text gets a signature of minima over 125 hash functions (Broder: On the
/// resemblance and containment of documents, 1997), texts that agree on one of 25 bands of five minima are candidates
/// (Indyk and Motwani, 1998), and candidates are compared exactly. A pair at 0.8 is missed with probability (1 -
/// 0.8⁵)²⁵ < 0.0001.
struct Similarity {
    static let threshold = 0.8
    private static let shingleLength = 5
    private static let bandCount = 25
    private static let bandHeight = 5
    /// In a bucket a text is compared with at most this many others, so that one crowded bucket cannot take n² steps.
    private static let comparisons = 64

    /// For each text the smallest index of its group; near duplicates of near duplicates belong together.
    private(set) var groups: [Int]

    /// Groups questions. The own parts must resemble each other and so must the shared ones.
    init(_ questions: [(shared: String, own: String)]) {
        groups = Array(questions.indices)
        let own = Self.withoutCommonFrame(questions.map(\.own)).map(Self.normalized)
        let shared = questions.map { Self.normalized($0.shared) }
        var firsts: [[UInt32]: Int] = [:]
        var distinct: [Int] = []
        for place in own.indices {
            let key = own[place] + [0] + shared[place]
            if let first = firsts[key] {
                join(first, place)
            } else {
                firsts[key] = place
                distinct.append(place)
            }
        }
        let bands = distinct.flatMap { Self.bands(Self.shingles(own[$0])) }
        for band in 0..<Self.bandCount {
            let order = distinct.indices.map { (hash: bands[$0 * Self.bandCount + band], place: distinct[$0]) }
                .sorted { $0.hash != $1.hash ? $0.hash < $1.hash : $0.place < $1.place }
            var start = 0
            for end in order.indices where end + 1 == order.count || order[end].hash != order[end + 1].hash {
                if end > start { joinAlike(order[start...end].map(\.place), own, shared) }
                start = end + 1
            }
        }
        for place in groups.indices { groups[place] = root(place) }
    }

    /// Compares candidates, each with those shortly before it, and joins those that are near duplicates.
    private mutating func joinAlike(_ candidates: [Int], _ own: [[UInt32]], _ shared: [[UInt32]]) {
        for (rank, place) in candidates.enumerated().dropFirst() {
            let others = candidates[max(0, rank - Self.comparisons)..<rank].filter { root($0) != root(place) }
            guard !others.isEmpty else { continue }
            let shingles = Self.shingles(own[place])
            for other in others where root(other) != root(place) {
                let alike =
                    Self.jaccard(shingles, Self.shingles(own[other])) >= Self.threshold
                    && (shared[place] == shared[other]
                        || Self.jaccard(Self.shingles(shared[place]), Self.shingles(shared[other])) >= Self.threshold)
                if alike { join(other, place) }
            }
        }
    }

    private func root(_ place: Int) -> Int {
        var place = place
        while groups[place] != place { place = groups[place] }
        return place
    }

    private mutating func join(_ a: Int, _ b: Int) {
        let (a, b) = (root(a), root(b))
        groups[max(a, b)] = min(a, b)
    }

    /// Letters and digits in lower case, everything else as single spaces.
    static func normalized(_ text: String) -> [UInt32] {
        var result: [UInt32] = []
        for scalar in text.unicodeScalars {
            let value = scalar.value
            if (0x61...0x7A).contains(value) || (0x30...0x39).contains(value) {
                result.append(value)
            } else if (0x41...0x5A).contains(value) {
                result.append(value + 32)
            } else if value >= 0x80, scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
                result += scalar.properties.lowercaseMapping.unicodeScalars.map(\.value)
            } else if result.last != 0x20, !result.isEmpty {
                result.append(0x20)
            }
        }
        if result.last == 0x20 { result.removeLast() }
        // A text of signs alone still differs from others.
        return result.isEmpty ? text.unicodeScalars.map(\.value) : result
    }

    /// Hashes of all stretches of five letters, sorted, each once.
    static func shingles(_ text: [UInt32]) -> [UInt64] {
        let count = max(1, text.count - shingleLength + 1)
        var hashes: [UInt64] = []
        hashes.reserveCapacity(count)
        for start in 0..<count {
            var state: UInt64 = 0
            for letter in text[start..<min(start + shingleLength, text.count)] {
                state = state &* 0x100_0000_01B3 &+ UInt64(letter) &+ 1
            }
            hashes.append(StableHash.mix(state))
        }
        hashes.sort()
        var kept = 0
        for place in hashes.indices where kept == 0 || hashes[place] != hashes[kept - 1] {
            hashes[kept] = hashes[place]
            kept += 1
        }
        hashes.removeLast(hashes.count - kept)
        return hashes
    }

    /// |A ∩ B| / |A ∪ B| of two sorted sets.
    static func jaccard(_ a: [UInt64], _ b: [UInt64]) -> Double {
        var common = 0
        var (i, j) = (0, 0)
        while i < a.count, j < b.count {
            if a[i] == b[j] {
                common += 1
                i += 1
                j += 1
            } else if a[i] < b[j] {
                i += 1
            } else {
                j += 1
            }
        }
        let union = a.count + b.count - common
        return union == 0 ? 1 : Double(common) / Double(union)
    }

    private static let multipliers = (0..<UInt64(bandCount * bandHeight)).map { StableHash.mix($0) | 1 }

    private static func bands(_ shingles: [UInt64]) -> [UInt64] {
        var minima = [UInt64](repeating: .max, count: multipliers.count)
        for shingle in shingles {
            for (place, multiplier) in multipliers.enumerated() {
                minima[place] = min(minima[place], shingle &* multiplier)
            }
        }
        return (0..<bandCount).map { band in
            var hash = StableHash(seed: UInt64(band))
            for value in minima[(band * bandHeight)..<((band + 1) * bandHeight)] { hash.combine(value) }
            return hash.value
        }
    }

    /// Texts without the lines that all of them begin and end with, so that a prompt template does not make all rows
    /// alike.
    private static func withoutCommonFrame(_ texts: [String]) -> [String] {
        let enough = 20
        guard texts.count >= enough, let first = texts.first.map({ Array($0.utf8) }) else { return texts }
        var head = first.count
        var tail = first.count
        for text in texts {
            let bytes = Array(text.utf8)
            head = min(head, zip(first, bytes).prefix { $0 == $1 }.count)
            tail = min(tail, zip(first.reversed(), bytes.reversed()).prefix { $0 == $1 }.count)
        }
        head = first[..<head].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        tail = first[(first.count - tail)...].firstIndex(of: 0x0A).map { first.count - $0 } ?? 0
        guard head + tail > 0 else { return texts }
        return texts.map { text in
            let bytes = Array(text.utf8)
            guard bytes.count > head + tail else { return text }
            return String(decoding: bytes[head..<(bytes.count - tail)], as: UTF8.self)
        }
    }
}
