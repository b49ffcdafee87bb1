import AttuneData

/// One question, the answer it should get and the answer a model gave.
public struct Prediction: Sendable {
    /// Where the row stands.
    public let row: RowSource
    /// The question as the model saw it.
    public let prompt: String
    /// The answer of the data.
    public let expected: String
    /// The answer of the model.
    public let got: String
    /// Why generation ended: `stop`, `length`, …
    public let stopReason: String

    /// One answered question.
    public init(row: RowSource, prompt: String, expected: String, got: String, stopReason: String) {
        self.row = row
        self.prompt = prompt
        self.expected = expected
        self.got = got
        self.stopReason = stopReason
    }

    /// Whether both answers are the same code points once white space around them is gone.
    public var isExactMatch: Bool { AnswerText.same(expected, got) }

    /// Where the stripped answers part, or `nil` when they are the same.
    public var firstDifference: FirstDifference? {
        FirstDifference(expected: AnswerText.stripped(expected), got: AnswerText.stripped(got))
    }
}

/// How answers are compared: as Python's `expected.strip() == got.strip()`.
enum AnswerText {
    /// Python's `str.isspace`: Unicode white space and the four separators U+001C…U+001F.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    /// The text without white space at both ends.
    static func stripped(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isSpace($0) }),
            let last = scalars.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(scalars[first...last])
    }

    /// Equality of the stripped code points; `String ==` would merge canonically equivalent texts.
    static func same(_ left: String, _ right: String) -> Bool {
        stripped(left).utf8.elementsEqual(stripped(right).utf8)
    }
}

/// The first place where two answers differ.
public struct FirstDifference: Sendable, Equatable {
    /// Characters (Unicode code points) before the difference, in the stripped answers.
    public let index: Int
    /// The expected text around the place, ellipses where it is cut.
    public let expected: String
    /// The given text around the place, ellipses where it is cut.
    public let got: String

    /// Compares code point by code point; `nil` when there is no difference.
    init?(expected: String, got: String) {
        let left = Array(expected.unicodeScalars)
        let right = Array(got.unicodeScalars)
        var index = 0
        while index < left.count, index < right.count, left[index] == right[index] { index += 1 }
        guard index < left.count || index < right.count else { return nil }
        self.index = index
        self.expected = Self.context(left, at: index)
        self.got = Self.context(right, at: index)
    }

    /// Twelve code points before the place and twenty from it on.
    private static func context(_ scalars: [Unicode.Scalar], at index: Int) -> String {
        let start = max(0, index - 12)
        let end = min(scalars.count, index + 20)
        var text = start > 0 ? "…" : ""
        text.unicodeScalars.append(contentsOf: scalars[start..<end])
        return end < scalars.count ? text + "…" : text
    }
}
