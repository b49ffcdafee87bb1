/// A prompt form from a file.
///
/// `{system}`, `{instruction}`, `{input}` and `{output}` stand for the row's fields. `{#input}…{/input}` is kept only
/// when the input is not empty, `{^input}…{/input}` only when it is (likewise for `system` and `instruction`). `{{` and
/// `}}` are braces. What stands before `{output}` is the prompt; the output and what follows it are trained. One line
/// break at the end of the file does not count.
public struct PromptTemplate: Sendable, Equatable {
    private enum Field: String {
        case system, instruction, input, output
    }

    private enum Piece: Equatable {
        case text(String)
        case field(Field)
        case section(Field, whenEmpty: Bool, [Piece])
    }

    private let pieces: [Piece]
    /// What follows the answer and is trained with it.
    public let suffix: String

    /// Parses a template.
    /// - Parameter name: what to call it in errors, such as its path.
    /// - Throws: `DataError` with the line: an unknown placeholder, a section left open, no `{output}`.
    public init(_ source: String, name: String) throws(DataError) {
        var parser = Parser(rest: Array(source.unicodeScalars), name: name)
        if parser.rest.last == "\n" { parser.rest.removeLast() }
        let all = try parser.parse(closing: nil)
        guard let place = all.firstIndex(of: .field(.output)) else {
            throw DataError(
                .badData, "\(name): the template has no {output} outside sections; put it where the answer goes")
        }
        var suffix = ""
        for piece in all[(place + 1)...] {
            guard case .text(let text) = piece else {
                throw DataError(.badData, "\(name): only fixed text may follow {output}")
            }
            suffix += text
        }
        pieces = Array(all[..<place])
        self.suffix = suffix
    }

    /// The prompt for a question.
    func prompt(system: String, instruction: String, input: String) -> String {
        var text = ""
        func value(_ field: Field) -> String {
            switch field {
            case .system: system
            case .instruction: instruction
            case .input: input
            case .output: ""
            }
        }
        func write(_ pieces: [Piece]) {
            for piece in pieces {
                switch piece {
                case .text(let fixed): text += fixed
                case .field(let field): text += value(field)
                case .section(let field, let whenEmpty, let inner):
                    if value(field).isEmpty == whenEmpty { write(inner) }
                }
            }
        }
        write(pieces)
        return text
    }

    private struct Parser {
        var rest: [Unicode.Scalar]
        let name: String
        var position = 0

        func fail(_ message: String) -> DataError {
            let line = rest[..<min(position, rest.count)].count { $0 == "\n" } + 1
            return DataError(.badData, message, at: RowSource(file: name, line: line))
        }

        mutating func parse(closing open: Field?) throws(DataError) -> [Piece] {
            var pieces: [Piece] = []
            var text = String.UnicodeScalarView()
            func flush() { if !text.isEmpty { pieces.append(.text(String(text))) } }
            while position < rest.count {
                let scalar = rest[position]
                let next = position + 1 < rest.count ? rest[position + 1] : nil
                if scalar == "{" || scalar == "}", next == scalar {
                    text.append(scalar)
                    position += 2
                } else if scalar == "{" {
                    flush()
                    text.removeAll()
                    let (mark, field) = try placeholder()
                    switch mark {
                    case nil:
                        if open != nil, field == .output { throw fail("{output} may not stand inside a section") }
                        pieces.append(.field(field))
                    case "/":
                        guard field == open else { throw fail("{/\(field.rawValue)} closes no open section") }
                        return pieces
                    case .some(let mark):
                        guard open == nil else { throw fail("sections cannot stand inside sections") }
                        let inner = try parse(closing: field)
                        pieces.append(.section(field, whenEmpty: mark == "^", inner))
                    }
                } else if scalar == "}" {
                    throw fail("a lone '}'; write '}}' for a brace")
                } else {
                    text.append(scalar)
                    position += 1
                }
            }
            if let open { throw fail("the section {#\(open.rawValue)} is never closed; add {/\(open.rawValue)}") }
            flush()
            return pieces
        }

        mutating func placeholder() throws(DataError) -> (mark: Unicode.Scalar?, field: Field) {
            position += 1
            var mark: Unicode.Scalar?
            if position < rest.count, ["#", "^", "/"].contains(rest[position]) {
                mark = rest[position]
                position += 1
            }
            guard let end = rest[position...].firstIndex(of: "}") else {
                throw fail("a '{' is never closed; write '{{' for a brace")
            }
            let word = String(String.UnicodeScalarView(rest[position..<end]))
            guard let field = Field(rawValue: word), mark == nil || field != .output else {
                throw fail("unknown placeholder {\(word)}; use system, instruction, input or output, '{{' for a brace")
            }
            position = end + 1
            return (mark, field)
        }
    }
}
