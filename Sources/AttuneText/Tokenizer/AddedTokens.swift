import AttuneJSON

/// Tokens found in the text before everything else: special tokens and those added to a vocabulary later.
struct AddedTokens: Sendable {
    /// One entry of `added_tokens`.
    struct Entry: Sendable, Equatable {
        var content: String
        var singleWord = false
        var stripsLeft = false
        var stripsRight = false
        var normalized = true
        var special = false

        static func == (left: Entry, right: Entry) -> Bool {
            left.content.utf8.elementsEqual(right.content.utf8) && left.singleWord == right.singleWord
                && left.stripsLeft == right.stripsLeft && left.stripsRight == right.stripsRight
                && left.normalized == right.normalized && left.special == right.special
        }
    }

    /// Searches one kind: those matched in the text as given, or those matched in the normalized text.
    private struct Finder: Sendable {
        var trie = ByteTrie()
        /// Bytes that begin a token.
        var begins = [Bool](repeating: false, count: 256)

        mutating func insert(_ text: [UInt8], id: Int32) {
            guard let first = text.first else { return }
            begins[Int(first)] = true
            // Of equal texts the first entered counts, as in an automaton of patterns.
            trie.insert(text, id: id, replacing: false)
        }
    }

    private(set) var entryOfID: [Int32: Entry] = [:]
    private var idOfContent: [ByteString: Int32] = [:]
    private var plain = Finder()
    private var normalized = Finder()
    private var specialContents: Set<ByteString> = []

    /// - Parameters:
    ///   - entries: in the order of the file. As in `tokenizers` the ids follow from the order, not from the file: a
    ///     token of the model's vocabulary keeps its id, others are numbered on from the end.
    init(_ entries: [Entry], vocabulary: TokenIndex, normalizer: TextNormalizer?) {
        var order: [Entry] = []
        var highest: Int32 = -1
        for entry in entries where !entry.content.isEmpty {
            let key = ByteString(entry.content)
            if entry.special { specialContents.insert(key) }
            if entryOfID.values.contains(entry) { continue }
            let known = idOfContent[key] ?? vocabulary.id(of: entry.content)
            let size = Int32(vocabulary.count)
            let id = known >= 0 ? known : highest >= size || (size == 0 && highest >= 0) ? highest + 1 : size
            highest = max(highest, id)
            idOfContent[key] = id
            entryOfID[id] = entry
            order.append(entry)
        }
        // Special tokens are entered first.
        for entry in order.filter(\.special) + order.filter({ !$0.special }) {
            guard let id = idOfContent[ByteString(entry.content)] else { continue }
            if entry.normalized {
                var text = AlignedText(Array(entry.content.utf8), tracksOrigin: false)
                normalizer?.apply(to: &text)
                normalized.insert(text.bytes, id: id)
            } else {
                plain.insert(Array(entry.content.utf8), id: id)
            }
        }
    }

    /// The id of an added token.
    func id(of content: String) -> Int32? { idOfContent[ByteString(content)] }

    /// Whether a token text is marked special.
    func isSpecial(_ content: String) -> Bool { specialContents.contains(ByteString(content)) }

    var hasNormalized: Bool { !normalized.trie.isEmpty }

    /// Cuts a text at the added tokens that are matched before normalization.
    func findPlain(_ bytes: UnsafeBufferPointer<UInt8>) -> [TextPiece] { find(plain, bytes) }

    /// Cuts a normalized text at the added tokens that are matched after normalization.
    func findNormalized(_ bytes: UnsafeBufferPointer<UInt8>) -> [TextPiece] { find(normalized, bytes) }

    /// Leftmost matches, the longest at each place. A match whose conditions fail is passed over as a whole.
    private func find(_ finder: Finder, _ bytes: UnsafeBufferPointer<UInt8>) -> [TextPiece] {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return [] }
        var pieces: [TextPiece] = []
        var done = 0
        var place = 0
        let begins = finder.begins
        if finder.trie.isEmpty { return [TextPiece(start: 0, end: bytes.count)] }
        begins.withUnsafeBufferPointer { begins in
            while place < bytes.count {
                guard begins[Int(base[place])] else {
                    place += 1
                    continue
                }
                var state = ByteTrie.root
                var end = place
                var found: (id: Int32, end: Int)?
                while end < bytes.count {
                    state = finder.trie.step(state, base[end])
                    guard state >= 0 else { break }
                    end += 1
                    let id = finder.trie.id(at: state)
                    if id >= 0 { found = (id, end) }
                }
                guard let found, let entry = entryOfID[found.id] else {
                    place += 1
                    continue
                }
                var start = place
                var stop = found.end
                place = found.end
                if entry.singleWord, Self.wordEnds(base, at: start) || Self.wordBegins(base, at: stop, bytes.count) {
                    continue
                }
                if entry.stripsLeft { start = max(Self.spaceStart(base, before: start), done) }
                if entry.stripsRight { stop = Self.spaceEnd(base, from: stop, bytes.count) }
                if done < start { pieces.append(TextPiece(start: done, end: start)) }
                pieces.append(TextPiece(start: start, end: stop, token: found.id))
                done = stop
            }
        }
        if done != bytes.count { pieces.append(TextPiece(start: done, end: bytes.count)) }
        return pieces
    }

    private static func scalarStart(_ bytes: UnsafePointer<UInt8>, before end: Int) -> Int {
        var start = end - 1
        while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    private static func wordEnds(_ bytes: UnsafePointer<UInt8>, at end: Int) -> Bool {
        guard end > 0 else { return false }
        let start = scalarStart(bytes, before: end)
        return ScalarClasses.wordInText.contains(UTF8Scan.scalar(bytes, at: start, end: end).scalar)
    }

    private static func wordBegins(_ bytes: UnsafePointer<UInt8>, at start: Int, _ count: Int) -> Bool {
        guard start < count else { return false }
        return ScalarClasses.wordInText.contains(UTF8Scan.scalar(bytes, at: start, end: count).scalar)
    }

    private static func spaceStart(_ bytes: UnsafePointer<UInt8>, before end: Int) -> Int {
        var place = end
        while place > 0 {
            let start = scalarStart(bytes, before: place)
            guard ScalarClasses.whitespace.contains(UTF8Scan.scalar(bytes, at: start, end: place).scalar) else { break }
            place = start
        }
        return place
    }

    private static func spaceEnd(_ bytes: UnsafePointer<UInt8>, from start: Int, _ count: Int) -> Int {
        var place = start
        while place < count {
            let (scalar, length) = UTF8Scan.scalar(bytes, at: place, end: count)
            guard ScalarClasses.whitespace.contains(scalar) else { break }
            place += length
        }
        return place
    }
}
