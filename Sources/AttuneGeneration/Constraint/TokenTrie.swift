/// The bytes of all tokens as a tree in depth-first order, made once for a tokenizer.
public final class TokenTrie: Sendable {
    /// Ids a mask speaks about.
    public let vocabularySize: Int
    /// Tokens that end a text; allowed where a grammar is complete.
    public let endTokens: Set<Int32>

    // Node i: its byte, its depth (1 for first bytes), the node after its subtree, its tokens.
    let bytes: [UInt8]
    let depths: [UInt16]
    let subtreeEnds: [Int32]
    let tokenStarts: [Int32]
    let tokens: [Int32]
    let maxDepth: Int
    private let tokenBytes: [[UInt8]]

    /// - Parameters:
    ///   - markers: control tokens that may be written by grammars whose literals contain their text.
    public init(
        text: any TokenText, vocabularySize: Int, endTokens: Set<Int32>, markers: Set<Int32> = []
    ) {
        self.vocabularySize = vocabularySize
        self.endTokens = endTokens
        var all: [[UInt8]] = []
        all.reserveCapacity(vocabularySize)
        for id in 0..<Int32(vocabularySize) {
            let isUsable = !endTokens.contains(id) && (!text.isSpecial(id) || markers.contains(id))
            let bytes = isUsable ? text.bytes(of: id) : []
            all.append(bytes.count <= Int(UInt16.max) ? bytes : [])
        }
        tokenBytes = all
        let order = all.indices.filter { !all[$0].isEmpty }.sorted { left, right in
            all[left].lexicographicallyPrecedes(all[right])
        }
        var bytes: [UInt8] = []
        var depths: [UInt16] = []
        var ends: [Int32] = []
        var starts: [Int32] = []
        var tokens: [Int32] = []
        var path: [Int] = []
        var previous: [UInt8] = []
        for id in order {
            let token = all[id]
            var common = 0
            while common < min(previous.count, token.count), previous[common] == token[common] { common += 1 }
            while path.count > common { ends[path.removeLast()] = Int32(bytes.count) }
            for byte in token[common...] {
                path.append(bytes.count)
                bytes.append(byte)
                depths.append(UInt16(path.count))
                ends.append(0)
                starts.append(Int32(tokens.count))
            }
            // Equal tokens come one after another, so the last node is theirs and later nodes start behind.
            tokens.append(Int32(id))
            previous = token
        }
        while let node = path.popLast() { ends[node] = Int32(bytes.count) }
        starts.append(Int32(tokens.count))
        self.bytes = bytes
        self.depths = depths
        subtreeEnds = ends
        tokenStarts = starts
        self.tokens = tokens
        maxDepth = Int(depths.max() ?? 0)
    }

    /// The bytes a grammar reads for a token; empty where it can read none.
    func bytes(of id: Int32) -> [UInt8] {
        id >= 0 && Int(id) < tokenBytes.count ? tokenBytes[Int(id)] : []
    }
}
