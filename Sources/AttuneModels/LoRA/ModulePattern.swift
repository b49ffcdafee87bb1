import AttuneText

/// A regular expression over module paths, in linear time.
public struct ModulePattern: Sendable {
    /// The expression as written.
    public let source: String
    private let whole: LinearRegex
    private let end: LinearRegex

    /// - Throws: `ModelError` when the expression cannot be read.
    public init(_ source: String) throws(ModelError) {
        self.source = source
        do {
            whole = try LinearRegex(source)
            end = try LinearRegex("(?:.*\\.)?(?:\(source))")
        } catch {
            throw .mismatch("'\(source)' is no regular expression for module names: \(error)")
        }
    }

    /// Whether the expression matches the path from end to end.
    public func matchesWhole(_ module: String) -> Bool { whole.fullMatch(module) }
    /// Whether it matches the path or its end after a dot.
    public func matchesEnd(of module: String) -> Bool { end.fullMatch(module) }
}
