/// Where a SentencePiece word may be cut before merging: in front of the space mark `▁`, when no merge can cross.
///
/// A merge crosses the cut only if its right part begins with the mark and its left part ends with the character before
/// the cut; the characters for which that happens are known from the list of merges.
struct CutRule: Sendable {
    private let crossing: ScalarSet
    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    /// `nil` when cutting could change the result.
    init?(_ merges: [(String, String)], vocabulary: TokenIndex, options: BytePairModel.Options) {
        guard !options.ignoresMerges, options.continuingPrefix == nil, options.endSuffix == nil,
            vocabulary.id(of: Self.mark) >= 0
        else { return nil }
        var last: [UInt32] = []
        for (left, right) in merges where right.utf8.starts(with: Self.mark) {
            // A byte token can stand for any character.
            guard ByteFallback.byte(of: Array(left.utf8)) == nil else { return nil }
            if let scalar = left.unicodeScalars.last { last.append(scalar.value) }
        }
        crossing = ScalarSet(Set(last))
    }

    /// The end of the first part of a word.
    func next(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        var place = start + 1
        while place + 2 < end {
            if bytes[place] == Self.mark[0], bytes[place + 1] == Self.mark[1], bytes[place + 2] == Self.mark[2] {
                var before = place - 1
                while before > start, bytes[before] & 0xC0 == 0x80 { before -= 1 }
                if !crossing.contains(UTF8Scan.scalar(bytes, at: before, end: end).scalar) { return place }
            }
            place += 1
        }
        return end
    }
}
