/// Why a grammar cannot be compiled or followed.
public enum GrammarError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The text or schema is not well formed.
    case malformed(path: String, message: String)
    /// A part of the language that is not understood; taking it silently would break the promise of valid output.
    case unsupported(path: String, message: String)
    /// The grammar exceeds a budget.
    case tooLarge(String)
    /// No finite text satisfies the grammar.
    case unsatisfiable(path: String)
    /// No token of the vocabulary continues a valid text.
    case deadEnd
    /// A token was chosen that the grammar does not allow.
    case rejected(token: Int32)

    /// One line: what, where, what next.
    public var description: String {
        switch self {
        case .malformed(let path, let message): "\(path): \(message)"
        case .unsupported(let path, let message): "\(path): \(message)"
        case .tooLarge(let what): "the grammar is too large (\(what)); simplify it"
        case .unsatisfiable(let path): "\(path): no finite text satisfies this; check required and recursive parts"
        case .deadEnd: "no token of the vocabulary continues a valid text; relax the grammar"
        case .rejected(let token): "token \(token) is not allowed by the grammar"
        }
    }
}
