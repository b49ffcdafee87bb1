/// Where a row stands: its file and the line on which it begins.
public struct RowSource: Sendable, Hashable, CustomStringConvertible {
    /// The path as the user gave it.
    public let file: String
    /// The line, counted from 1.
    public let line: Int

    /// A place in a file.
    public init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    /// `file:line`, as editors and compilers write it.
    public var description: String { "\(file):\(line)" }
}

/// What is wrong with data, where, and what to do next, in one line.
public struct DataError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure; doors turn it into an exit code.
    public enum Kind: Sendable {
        /// The file is not there or cannot be opened.
        case missingInput
        /// The file or a row of it is not what it should be.
        case badData
        /// Reading failed half way.
        case inputOutput
        /// The caller asked for something that cannot be.
        case usage
    }

    /// The kind of failure.
    public let kind: Kind
    /// What and what next.
    public let message: String
    /// The place, when there is one.
    public let source: RowSource?

    /// An error at a place.
    public init(_ kind: Kind, _ message: String, at source: RowSource? = nil) {
        self.kind = kind
        self.message = message
        self.source = source
    }

    /// `file:line: what; what to do`.
    public var description: String {
        source.map { "\($0): \(message)" } ?? message
    }
}
