/// Finds stop texts in a stream of text pieces, holding back what may be the start of one.
///
/// Works on UTF-8 bytes, so a stop text is found wherever the borders of tokens fall.
public struct StopMatcher: Sendable {
    private let stops: [[UInt8]]
    private let includesStop: Bool
    private var held: [UInt8] = []

    /// - Parameter includesStopText: whether a matched stop text stays in the output.
    public init(_ stops: [String], includesStopText: Bool = false) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
        includesStop = includesStopText
    }

    /// Takes a piece of text.
    /// - Returns: text that is certain, and the stop text if one was completed (the earliest to start, then the longest).
    public mutating func push(_ piece: String) -> (text: String, stop: String?) {
        guard !stops.isEmpty else { return (piece, nil) }
        held.append(contentsOf: piece.utf8)
        for start in held.indices {
            var match: [UInt8]?
            for stop in stops where held[start...].starts(with: stop) && stop.count > (match?.count ?? 0) {
                match = stop
            }
            if let match {
                let end = includesStop ? start + match.count : start
                let text = String(decoding: held[..<end], as: UTF8.self)
                held = []
                return (text, String(decoding: match, as: UTF8.self))
            }
        }
        // A stop text starts with a whole character, so the cut never splits one.
        let cut =
            held.indices.first { start in stops.contains { $0.starts(with: held[start...]) } } ?? held.endIndex
        let text = String(decoding: held[..<cut], as: UTF8.self)
        held.removeFirst(cut)
        return (text, nil)
    }

    /// What was held back; call once no more text comes and none of the stop texts was completed.
    public mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }
}
