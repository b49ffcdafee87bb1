import AttuneTensor

/// What can go wrong between a folder on disk and tensors. Each case is one line: what, where, what to do next.
public enum FilesError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A file or folder that should be there is not.
    case missing(path: String, hint: String)
    /// A file that is there but breaks the rules of its format.
    case invalid(path: String, problem: String)
    /// A file that may be right but needs something Attune does not do.
    case unsupported(path: String, problem: String)
    /// The system refused to read or write; `code` is `errno`.
    case inputOutput(path: String, operation: String, code: Int32)
    /// No memory for the contents of a file.
    case outOfMemory(path: String, byteCount: Int)

    /// The exit code of a program that ends with this error (sysexits.h).
    public var exitCode: Int32 {
        switch self {
        case .missing: 66
        case .invalid, .unsupported: 65
        case .inputOutput: 74
        case .outOfMemory: 1
        }
    }

    /// The file or folder the error is about.
    public var path: String {
        switch self {
        case .missing(let path, _), .invalid(let path, _), .unsupported(let path, _), .inputOutput(let path, _, _),
            .outOfMemory(let path, _):
            path
        }
    }

    /// One line, whatever bytes a hostile file put into names.
    public var description: String {
        switch self {
        case .missing(let path, let hint):
            "\(Self.oneLine(path)): not found; \(Self.oneLine(hint))"
        case .invalid(let path, let problem):
            "\(Self.oneLine(path)): \(Self.oneLine(problem))"
        case .unsupported(let path, let problem):
            "\(Self.oneLine(path)): \(Self.oneLine(problem))"
        case .inputOutput(let path, let operation, let code):
            "\(Self.oneLine(path)): cannot \(operation): \(System.message(of: code))"
                + (System.isFull(code) ? "; free some space and run again" : "")
        case .outOfMemory(let path, let byteCount):
            "\(Self.oneLine(path)): out of memory for \(byteCount) bytes; use a smaller model or type"
        }
    }

    /// Text with control characters replaced and cut to a readable length.
    static func oneLine(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(400) {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            let isBreak = scalar.value == 0x2028 || scalar.value == 0x2029
            result.unicodeScalars.append(isControl || isBreak ? "\u{FFFD}" : scalar)
        }
        return result
    }
}

extension FilesError {
    /// The error of a failed system call; absence gets its own case.
    init(path: String, operation: String, code: Int32) {
        if System.isAbsence(code) {
            self = .missing(path: path, hint: "check the path")
        } else {
            self = .inputOutput(path: path, operation: operation, code: code)
        }
    }

    /// An error of the tensor layer, with the file it happened in.
    init(_ error: TensorError, path: String) {
        switch error {
        case .outOfMemory(let byteCount): self = .outOfMemory(path: path, byteCount: byteCount)
        case .sizeMismatch(let text): self = .invalid(path: path, problem: text)
        case .unsupported(let text): self = .unsupported(path: path, problem: text)
        }
    }
}
