/// Expressions, with jinja's precedence: `if else`, `or`, `and`, `not`, comparison, `+ -`, `~`, `* / // %`, `**`,
/// sign, then attribute, item, call, filter and test.
extension TemplateParser {
    /// An expression, or a tuple without brackets.
    mutating func parseTuple(
        allowsConditional: Bool = true, endsAtRecursive: Bool = false, isBracketed: Bool = false
    ) throws(TemplateError) -> TemplateExpression {
        var items: [TemplateExpression] = []
        var isTuple = false
        while true {
            let isEnd =
                current.kind == .variableEnd || current.kind == .blockEnd || isSymbol(")")
                || (endsAtRecursive && isName("recursive"))
            if isEnd { break }
            items.append(try parseExpression(allowsConditional: allowsConditional))
            guard skip(symbol: ",") else { break }
            isTuple = true
        }
        if !isTuple {
            if let first = items.first { return first }
            guard isBracketed else { throw failure("Expected an expression, got '\(current.label)'") }
        }
        return .tuple(items)
    }

    mutating func parseExpression(allowsConditional: Bool = true) throws(TemplateError) -> TemplateExpression {
        try enter()
        defer { depth -= 1 }
        guard allowsConditional else { return try parseOr() }
        var expression = try parseOr()
        // Each further `if` wraps the expression; the count is bounded like any other nesting.
        var wraps = 0
        while skip(name: "if") {
            wraps += 1
            guard depth + wraps <= maximumDepth else { throw failure("it nests deeper than \(maximumDepth)") }
            let test = try parseOr()
            let otherwise = skip(name: "else") ? try parseExpression() : nil
            expression = .conditional(test: test, then: expression, otherwise: otherwise)
        }
        return expression
    }

    private mutating func parseOr() throws(TemplateError) -> TemplateExpression {
        let first = try parseAnd()
        guard isName("or") else { return first }
        var operands = [first]
        while skip(name: "or") { operands.append(try parseAnd()) }
        return .any(operands)
    }

    private mutating func parseAnd() throws(TemplateError) -> TemplateExpression {
        let first = try parseNot()
        guard isName("and") else { return first }
        var operands = [first]
        while skip(name: "and") { operands.append(try parseNot()) }
        return .all(operands)
    }

    private mutating func parseNot() throws(TemplateError) -> TemplateExpression {
        var negations = 0
        while skip(name: "not") { negations += 1 }
        let expression = try parseComparison()
        if negations == 0 { return expression }
        return negations % 2 == 1 ? .not(expression) : .not(.not(expression))
    }

    private mutating func parseComparison() throws(TemplateError) -> TemplateExpression {
        let first = try parseSum()
        var chain: [(operation: TemplateComparison, operand: TemplateExpression)] = []
        while true {
            if current.kind == .symbol, let operation = TemplateComparison(rawValue: current.text) {
                _ = advance()
                chain.append((operation, try parseSum()))
            } else if skip(name: "in") {
                chain.append((.isIn, try parseSum()))
            } else if isName("not"), isName("in", ahead: 1) {
                _ = advance()
                _ = advance()
                chain.append((.notIn, try parseSum()))
            } else {
                return chain.isEmpty ? first : .comparison(first, chain)
            }
        }
    }

    private mutating func parseSum() throws(TemplateError) -> TemplateExpression {
        let first = try parseConcatenation()
        var chain: [(operation: TemplateOperator, operand: TemplateExpression)] = []
        while current.kind == .symbol, let operation = TemplateOperator(rawValue: current.text),
            operation == .add || operation == .subtract
        {
            _ = advance()
            chain.append((operation, try parseConcatenation()))
        }
        return chain.isEmpty ? first : .arithmetic(first, chain)
    }

    private mutating func parseConcatenation() throws(TemplateError) -> TemplateExpression {
        let first = try parseProduct()
        guard isSymbol("~") else { return first }
        var operands = [first]
        while skip(symbol: "~") { operands.append(try parseProduct()) }
        return .concatenation(operands)
    }

