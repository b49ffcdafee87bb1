/// Builds the tree of a template: statements here, expressions in the extension.
struct TemplateParser {
    var tokens: [TemplateToken]
    var position = 0
    var depth = 0
    let maximumDepth: Int
    private(set) var names: [String] = []
    private var nameIDs: [String: Int] = [:]
    private(set) var hasGenerationBlocks = false
    private var loopDepth = 0
    /// Names read since the beginning of the innermost macro; a macro that reads `caller` and the like receives it.
    var specialNames: Set<String> = []

    init(_ tokens: [TemplateToken], maximumDepth: Int) {
        self.tokens = tokens
        self.maximumDepth = maximumDepth
        for name in ["loop", "caller", "varargs", "kwargs"] { _ = identifier(name) }
    }

    var current: TemplateToken { tokens[position] }

    mutating func advance() -> TemplateToken {
        let token = tokens[position]
        if position + 1 < tokens.count { position += 1 }
        return token
    }

    func isSymbol(_ symbol: String, ahead: Int = 0) -> Bool {
        guard position + ahead < tokens.count else { return false }
        let token = tokens[position + ahead]
        return token.kind == .symbol && token.bytes.elementsEqual(symbol.utf8)
    }

    func isName(_ name: String, ahead: Int = 0) -> Bool {
        guard position + ahead < tokens.count else { return false }
        let token = tokens[position + ahead]
        return token.kind == .name && token.bytes.elementsEqual(name.utf8)
    }

    mutating func skip(symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        _ = advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard isName(name) else { return false }
        _ = advance()
        return true
    }

    mutating func expect(symbol: String) throws(TemplateError) {
        guard skip(symbol: symbol) else { throw failure("expected token '\(symbol)', got '\(current.label)'") }
    }

    mutating func expectName(_ name: String? = nil) throws(TemplateError) -> String {
        guard current.kind == .name, name.map({ isName($0) }) ?? true else {
            throw failure("expected token '\(name ?? "name")', got '\(current.label)'")
        }
        return advance().text
    }

    mutating func expect(_ kind: TemplateToken.Kind, _ label: String) throws(TemplateError) {
        guard current.kind == kind else { throw failure("expected token '\(label)', got '\(current.label)'") }
        _ = advance()
    }

