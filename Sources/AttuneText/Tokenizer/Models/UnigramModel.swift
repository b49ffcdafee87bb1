/// Unigram language model (Kudo 2018): of all ways to write a word as tokens, the one with the largest sum of scores.
struct UnigramModel: Sendable {
    let vocabulary: TokenIndex
    private let scores: [Double]
    private let trie: ByteTrie
    /// -1 when the model has no unknown token.
    let unknownID: Int32
    private let unknownScore: Double
    private let fallbackIDs: [Int32]
    private let byteFallback: Bool

    /// The best way to reach a byte of the word.
    struct Node {
        var score = 0.0
        var start: Int32 = -1
        var id: Int32 = -1
    }

    private static let unknownPenalty = 10.0

    init(pieces: [(text: String, score: Double)], unknownID: Int?, byteFallback: Bool) throws(TokenizerError) {
        guard pieces.count <= TokenIndex.maximumID else {
            throw TokenizerError("model Unigram: more than \(TokenIndex.maximumID) tokens")
        }
        if let unknownID, !pieces.indices.contains(unknownID) {
            throw TokenizerError(
                "model Unigram: unk_id \(unknownID) is outside the vocabulary of \(pieces.count) tokens")
        }
        var vocabulary = TokenIndex(capacity: pieces.count)
        var trie = ByteTrie()
        for (id, piece) in pieces.enumerated() {
            vocabulary.insert(piece.text, id: Int32(id))
            trie.insert(piece.text.utf8, id: Int32(id))
        }
        self.vocabulary = vocabulary
        self.trie = trie
        scores = pieces.map(\.score)
        self.unknownID = Int32(unknownID ?? -1)
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
        fallbackIDs = ByteFallback.ids(in: vocabulary)
        self.byteFallback = byteFallback
    }

    /// Appends the tokens of a word to `scratch.spans`. Without an unknown token, what no token covers is dropped.
    func tokenize(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        guard let base = word.baseAddress, word.count > 0 else { return }
        search(base, count: word.count, &scratch)
        // Back from the end; neighbouring unknown stretches become one.
        var stretches: [Range<Int>] = []
        var end = word.count
        var unknownEnd: Int?
        while end > 0 {
            let node = scratch.nodes[end]
            let start = Int(node.start)
            guard start >= 0, start < end else { break }
            if node.id == unknownID, unknownID >= 0 {
                if unknownEnd == nil { unknownEnd = end }
            } else {
                if let last = unknownEnd { stretches.append(end..<last) }
                unknownEnd = nil
                stretches.append(start..<end)
            }
            end = start
        }
        if let last = unknownEnd { stretches.append(end..<last) }
        for stretch in stretches.reversed() { emit(stretch, word, &scratch) }
    }

    private func search(_ bytes: UnsafePointer<UInt8>, count: Int, _ scratch: inout WordScratch) {
        scratch.nodes.removeAll(keepingCapacity: true)
        scratch.nodes.append(contentsOf: repeatElement(Node(), count: count + 1))
        scratch.nodes.withUnsafeMutableBufferPointer { nodes in
            var start = 0
            while start < count {
                let reached = nodes[start].score
                let width = UTF8Scan.scalar(bytes, at: start, end: count).length
                var coversCharacter = false
                var state = ByteTrie.root
                var end = start
                while end < count {
                    state = trie.step(state, bytes[end])
                    guard state >= 0 else { break }
                    end += 1
                    let id = trie.id(at: state)
                    guard id >= 0 else { continue }
                    let score = scores[Int(id)] + reached
                    if nodes[end].start < 0 || score > nodes[end].score {
                        nodes[end] = Node(score: score, start: Int32(clamping: start), id: id)
                    }
                    if end - start == width { coversCharacter = true }
                }
                if !coversCharacter {
                    let score = unknownScore + reached
                    let end = start + width
                    if nodes[end].start < 0 || score > nodes[end].score {
                        nodes[end] = Node(score: score, start: Int32(clamping: start), id: unknownID)
                    }
                }
                start += width
            }
        }
    }

    private func emit(_ stretch: Range<Int>, _ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        let text = UnsafeBufferPointer(rebasing: word[stretch])
        let (start, end) = (Int32(clamping: stretch.lowerBound), Int32(clamping: stretch.upperBound))
        let id = vocabulary.id(of: text)
        if id >= 0 {
            scratch.spans.append(TokenSpan(id: id, start: start, end: end))
        } else if byteFallback, text.allSatisfy({ fallbackIDs[Int($0)] >= 0 }) {
            for byte in text { scratch.spans.append(TokenSpan(id: fallbackIDs[Int(byte)], start: start, end: end)) }
        } else if unknownID >= 0 {
            scratch.spans.append(TokenSpan(id: unknownID, start: start, end: end))
        }
    }
}

/// Texts by their bytes, one step at a time: edges in a flat hash table.
struct ByteTrie: Sendable {
    static let root: Int32 = 0

    /// Key and target side by side: state << 8 | byte, then the next state; `Int64(-1)` marks a free slot.
    private var edges: [Int64] = [Int64](repeating: -1, count: 128)
    private var used = 0
    private var ids: [Int32] = [-1]
    /// From the root by byte.
    private var first = [Int32](repeating: -1, count: 256)

    /// - Parameter replacing: whether a later equal text takes the place of the earlier one.
    mutating func insert(_ text: some Collection<UInt8>, id: Int32, replacing: Bool = true) {
        guard !text.isEmpty else { return }
        var state = Self.root
        for byte in text {
            var target = step(state, byte)
            if target < 0 {
                target = Int32(ids.count)
                ids.append(-1)
                add(state, byte, target)
            }
            state = target
        }
        if replacing || ids[Int(state)] < 0 { ids[Int(state)] = id }
    }

    private mutating func add(_ state: Int32, _ byte: UInt8, _ target: Int32) {
        if state == Self.root {
            first[Int(byte)] = target
            return
        }
        used += 1
        if used * 4 > edges.count {
            let old = edges
            edges = [Int64](repeating: -1, count: old.count * 2)
            for place in stride(from: 0, to: old.count, by: 2) where old[place] >= 0 { put(old[place], old[place + 1]) }
        }
        put(Int64(state) << 8 | Int64(byte), Int64(target))
    }

    private mutating func put(_ key: Int64, _ target: Int64) {
        let mask = edges.count / 2 - 1
        var place = Int(truncatingIfNeeded: ByteHash.mix(UInt64(key))) & mask
        while edges[place * 2] >= 0 { place = (place + 1) & mask }
        edges[place * 2] = key
        edges[place * 2 + 1] = target
    }

    /// The state behind a byte, or -1.
    @inline(__always)
    func step(_ state: Int32, _ byte: UInt8) -> Int32 {
        if state == Self.root { return first[Int(byte)] }
        let key = Int64(state) << 8 | Int64(byte)
        return edges.withUnsafeBufferPointer { edges in
            let mask = edges.count / 2 - 1
            var place = Int(truncatingIfNeeded: ByteHash.mix(UInt64(key))) & mask
            while true {
                let found = edges[place &* 2]
                if found == key { return Int32(truncatingIfNeeded: edges[place &* 2 &+ 1]) }
                if found < 0 { return -1 }
                place = (place &+ 1) & mask
            }
        }
    }

    /// The id of the text that ends in a state, or -1.
    @inline(__always)
    func id(at state: Int32) -> Int32 { ids[Int(state)] }

    /// Whether no text is known.
    var isEmpty: Bool { ids.count == 1 }
}
