/// A token inside a word: its id and the bytes of the word it stands for.
struct TokenSpan: Sendable {
    var id: Int32
    var start: Int32
    var end: Int32
}

/// Working memory of one encoding at a time: buffers of the merge loop and the words already seen. It is handed from
/// call to call through a pool.
struct WordScratch: Sendable {
    var spans: [TokenSpan] = []
    var symbols: [Int32] = []
    var lengths: [Int32] = []
    var ranks: [UInt64] = []
    var links = MergeLinks()
    var nodes: [UnigramModel.Node] = []
    var cache = WordCache()
}

/// Words and their tokens, found by bytes. When full it starts afresh.
struct WordCache: Sendable {
    private struct Slot: Sendable {
        var hash: UInt64 = 0
        var keyStart: UInt32 = 0
        var spanStart: UInt32 = 0
        var spanCount: UInt32 = 0
        var keyCount: UInt32 = 0
    }

    private var slots: [Slot]
    private var keys: [UInt8] = []
    private var spans: [TokenSpan] = []
    private var used = 0

    /// Longer words are not kept.
    static let maximumWord = 96
    private static let slotCount = 1 << 16

    init() {
        slots = []
    }

    /// Where the tokens of a word lie, or `nil` when the word is new.
    @inline(__always)
    func find(_ word: UnsafePointer<UInt8>, count: Int, hash: UInt64) -> Range<Int>? {
        guard !slots.isEmpty else { return nil }
        return slots.withUnsafeBufferPointer { slots in
            var place = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
            while slots[place].keyCount != 0 {
                let slot = slots[place]
                if slot.hash == hash, Int(slot.keyCount) == count,
                    keys.withUnsafeBufferPointer({ keys in
                        keys.baseAddress.map { ByteHash.equal($0 + Int(slot.keyStart), word, count: count) } ?? false
                    })
                {
                    return Int(slot.spanStart)..<Int(slot.spanStart + slot.spanCount)
                }
                place = (place + 1) & (Self.slotCount - 1)
            }
            return nil
        }
    }

    /// Hands over the tokens that `find` located.
    @inline(__always)
    func withSpans(_ range: Range<Int>, _ body: (UnsafeBufferPointer<TokenSpan>) -> Void) {
        spans.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range])) }
    }

    mutating func insert(_ word: UnsafePointer<UInt8>, count: Int, hash: UInt64, _ new: [TokenSpan]) {
        if slots.isEmpty || used * 2 >= Self.slotCount || keys.count > 1 << 24 {
            slots = [Slot](repeating: Slot(), count: Self.slotCount)
            keys.removeAll(keepingCapacity: true)
            spans.removeAll(keepingCapacity: true)
            used = 0
        }
        var place = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[place].keyCount != 0 { place = (place + 1) & (Self.slotCount - 1) }
        slots[place] = Slot(
            hash: hash, keyStart: UInt32(keys.count), spanStart: UInt32(spans.count), spanCount: UInt32(new.count),
            keyCount: UInt32(count))
        keys.append(contentsOf: UnsafeBufferPointer(start: word, count: count))
        spans.append(contentsOf: new)
        used += 1
    }
}