    func failure(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: current.line) }

    mutating func enter() throws(TemplateError) {
        depth += 1
        guard depth <= maximumDepth else {
            throw TemplateError(.limit, "it nests deeper than \(maximumDepth)", line: current.line)
        }
    }

    mutating func identifier(_ name: String) -> Int {
        if let id = nameIDs[name] { return id }
        names.append(name)
        nameIDs[name] = names.count - 1
        return names.count - 1
    }

    /// The whole template.
    mutating func parse() throws(TemplateError) -> [TemplateStatement] {
        let body = try parseBody(until: [])
        guard current.kind == .end else { throw failure("unexpected '\(current.label)'") }
        return body
    }

    /// Statements up to one of the closing tags, whose name is then the current token.
    private mutating func parseBody(until ends: [String]) throws(TemplateError) -> [TemplateStatement] {
        try enter()
        defer { depth -= 1 }
        var body: [TemplateStatement] = []
        while true {
            let line = current.line
            switch current.kind {
            case .data:
                body.append(TemplateStatement(line: line, node: .data(advance().bytes)))
            case .variableBegin:
                _ = advance()
                let expression = try parseTuple()
                try expect(.variableEnd, "end of print statement")
                body.append(TemplateStatement(line: line, node: .output(expression)))
            case .blockBegin:
                _ = advance()
                if current.kind == .name, ends.contains(current.text) { return body }
                try parseStatement(into: &body, ends: ends)
                try expect(.blockEnd, "end of statement block")
            case .end:
                guard ends.isEmpty else {
                    let tags = ends.map { "'\($0)'" }.joined(separator: " or ")
                    throw failure("Unexpected end of template. Jinja was looking for the following tags: \(tags).")
                }
                return body
            default:
                throw failure("unexpected '\(current.label)'")
            }
        }
    }

    /// The body after the opening of a block tag, up to and including the name of the closing tag, which is returned.
    private mutating func parseBlock(
        until ends: [String]
    ) throws(TemplateError) -> (body: [TemplateStatement], end: String) {
        _ = skip(symbol: ":")
        try expect(.blockEnd, "end of statement block")
        let body = try parseBody(until: ends)
        return (body, advance().text)
    }

    private mutating func parseStatement(
        into body: inout [TemplateStatement], ends: [String]
    ) throws(TemplateError) {
        let line = current.line
        guard current.kind == .name else { throw failure("tag name expected") }
        let tag = advance().text
        let node: TemplateNode
        switch tag {
        case "if": node = try parseIf()
        case "for": node = try parseFor()
        case "set": node = try parseSet()
        case "macro": node = try parseMacro()
        case "call": node = try parseCall()
        case "filter":
            var filters = [try parseFilterName()]
            while skip(symbol: "|") { filters.append(try parseFilterName()) }
            node = .filterBlock(filters: filters, body: try parseBlock(until: ["endfilter"]).body)
        case "with": node = try parseWith()
        case "generation":
            let outer = loopDepth
            loopDepth = 0
            hasGenerationBlocks = true
            node = .generation(try parseBlock(until: ["endgeneration"]).body)
            loopDepth = outer
        case "break", "continue":
            guard loopDepth > 0 else { throw failure("'\(tag)' outside loop") }
            node = tag == "break" ? .breakLoop : .continueLoop
        case "do": node = .evaluate(try parseTuple())
        case "print":
            while current.kind != .blockEnd {
                let expression = try parseExpression()
                body.append(TemplateStatement(line: line, node: .output(expression)))
                if current.kind != .blockEnd { try expect(symbol: ",") }
            }
            return
        case "include", "import", "from", "extends", "block":
            throw TemplateError(.syntax, "'\(tag)' needs other templates, which a chat template has not", line: line)
        case "autoescape":
            throw TemplateError(.syntax, "'autoescape' is not supported in chat templates", line: line)
        default:
            var message = "Encountered unknown tag '\(tag)'."
            if !ends.isEmpty {
                let tags = ends.map { "'\($0)'" }.joined(separator: " or ")
                message += " Jinja was looking for the following tags: \(tags)."
            }
            throw TemplateError(.syntax, message, line: line)
        }
        body.append(TemplateStatement(line: line, node: node))
    }

    private mutating func parseIf() throws(TemplateError) -> TemplateNode {
        var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
        while true {
            let test = try parseTuple(allowsConditional: false)
            let (body, end) = try parseBlock(until: ["elif", "else", "endif"])
            branches.append((test, body))
            if end == "elif" { continue }
            let otherwise = end == "else" ? try parseBlock(until: ["endif"]).body : []
            return .condition(branches, otherwise: otherwise)
        }
    }

    private mutating func parseFor() throws(TemplateError) -> TemplateNode {
        let target = try parseTarget(endingAtIn: true)
        _ = try expectName("in")
        let iterable = try parseTuple(allowsConditional: false, endsAtRecursive: true)
        let filter = skip(name: "if") ? try parseExpression() : nil
        let isRecursive = skip(name: "recursive")
        loopDepth += 1
        let (body, end) = try parseBlock(until: ["endfor", "else"])
        loopDepth -= 1
        let otherwise = end == "else" ? try parseBlock(until: ["endfor"]).body : []
        return .loop(
            TemplateFor(
                target: target, iterable: iterable, filter: filter, isRecursive: isRecursive, body: body,
                otherwise: otherwise))
    }

    private mutating func parseSet() throws(TemplateError) -> TemplateNode {
        let target = try parseTarget(allowsNamespace: true)
        if skip(symbol: "=") { return .assign(target, try parseTuple()) }
        var filters: [TemplateFilterName] = []
        while skip(symbol: "|") { filters.append(try parseFilterName()) }
        return .assignBlock(target, filters: filters, body: try parseBlock(until: ["endset"]).body)
    }

    private mutating func parseWith() throws(TemplateError) -> TemplateNode {
        var assignments: [(target: TemplateTarget, value: TemplateExpression)] = []
        while current.kind != .blockEnd {
            if !assignments.isEmpty { try expect(symbol: ",") }
            let target = try parseTarget()
            try expect(symbol: "=")
            assignments.append((target, try parseExpression()))
        }
        return .with(assignments, body: try parseBlock(until: ["endwith"]).body)
    }

    private mutating func parseMacro() throws(TemplateError) -> TemplateNode {
        let name = try expectName()
        let outer = specialNames
        specialNames = []
        var signature = TemplateSignature(name: name)
        try expect(symbol: "(")
        try parseParameters(into: &signature)
        try parseMacroBody(&signature, until: "endmacro")
        specialNames = outer
        return .macro(id: identifier(name), signature)
    }

    private mutating func parseCall() throws(TemplateError) -> TemplateNode {
        let outer = specialNames
        var signature = TemplateSignature(name: nil)
        if skip(symbol: "(") { try parseParameters(into: &signature) }
        guard case .postfix(let base, var chain) = try parseExpression(), case .call(let arguments)? = chain.popLast()
        else { throw failure("expected call") }
        let callee = chain.isEmpty ? base : .postfix(base, chain)
        specialNames = []
        try parseMacroBody(&signature, until: "endcall")
        specialNames.formUnion(outer)
        return .call(callee, arguments, signature)
    }

    private mutating func parseParameters(into signature: inout TemplateSignature) throws(TemplateError) {
        var hasFallback = false
        while !isSymbol(")") {
            if !signature.parameters.isEmpty { try expect(symbol: ",") }
            let name = try expectName()
            var fallback: TemplateExpression?
            if skip(symbol: "=") {
                fallback = try parseExpression()
                hasFallback = true
            } else if hasFallback {
                throw failure("non-default argument follows default argument")
            }
            signature.parameters.append((name, identifier(name), fallback))
        }
        try expect(symbol: ")")
    }

    private mutating func parseMacroBody(
        _ signature: inout TemplateSignature, until end: String
    ) throws(TemplateError) {
        let outer = loopDepth
        loopDepth = 0
        signature.body = try parseBlock(until: [end]).body
        loopDepth = outer
        signature.usesCaller = specialNames.contains("caller")
        signature.usesVarargs = specialNames.contains("varargs")
        signature.usesKwargs = specialNames.contains("kwargs")
    }

    /// A target of `for`, `set` or `with`: a name, `namespace.attribute`, or a tuple of these.
    private mutating func parseTarget(
        endingAtIn: Bool = false, allowsNamespace: Bool = false
    ) throws(TemplateError) -> TemplateTarget {
        try enter()
        defer { depth -= 1 }
        var targets: [TemplateTarget] = []
        var isTuple = false
        while true {
            if current.kind == .blockEnd || isSymbol(")") || isSymbol("=") || (endingAtIn && isName("in")) { break }
            if skip(symbol: "(") {
                targets.append(try parseTarget(endingAtIn: endingAtIn, allowsNamespace: allowsNamespace))
                try expect(symbol: ")")
            } else {
                let name = try expectName()
                if Self.reservedNames.contains(name) { throw failure("can't assign to '\(name)'") }
                if allowsNamespace, skip(symbol: ".") {
                    targets.append(.attribute(namespace: identifier(name), try expectName()))
                } else {
                    targets.append(.name(identifier(name)))
                }
            }
            guard skip(symbol: ",") else { break }
            isTuple = true
        }
        guard let first = targets.first else { throw failure("Expected an expression, got '\(current.label)'") }
        return isTuple ? .tuple(targets) : first
    }

    private static let reservedNames: Set<String> = ["true", "false", "none", "True", "False", "None"]
}
