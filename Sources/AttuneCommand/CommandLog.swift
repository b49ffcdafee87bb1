import ArgumentParser
import Foundation

/// How much is said on standard error.
enum LogLevel: String, CaseIterable, Comparable, ExpressibleByArgument {
    /// Every step, and how long things took.
    case debug
    /// Progress.
    case info
    /// What should be known.
    case warning
    /// Only why a verb fails.
    case error

    static func < (left: LogLevel, right: LogLevel) -> Bool {
        guard let a = allCases.firstIndex(of: left), let b = allCases.firstIndex(of: right) else { return false }
        return a < b
    }
}

/// Remarks on standard error, as far as they were asked for.
struct CommandLog {
    let level: LogLevel
    /// Whether a line can be written over.
    let isTerminal = isatty(2) != 0

    init(_ level: LogLevel) { self.level = level }

    /// Whether remarks of a level are shown.
    func shows(_ level: LogLevel) -> Bool { level >= self.level }

    /// A line of its own.
    func line(_ text: String, _ level: LogLevel = .info) {
        guard shows(level) else { return }
        write((isTerminal ? "\r" : "") + text + (isTerminal ? "\u{1B}[K\n" : "\n"))
    }

    /// A line that the next one replaces; nothing where lines stay.
    func passing(_ text: String) {
        if isTerminal, shows(.info) { write("\r" + text + "\u{1B}[K") }
    }

    /// Takes the passing line away.
    func clear() { passing("") }

    private func write(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
