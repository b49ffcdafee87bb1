/// The filter `wordwrap`: Python's `textwrap.wrap` for each line of a text.
enum TemplateWrapping {
    static func wrap(
        _ text: TemplateText, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let values = try arguments.bind("wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"])
        let width = try values[0].map { value throws(TemplateError) in try interpreter.integer(value) } ?? 79
        guard width > 0 else { throw TemplateError(.runtime, "invalid width \(width) (must be > 0)") }
        let breaksWords = values[1]?.isTrue ?? true
        let breaksHyphens = values[3]?.isTrue ?? true
        var separator = TemplateText("\n")
        if case .string(let given)? = values[2] { separator = given }
        var parts: [TemplateText] = []
        try interpreter.spend(parts: TemplateStringMethods.breakCount(text), of: text)
        for line in TemplateStringMethods.lines(text) {
            try interpreter.spend(bytes: line.bytes.count)
            let wrapped = lines(of: line.scalars, width, breaksWords, breaksHyphens).map { TemplateText($0) }
            parts.append(try TemplateStringMethods.join(wrapped, separator, interpreter))
        }
        return try TemplateStringMethods.join(parts, separator, interpreter).attributed(to: text.origin)
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        "\t\n\u{0B}\u{0C}\r ".unicodeScalars.contains(scalar)
    }

    private static func lines(
        of text: [Unicode.Scalar], _ width: Int, _ breaksWords: Bool, _ breaksHyphens: Bool
    ) -> [[Unicode.Scalar]] {
        var chunks = Array(chunks(of: text, breaksHyphens).reversed())
        var lines: [[Unicode.Scalar]] = []
        while !chunks.isEmpty {
            if !lines.isEmpty, let last = chunks.last, last.allSatisfy(isSpace) { chunks.removeLast() }
            var line: [[Unicode.Scalar]] = []
            var length = 0
            while let next = chunks.last, length + next.count <= width {
                line.append(next)
                length += next.count
                chunks.removeLast()
            }
            if let long = chunks.last, long.count > width {
                let space = max(1, width - length)
                if breaksWords {
                    line.append(Array(long[..<space]))
                    chunks[chunks.count - 1] = Array(long[space...])
                } else if line.isEmpty {
                    line.append(long)
                    chunks.removeLast()
                }
            }
            if let last = line.last, last.allSatisfy(isSpace) { line.removeLast() }
            if !line.isEmpty { lines.append(Array(line.joined())) }
        }
        return lines
    }

    /// Words with their hyphens, and the white space between them.
    private static func chunks(of text: [Unicode.Scalar], _ breaksHyphens: Bool) -> [[Unicode.Scalar]] {
        var chunks: [[Unicode.Scalar]] = []
        var current: [Unicode.Scalar] = []
        for (place, scalar) in text.enumerated() {
            if let last = current.last, isSpace(last) != isSpace(scalar) {
                chunks.append(current)
                current = []
            }
            current.append(scalar)
            // A hyphen between letters ends a chunk.
            guard breaksHyphens, scalar == "-", place >= 2, place + 2 < text.count, current.count >= 3,
                TemplateCase.isAlpha(text[place - 1]), TemplateCase.isAlpha(text[place - 2]),
                TemplateCase.isAlpha(text[place + 1]), TemplateCase.isAlpha(text[place + 2])
            else { continue }
            chunks.append(current)
            current = []
        }
        if !current.isEmpty { chunks.append(current) }
        return chunks
    }
}