    private mutating func parseProduct() throws(TemplateError) -> TemplateExpression {
        let first = try parsePower()
        var chain: [(operation: TemplateOperator, operand: TemplateExpression)] = []
        while current.kind == .symbol, let operation = TemplateOperator(rawValue: current.text),
            operation == .multiply || operation == .divide || operation == .floorDivide || operation == .modulo
        {
            _ = advance()
            chain.append((operation, try parsePower()))
        }
        return chain.isEmpty ? first : .arithmetic(first, chain)
    }

    private mutating func parsePower() throws(TemplateError) -> TemplateExpression {
        let first = try parseUnary()
        var chain: [(operation: TemplateOperator, operand: TemplateExpression)] = []
        while skip(symbol: "**") { chain.append((.power, try parseUnary())) }
        return chain.isEmpty ? first : .arithmetic(first, chain)
    }

    private mutating func parseUnary(withFilters: Bool = true) throws(TemplateError) -> TemplateExpression {
        var expression: TemplateExpression
        if isSymbol("-") || isSymbol("+") {
            try enter()
            defer { depth -= 1 }
            let isNegative = isSymbol("-")
            _ = advance()
            expression = .sign(negative: isNegative, try parseUnary(withFilters: false))
        } else {
            expression = try parsePrimary()
        }
        var chain: [TemplatePostfix] = []
        try parsePostfix(into: &chain)
        if withFilters { try parseFilters(into: &chain) }
        if !chain.isEmpty { expression = .postfix(expression, chain) }
        return expression
    }

    private mutating func parsePrimary() throws(TemplateError) -> TemplateExpression {
        let token = current
        switch token.kind {
        case .name:
            _ = advance()
            switch token.text {
            case "true", "True": return .literal(.bool(true))
            case "false", "False": return .literal(.bool(false))
            case "none", "None": return .literal(.none)
            case let name:
                if name == "caller" || name == "varargs" || name == "kwargs" { specialNames.insert(name) }
                return .name(identifier(name))
            }
        case .string:
            var bytes: [UInt8] = []
            while current.kind == .string { bytes.append(contentsOf: advance().bytes) }
            return .literal(.string(bytes))
        case .integer:
            _ = advance()
            return .literal(.int(try integer(token)))
        case .float:
            _ = advance()
            guard let value = Double(token.text) else { throw failure("illegal number '\(token.text)'") }
            return .literal(.double(value))
        case .symbol:
            if skip(symbol: "(") {
                let expression = try parseTuple(isBracketed: true)
                try expect(symbol: ")")
                return expression
            }
            if skip(symbol: "[") {
                return .list(try parseItems(until: "]"))
            }
            if skip(symbol: "{") { return try parseDict() }
            throw failure("unexpected '\(token.label)'")
        default:
            throw failure("unexpected '\(token.label)'")
        }
    }

    private func integer(_ token: TemplateToken) throws(TemplateError) -> Int {
        let text = token.text.lowercased()
        let radix = text.hasPrefix("0x") ? 16 : text.hasPrefix("0o") ? 8 : text.hasPrefix("0b") ? 2 : 10
        guard let value = Int(radix == 10 ? Substring(text) : text.dropFirst(2), radix: radix) else {
            throw TemplateError(.limit, "the number \(token.text) does not fit 64 bits", line: token.line)
        }
        return value
    }

    private mutating func parseItems(until close: String) throws(TemplateError) -> [TemplateExpression] {
        var items: [TemplateExpression] = []
        while !isSymbol(close) {
            if !items.isEmpty {
                try expect(symbol: ",")
                if isSymbol(close) { break }
            }
            items.append(try parseExpression())
        }
        try expect(symbol: close)
        return items
    }

    private mutating func parseDict() throws(TemplateError) -> TemplateExpression {
        var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
        while !isSymbol("}") {
            if !entries.isEmpty {
                try expect(symbol: ",")
                if isSymbol("}") { break }
            }
            let key = try parseExpression()
            try expect(symbol: ":")
            entries.append((key, try parseExpression()))
        }
        try expect(symbol: "}")
        return .dict(entries)
    }

