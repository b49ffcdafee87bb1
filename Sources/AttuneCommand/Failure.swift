import ArgumentParser
import Attune
import Foundation

/// Turns errors into one line on standard error and the exit code the contract gives them.
enum Failure {
    /// Runs a verb's body; what it throws is printed, then thrown as its exit code.
    static func guarding(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as ExitCode {
            throw error
        } catch let error as ValidationError {
            throw error
        } catch {
            FileHandle.standardError.write(Data("attune: \(error)\n".utf8))
            throw ExitCode(code(of: error))
        }
    }

    static func code(of error: any Error) -> Int32 {
        switch error {
        case let error as FilesError: error.exitCode
        case let error as RecipeError:
            switch error.kind {
            case .badRecipe: 78
            case .usage: 64
            case .missingInput: 66
            }
        case let error as DataError:
            switch error.kind {
            case .missingInput: 66
            case .badData: 65
            case .inputOutput: 74
            case .usage: 64
            }
        case is ModelError, is TokenizerError, is TemplateError: 65
        default: 1
        }
    }
}
