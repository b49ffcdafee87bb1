/// Cuts text by the class of single characters.
struct ScalarSplit: Sendable {
    /// What is done with a character of a class.
    enum Rule: Sendable {
        /// Neighbours of the same class stay together.
        case run
        /// Stands alone.
        case single
        case drop
    }

    private let classOf: ScalarTable
    private let rules: [Rule]

    /// - Parameters:
    ///   - classes: sets with their rule; an earlier set wins.
    ///   - otherwise: the rule for the rest.
    init(_ classes: [(ScalarSet, Rule)], otherwise: Rule) {
        let assignments = classes.enumerated().map { (set: $1.0, value: UInt8($0 + 1)) }
        classOf = ScalarTable(Array(assignments.reversed()))
        rules = [otherwise] + classes.map(\.1)
    }

    static let whitespace = ScalarSplit([(ScalarClasses.whitespace, .drop)], otherwise: .run)
    static let words = ScalarSplit(
        [(ScalarClasses.whitespace, .drop), (ScalarClasses.wordInText, .run)], otherwise: .run)
    static let bert = ScalarSplit(
        [(ScalarClasses.whitespace, .drop), (ScalarClasses.punctuation, .single)], otherwise: .run)
    static let digits = ScalarSplit([(ScalarClasses.numeric, .run)], otherwise: .run)
    static let singleDigits = ScalarSplit([(ScalarClasses.numeric, .single)], otherwise: .run)

    func apply(to text: AlignedText, _ pieces: inout [TextPiece]) {
        var output: [TextPiece] = []
        output.reserveCapacity(pieces.count)
        text.bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            for piece in pieces {
                if piece.token >= 0 { output.append(piece) } else { cut(base, piece, &output) }
            }
        }
        pieces = output
    }

    private func cut(_ bytes: UnsafePointer<UInt8>, _ piece: TextPiece, _ output: inout [TextPiece]) {
        var start = piece.start
        var place = start
        var current: UInt8?
        while place < piece.end {
            let (scalar, length) = UTF8Scan.scalar(bytes, at: place, end: piece.end)
            let kind = classOf[scalar]
            if let current, current != kind || rules[Int(kind)] == .single {
                if rules[Int(current)] != .drop { output.append(TextPiece(start: start, end: place)) }
                start = place
            }
            current = kind
            place += length
        }
        if let current, rules[Int(current)] != .drop { output.append(TextPiece(start: start, end: piece.end)) }
    }
}

/// Cuts where the writing system changes, as `UnicodeScripts` does: kana count as Han, spaces go with anything.
enum ScriptSplit {
    /// Spaces and what no script claims.
    private static let noScript: UInt8 = 0
    private static let scriptOf: ScalarTable = {
        var assignments: [(set: ScalarSet, value: UInt8)] = []
        var moved: [(set: ScalarSet, value: UInt8)] = []
        var han = ScalarSet([0x30FC...0x30FC])
        var number: UInt8 = 2
        for (name, set) in ScalarClasses.scripts.sorted(by: { $0.key < $1.key }) {
            if ["han", "hiragana", "katakana"].contains(name) {
                han = han.union(set)
                continue
            }
            assignments.append((set, number))
            // Here the table of the library is older than the scripts.
            if name == "common" { moved.append((ScalarSet([0x589...0x589, 0x61C...0x61C]), number)) }
            if name == "devanagari" { moved.append((ScalarSet([0x953...0x954]), number)) }
            number += 1
        }
        assignments += moved
        assignments.append((han, 1))
        assignments.append((ScalarSet(gapsAndLengths: ScalarClasses.bytes(ScriptData.free)), noScript))
        assignments.append((ScalarSet([0x20...0x20]), noScript))
        return ScalarTable(assignments)
    }()

    static func apply(to text: AlignedText, _ pieces: inout [TextPiece]) {
        WordSplitter.cut(text, &pieces) { bytes, range, emit in
            var start: Int?
            var last: UInt8?
            var place = range.lowerBound
            while place < range.upperBound {
                let (scalar, length) = UTF8Scan.scalar(bytes, at: place, end: range.upperBound)
                let script = scriptOf[scalar]
                if script != noScript {
                    if last != script {
                        if let start { emit(start, place) }
                        start = place
                    }
                    last = script
                }
                place += length
            }
            // Leading spaces before the first script belong to no piece, as in `tokenizers`.
            if let start { emit(start, range.upperBound) }
        }
    }
}
