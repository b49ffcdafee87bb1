/// Why a model cannot be built, loaded, adapted or run; one line that says what, where and what to do.
public struct ModelError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure, for exit codes.
    public enum Kind: Sendable {
        /// The files say something impossible or unsupported.
        case badModel
        /// An adapter and a base, or an option and a model, do not fit each other.
        case mismatch
    }

    /// The kind.
    public let kind: Kind
    /// The line.
    public let description: String

    /// The files say something impossible.
    public static func badModel(_ text: String) -> ModelError { ModelError(kind: .badModel, description: text) }
    /// Two things do not fit each other.
    public static func mismatch(_ text: String) -> ModelError { ModelError(kind: .mismatch, description: text) }
}