    private mutating func parsePostfix(into chain: inout [TemplatePostfix]) throws(TemplateError) {
        while true {
            if skip(symbol: ".") {
                let token = advance()
                switch token.kind {
                case .name: chain.append(.attribute(token.text))
                case .integer: chain.append(.item(.literal(.int(try integer(token)))))
                default: throw failure("expected name or number")
                }
            } else if skip(symbol: "[") {
                chain.append(try parseSubscript())
            } else if isSymbol("(") {
                chain.append(.call(try parseArguments()))
            } else {
                return
            }
        }
    }

    private mutating func parseSubscript() throws(TemplateError) -> TemplatePostfix {
        var items: [TemplateExpression] = []
        var start: TemplateExpression?
        if !isSymbol(":") {
            let first = try parseExpression()
            if !isSymbol(":") {
                items.append(first)
                while skip(symbol: ",") {
                    if isSymbol("]") { break }
                    items.append(try parseExpression())
                }
                try expect(symbol: "]")
                return .item(items.count == 1 ? first : .tuple(items))
            }
            start = first
        }
        try expect(symbol: ":")
        var stop: TemplateExpression?
        var step: TemplateExpression?
        if !isSymbol(":"), !isSymbol("]") { stop = try parseExpression() }
        if skip(symbol: ":"), !isSymbol("]") { step = try parseExpression() }
        try expect(symbol: "]")
        return .slice(start: start, stop: stop, step: step)
    }

    private mutating func parseFilters(into chain: inout [TemplatePostfix]) throws(TemplateError) {
        while true {
            if skip(symbol: "|") {
                chain.append(.filter(try parseFilterName()))
            } else if skip(name: "is") {
                chain.append(try parseTest())
            } else if isSymbol("(") {
                chain.append(.call(try parseArguments()))
            } else {
                return
            }
        }
    }

    private mutating func parseDottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(symbol: ".") { name += "." + (try expectName()) }
        return name
    }

    mutating func parseFilterName() throws(TemplateError) -> TemplateFilterName {
        let name = try parseDottedName()
        return TemplateFilterName(
            name: name, arguments: isSymbol("(") ? try parseArguments() : TemplateArguments())
    }

    private mutating func parseTest() throws(TemplateError) -> TemplatePostfix {
        let negated = skip(name: "not")
        let name = try parseDottedName()
        var arguments = TemplateArguments()
        if isSymbol("(") {
            arguments = try parseArguments()
        } else {
            let isArgument =
                switch current.kind {
                case .name: !(isName("else") || isName("or") || isName("and"))
                case .string, .integer, .float: true
                case .symbol: isSymbol("[") || isSymbol("{")
                default: false
                }
            if isArgument {
                if isName("is") { throw failure("You cannot chain multiple tests with is") }
                try enter()
                defer { depth -= 1 }
                let primary = try parsePrimary()
                var postfix: [TemplatePostfix] = []
                try parsePostfix(into: &postfix)
                arguments.positional = [postfix.isEmpty ? primary : .postfix(primary, postfix)]
            }
        }
        return .test(name, arguments, negated: negated)
    }

    mutating func parseArguments() throws(TemplateError) -> TemplateArguments {
        try expect(symbol: "(")
        var arguments = TemplateArguments()
        var isFirst = true
        while !isSymbol(")") {
            if !isFirst {
                try expect(symbol: ",")
                if isSymbol(")") { break }
            }
            isFirst = false
            let invalid = failure("invalid syntax for function call expression")
            if skip(symbol: "*") {
                guard arguments.spreadPositional == nil, arguments.spreadKeyword == nil else { throw invalid }
                arguments.spreadPositional = try parseExpression()
            } else if skip(symbol: "**") {
                guard arguments.spreadKeyword == nil else { throw invalid }
                arguments.spreadKeyword = try parseExpression()
            } else if current.kind == .name, isSymbol("=", ahead: 1) {
                guard arguments.spreadKeyword == nil else { throw invalid }
                let name = advance().text
                _ = advance()
                arguments.keyword.append((name, try parseExpression()))
            } else {
                guard arguments.spreadPositional == nil, arguments.spreadKeyword == nil, arguments.keyword.isEmpty
                else { throw invalid }
                arguments.positional.append(try parseExpression())
            }
        }
        try expect(symbol: ")")
        return arguments
    }
}
