/// Byte-pair encoding (Sennrich et al. 2016): a word starts as single characters, or as bytes, and the adjacent pair
/// with the lowest rank is joined until none is left.
struct BytePairModel: Sendable {
    /// Token texts as written in the vocabulary.
    let vocabulary: TokenIndex
    /// Token bytes when the vocabulary is byte-level and words arrive as raw bytes.
    private let rawIndex: TokenIndex?
    /// The first symbol of every byte (raw words) or of every ASCII character, -1 where there is none.
    private let byteIDs: [Int32]
    /// Whether some byte has no first symbol.
    private let missesBytes: Bool
    private let merges: MergeTable
    private let options: Options
    /// `<0x00>` … `<0xFF>`, -1 where missing.
    private let fallbackIDs: [Int32]
    private let unknownID: Int32
    private let cuts: CutRule?

    struct Options: Sendable {
        var unknownToken: String?
        var continuingPrefix: String?
        var endSuffix: String?
        var fusesUnknown = false
        var byteFallback = false
        var ignoresMerges = false
    }

    /// Words up to this many symbols are merged by scanning, longer ones with a heap.
    private static let scanLimit = 48

    /// - Parameters:
    ///   - merges: pairs of texts, best first.
    ///   - rawBytes: whether words come as raw bytes, with the vocabulary written in the byte alphabet.
    init(
        vocabulary: TokenIndex, merges pairs: [(String, String)], options: Options, rawBytes: Bool
    ) throws(TokenizerError) {
        self.vocabulary = vocabulary
        self.options = options
        unknownID = options.unknownToken.map { vocabulary.id(of: $0) } ?? -1
        fallbackIDs = ByteFallback.ids(in: vocabulary)
        let prefixCount = options.continuingPrefix?.utf8.count ?? 0
        var table = MergeTable(capacity: pairs.count)
        var joined: [UInt8] = []
        for (rank, pair) in pairs.enumerated() {
            let left = vocabulary.id(of: pair.0)
            let right = vocabulary.id(of: pair.1)
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: pair.0.utf8)
            joined.append(contentsOf: pair.1.utf8.dropFirst(prefixCount))
            let whole = vocabulary.id(of: joined)
            guard left >= 0, right >= 0, whole >= 0 else {
                throw TokenizerError(
                    "model BPE: merge \(rank) ('\(pair.0)' + '\(pair.1)') names a token that is not in the vocabulary; "
                        + "the file is damaged or was edited by hand")
            }
            table.insert(left: left, right: right, rank: UInt32(rank), result: whole)
        }
        merges = table
        var missesBytes = false
        if rawBytes {
            var raw = TokenIndex(capacity: vocabulary.count)
            for id in 0..<vocabulary.idLimit {
                guard let text = vocabulary.text(of: id),
                    let bytes = ByteAlphabet.bytes(of: String(decoding: text, as: UTF8.self))
                else { continue }
                bytes.withUnsafeBufferPointer { raw.insert($0, id: Int32(id)) }
            }
            byteIDs = (UInt8(0)...255).map { raw.id(of: [$0]) }
            missesBytes = byteIDs.contains(-1)
            rawIndex = raw
            cuts = nil
        } else {
            rawIndex = nil
            byteIDs = (UInt8(0)..<128).map { vocabulary.id(of: [$0]) }
            cuts = CutRule(pairs, vocabulary: vocabulary, options: options)
        }
        self.missesBytes = missesBytes
    }

    /// The bytes of a token of a byte-level vocabulary.
    func rawBytes(of id: Int) -> ArraySlice<UInt8>? { rawIndex?.text(of: id) }

    /// Whether a word can be cut at marks before it is merged, and where: at the returned end of its first part.
    @inline(__always)
    func firstPart(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        cuts?.next(bytes, from: start, to: end) ?? end
    }

    /// Appends the tokens of a word to `scratch.spans`.
    func tokenize(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        guard let base = word.baseAddress, word.count > 0 else { return }
        if options.ignoresMerges {
            let id = rawIndex.map { $0.id(of: word) } ?? vocabulary.id(of: word)
            if id >= 0 {
                scratch.spans.append(TokenSpan(id: id, start: 0, end: Int32(clamping: word.count)))
                return
            }
        }
        scratch.symbols.removeAll(keepingCapacity: true)
        scratch.lengths.removeAll(keepingCapacity: true)
        if rawIndex != nil { addBytes(word, &scratch) } else { addCharacters(base, count: word.count, &scratch) }
        let dropsBytes = rawIndex != nil && unknownID < 0 && missesBytes && word.contains { byteIDs[Int($0)] < 0 }
        if scratch.symbols.count > Self.scanLimit { mergeLong(&scratch) } else { mergeShort(&scratch) }
        var start: Int32 = 0
        for place in scratch.symbols.indices {
            let end = start &+ scratch.lengths[place]
            scratch.spans.append(TokenSpan(id: scratch.symbols[place], start: start, end: end))
            start = end
        }
        if dropsBytes { shiftSpans(word, scratch.symbols.count, &scratch) }
    }

    /// Where bytes without a token were dropped, `tokenizers` counts the places of the tokens in the text of the byte
    /// alphabet as if nothing were missing before them; this finds the bytes it then names.
    private func shiftSpans(_ word: UnsafeBufferPointer<UInt8>, _ count: Int, _ scratch: inout WordScratch) {
        let width = { (byte: UInt8) in ByteAlphabet.textOfByte[Int(byte)].count }
        var byteAt: [Int32] = []
        for (place, byte) in word.enumerated() {
            byteAt.append(contentsOf: repeatElement(Int32(clamping: place), count: width(byte)))
        }
        var position = 0
        for place in (scratch.spans.count - count)..<scratch.spans.count {
            let bytes = rawIndex?.text(of: Int(scratch.spans[place].id)) ?? []
            let end = min(position + bytes.reduce(0) { $0 + width($1) }, byteAt.count)
            guard position < end else { return }
            scratch.spans[place].start = byteAt[position]
            scratch.spans[place].end = byteAt[end - 1] + 1
            position = end
        }
    }

    private func addBytes(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        var unknown: Int32 = 0
        for byte in word {
            let id = byteIDs[Int(byte)]
            if id >= 0 {
                flush(&unknown, &scratch)
                scratch.symbols.append(id)
                scratch.lengths.append(1)
            } else if unknownID >= 0 {
                if !options.fusesUnknown { flush(&unknown, &scratch) }
                unknown += 1
            }
        }
        flush(&unknown, &scratch)
    }

    private func flush(_ unknown: inout Int32, _ scratch: inout WordScratch) {
        guard unknown > 0 else { return }
        scratch.symbols.append(unknownID)
        scratch.lengths.append(unknown)
        unknown = 0
    }

    private func addCharacters(_ bytes: UnsafePointer<UInt8>, count: Int, _ scratch: inout WordScratch) {
        var unknown: Int32 = 0
        var place = 0
        var decorated: [UInt8] = []
        let isPlain = options.continuingPrefix == nil && options.endSuffix == nil
        while place < count {
            let length = UTF8Scan.scalar(bytes, at: place, end: count).length
            let text = UnsafeBufferPointer(start: bytes + place, count: length)
            if !isPlain {
                decorated.removeAll(keepingCapacity: true)
                if place > 0, let prefix = options.continuingPrefix { decorated.append(contentsOf: prefix.utf8) }
                decorated.append(contentsOf: text)
                if place + length >= count, let suffix = options.endSuffix { decorated.append(contentsOf: suffix.utf8) }
            }
            let id =
                !isPlain ? vocabulary.id(of: decorated) : length == 1 ? asciiID(text[0]) : vocabulary.id(of: text)
            if id >= 0 {
                flush(&unknown, &scratch)
                scratch.symbols.append(id)
                scratch.lengths.append(Int32(length))
            } else if !addFallback(isPlain ? Array(text) : decorated, &scratch), unknownID >= 0 {
                if !options.fusesUnknown { flush(&unknown, &scratch) }
                unknown += Int32(length)
            }
            place += length
        }
        flush(&unknown, &scratch)
    }

    @inline(__always)
    private func asciiID(_ byte: UInt8) -> Int32 { byte < 128 ? byteIDs[Int(byte)] : -1 }

    private func addFallback(_ text: [UInt8], _ scratch: inout WordScratch) -> Bool {
        guard options.byteFallback, text.allSatisfy({ fallbackIDs[Int($0)] >= 0 }) else { return false }
        for byte in text {
            scratch.symbols.append(fallbackIDs[Int(byte)])
            scratch.lengths.append(1)
        }
        return true
    }

    /// Looks for the lowest rank again after every merge.
    private func mergeShort(_ scratch: inout WordScratch) {
        var count = scratch.symbols.count
        guard count > 1 else { return }
        scratch.ranks.removeAll(keepingCapacity: true)
        for place in 0..<(count - 1) {
            scratch.ranks.append(merges.find(scratch.symbols[place], scratch.symbols[place + 1]))
        }
        scratch.ranks.append(MergeTable.none)
        var (symbols, lengths, ranks) = ([Int32](), [Int32](), [UInt64]())
        swap(&symbols, &scratch.symbols)
        swap(&lengths, &scratch.lengths)
        swap(&ranks, &scratch.ranks)
        while true {
            // The rank stands in the upper half, so the value orders by rank; equal ones go left to right.
            var best = MergeTable.none
            var at = 0
            for place in 0..<(count - 1) where ranks[place] < best {
                best = ranks[place]
                at = place
            }
            guard best != MergeTable.none else { break }
            symbols[at] = Int32(truncatingIfNeeded: best & 0xFFFF_FFFF)
            lengths[at] &+= lengths[at + 1]
            count -= 1
            var place = at + 1
            while place < count {
                symbols[place] = symbols[place + 1]
                lengths[place] = lengths[place + 1]
                ranks[place] = ranks[place + 1]
                place += 1
            }
            if at > 0 { ranks[at - 1] = merges.find(symbols[at - 1], symbols[at]) }
            ranks[at] = at + 1 < count ? merges.find(symbols[at], symbols[at + 1]) : MergeTable.none
        }
        symbols.removeLast(symbols.count - count)
        lengths.removeLast(lengths.count - count)
        swap(&symbols, &scratch.symbols)
        swap(&lengths, &scratch.lengths)
        swap(&ranks, &scratch.ranks)
    }

    private func mergeLong(_ scratch: inout WordScratch) {
        scratch.links.merge(&scratch.symbols, &scratch.lengths, by: merges)
    }
}

/// The tokens `<0x00>` to `<0xFF>` that stand for bytes no other token covers.
enum ByteFallback {
    static func ids(in vocabulary: TokenIndex) -> [Int32] {
        (0..<256).map { vocabulary.id(of: name(of: UInt8($0))) }
    }

    static func name(of byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.utf8.count == 1 ? "0" : "")\(digits)>"
    }

    /// The byte that a token text such as `<0x0A>` stands for.
    static func byte(of token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token.last == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
    }
}
