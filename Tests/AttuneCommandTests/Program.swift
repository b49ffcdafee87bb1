import AttuneJSON
import Foundation
import Testing

/// The built `attune`, run as a user runs it.
enum Program {
    /// There is no executable beside the tests.
    struct NotBuilt: Error {}

    /// What a run left behind.
    struct Result {
        var code: Int32
        var output: String
        var errors: String

        /// The lines of standard output as JSON.
        func lines() throws -> [JSON] { try output.split(separator: "\n").map { try JSON(parsing: String($0)) } }
        /// Whether standard error is one line that begins with the program's name.
        var hasOneErrorLine: Bool { errors.hasPrefix("attune: ") && errors.split(separator: "\n").count == 1 }
    }

    /// The top of the package.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let llama = root.appending(path: "Tests/AttuneModelsTests/Fixtures/models/llama").path
    static let pocket = root.appending(path: "Models/pocket").path

    /// The executable lies beside the test bundle.
    static let executable: URL? = {
        var folders = CommandLine.arguments.prefix(1).map { URL(filePath: $0).deletingLastPathComponent() }
        folders.append(Bundle.main.bundleURL)
        folders += ["release", "debug"].map { root.appending(path: ".build/\($0)") }
        return folders.map { $0.appending(path: "attune") }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }()

    static func run(_ arguments: String...) throws -> Result { try run(arguments) }

    /// - Parameters:
    ///   - input: what standard input holds; nothing when not given.
    ///   - program: another executable beside the tests, or one of the system.
    ///   - environment: variables beside those of the tests.
    static func run(
        _ arguments: [String], input: String = "", program: URL? = nil, environment: [String: String] = [:]
    ) throws -> Result {
        let process = Process()
        guard let executable = program ?? executable else { throw NotBuilt() }
        process.executableURL = executable
        process.arguments = arguments
        process.currentDirectoryURL = root
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let folder = try Scratch()
        process.standardInput = try FileHandle(forReadingFrom: URL(filePath: try folder.write("in", input)))
        let output = folder.path("out"), errors = folder.path("err")
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
        try process.run()
        process.waitUntilExit()
        return Result(
            code: process.terminationStatus, output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }
}

/// A folder that goes with the value.
final class Scratch {
    let url = FileManager.default.temporaryDirectory.appending(path: "attune-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }
    func write(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }
}
