/// Why a run cannot begin or go on; one line.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure, for exit codes.
    public enum Kind: Sendable {
        /// The run itself failed.
        case failed
        /// Rows or a checkpoint are not what the run needs.
        case badData
        /// The recipe asks for something that cannot be.
        case badRecipe
    }

    /// The kind.
    public let kind: Kind
    /// The line.
    public let description: String

    /// A run that failed.
    public init(_ description: String) { self.init(.failed, description) }

    /// With kind and line.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// The exit code of a program that ends with this error (sysexits.h).
    public var exitCode: Int32 {
        switch kind {
        case .failed: 1
        case .badData: 65
        case .badRecipe: 78
        }
    }
}
