/// Letter case and character classes of Python's `str`.
enum TemplateCase {
    static func convert(_ text: TemplateText, _ name: String) -> TemplateText {
        var string = ""
        switch name {
        case "upper": string = text.string.uppercased()
        case "lower": string = lowercased(text.string)
        case "casefold": string = lowercased(text.string).replacingSharpS()
        case "capitalize":
            let scalars = text.string.unicodeScalars
            if let first = scalars.first {
                string = first.properties.titlecaseMapping + lowercased(String(scalars.dropFirst()))
            }
        case "swapcase":
            for scalar in text.string.unicodeScalars {
                let isUpper = scalar.properties.isUppercase
                string += isUpper ? scalar.properties.lowercaseMapping : scalar.properties.uppercaseMapping
            }
        default:
            var isInWord = false
            for scalar in text.string.unicodeScalars {
                string += isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
                isInWord = scalar.properties.isCased
            }
        }
        let result = TemplateText(Array(string.utf8), isMarkup: text.isMarkup)
        guard result.bytes.count == text.bytes.count else { return result.attributed(to: text.origin) }
        var kept = result
        kept.marks = text.marks
        return kept
    }

    /// `str.lower`: the full mapping, with the sigma that ends a word.
    private static func lowercased(_ string: String) -> String {
        guard string.unicodeScalars.contains("\u{03A3}") else { return string.lowercased() }
        let scalars = Array(string.unicodeScalars)
        var result = ""
        for (place, scalar) in scalars.enumerated() {
            guard scalar == "\u{03A3}" else {
                result += scalar.properties.lowercaseMapping
                continue
            }
            let before = scalars[..<place].last { !$0.properties.isCaseIgnorable }
            let after = scalars[(place + 1)...].first { !$0.properties.isCaseIgnorable }
            let isFinal = before?.properties.isCased == true && after?.properties.isCased != true
            result += isFinal ? "\u{03C2}" : "\u{03C3}"
        }
        return result
    }

    static func check(_ text: TemplateText, _ name: String) -> Bool {
        let scalars = text.scalars
        if name == "isascii" { return text.bytes.allSatisfy { $0 < 0x80 } }
        if name == "isprintable" { return scalars.allSatisfy(PythonText.isPrintable) }
        guard !scalars.isEmpty else { return false }
        switch name {
        case "islower": return hasCase(scalars, { $0.properties.isLowercase }, not: isUpperOrTitle)
        case "isupper": return hasCase(scalars, { $0.properties.isUppercase }, not: isLowerOrTitle)
        case "istitle": return isTitle(scalars)
        case "isspace": return scalars.allSatisfy(\.isPythonSpace)
        case "isalpha": return scalars.allSatisfy(isAlpha)
        case "isdecimal": return scalars.allSatisfy { $0.properties.numericType == .decimal }
        case "isdigit": return scalars.allSatisfy(isDigit)
        case "isnumeric": return scalars.allSatisfy { $0.properties.numericType != nil }
        case "isalnum": return scalars.allSatisfy { isAlpha($0) || $0.properties.numericType != nil }
        default:
            let isStart = { (scalar: Unicode.Scalar) in scalar == "_" || scalar.properties.isXIDStart }
            return isStart(scalars[0]) && scalars.dropFirst().allSatisfy { $0.properties.isXIDContinue }
        }
    }

    private static func isUpperOrTitle(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isUppercase || scalar.properties.generalCategory == .titlecaseLetter
    }

    private static func isLowerOrTitle(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isLowercase || scalar.properties.generalCategory == .titlecaseLetter
    }

    private static func hasCase(
        _ scalars: [Unicode.Scalar], _ wanted: (Unicode.Scalar) -> Bool, not unwanted: (Unicode.Scalar) -> Bool
    ) -> Bool {
        scalars.contains(where: wanted) && !scalars.contains(where: unwanted)
    }

    private static func isTitle(_ scalars: [Unicode.Scalar]) -> Bool {
        var isInWord = false
        var hasCased = false
        for scalar in scalars {
            if isUpperOrTitle(scalar) {
                if isInWord { return false }
                isInWord = true
                hasCased = true
            } else if scalar.properties.isLowercase {
                if !isInWord { return false }
                hasCased = true
            } else {
                isInWord = false
            }
        }
        return hasCased
    }

    static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
    }

    static func isAlpha(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
}

extension String {
    fileprivate func replacingSharpS() -> String {
        var result = ""
        for scalar in unicodeScalars {
            if scalar == "\u{00DF}" { result += "ss" } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }
}
