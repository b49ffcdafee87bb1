/// Why a tokenizer cannot be loaded. The text is one line: what, where, what to do next.
public struct TokenizerError: Error, Sendable, CustomStringConvertible {
    /// The line.
    public let description: String

    /// An error with the given line.
    public init(_ description: String) { self.description = description }
}
