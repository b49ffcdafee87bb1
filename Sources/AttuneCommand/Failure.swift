import ArgumentParser
import Attune
import AttuneData
import AttuneFiles
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import AttuneTraining
import Foundation

/// How a verb ends when something goes wrong: one line on standard error and an exit code (sysexits.h).
enum Failure {
    /// The exit codes of the program.
    enum Code {
        static let failed: Int32 = 1
        static let usage: Int32 = 64
        static let badData: Int32 = 65
        static let missingInput: Int32 = 66
        static let unavailable: Int32 = 69
        static let `internal`: Int32 = 70
        static let inputOutput: Int32 = 74
        static let badRecipe: Int32 = 78
    }

    /// Runs the body of a verb. An error it throws is written to standard error as `attune: what, where, what to do`, and
    /// becomes the exit code of its kind.
    /// - Throws: `ExitCode`, or what asks the parser to print help.
    static func guarding(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw try ending(of: error)
        }
    }

    /// The same for a body that waits.
    static func guarding(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            throw try ending(of: error)
        }
    }

    private static func ending(of error: any Error) throws -> ExitCode {
        if error is ExitCode || error is CleanExit { throw error }
        write("\(error)")
        return ExitCode(code(of: error))
    }

    /// Writes lines to standard error, each after the program's name.
    static func write(_ text: String) {
        let lines = text.split(separator: "\n").map { "attune: \(oneLine($0))\n" }
        let all = lines.isEmpty ? "attune: failed\n" : lines.joined()
        try? FileHandle.standardError.write(contentsOf: Data(all.utf8))
    }

    /// Which exit code an error has.
    static func code(of error: any Error) -> Int32 {
        switch error {
        case let error as CommandError: error.code
        case let error as FilesError: error.exitCode
        case let error as DataError: code(of: error.kind)
        case let error as RecipeError: code(of: error.kind)
        case let error as TrainingError: error.exitCode
        case let error as GenerationError:
            switch error {
            case .invalidParameter, .grammar, .unknownAdapter: Code.usage
            case .tooLong: Code.badData
            case .overloaded, .shuttingDown: Code.unavailable
            case .notFinite, .stepFailed: Code.failed
            }
        case is ValidationError: Code.usage
        case is TokenizerError, is TemplateError, is ChatTemplateFolderError, is ModelError, is JSONError,
            is ScoreError:
            Code.badData
        case is TensorError: Code.failed
        case is CocoaError: Code.inputOutput
        default: Code.failed
        }
    }

    private static func code(of kind: DataError.Kind) -> Int32 {
        switch kind {
        case .missingInput: Code.missingInput
        case .badData: Code.badData
        case .inputOutput: Code.inputOutput
        case .usage: Code.usage
        }
    }

    private static func code(of kind: RecipeError.Kind) -> Int32 {
        switch kind {
        case .badRecipe: Code.badRecipe
        case .usage: Code.usage
        case .missingInput: Code.missingInput
        }
    }

    /// A terminal must not obey what a file put into a message.
    private static func oneLine(_ text: Substring) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            result.unicodeScalars.append(isControl || scalar.value >> 1 == 0x2028 >> 1 ? "\u{FFFD}" : scalar)
        }
        return result
    }
}

/// What a verb itself finds wrong.
struct CommandError: Error, CustomStringConvertible {
    /// The exit code.
    let code: Int32
    /// The line: what, where, what to do next.
    let description: String

    /// Options that cannot be, or not together.
    static func usage(_ text: String) -> CommandError { CommandError(code: Failure.Code.usage, description: text) }
    /// A file that says something impossible.
    static func badData(_ text: String) -> CommandError { CommandError(code: Failure.Code.badData, description: text) }
    /// Something this machine or build does not have.
    static func unavailable(_ text: String) -> CommandError {
        CommandError(code: Failure.Code.unavailable, description: text)
    }
}
