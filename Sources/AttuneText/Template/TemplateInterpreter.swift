/// One rendering: walks the tree and writes the output.
final class TemplateInterpreter {
    let names: [String]
    let limits: TemplateLimits
    let clock: TemplateClock
    var scope: TemplateScope
    var output = TemplateText([])
    /// The line of the statement under way, for messages.
    var line = 0
    private var steps = 0
    private var depth = 0
    private var calls = 0
    /// The message whose iteration is under way.
    private var turn: Int?
    /// Scopes that macros hold on to while they hold the macros; emptied at the end to break the cycles.
    private var closedScopes: [TemplateScope] = []

    /// Deeper than any template that stays within the nesting limits of source and calls; keeps the stack small.
    static let maximumEvaluationDepth = 800

    init(names: [String], limits: TemplateLimits, clock: TemplateClock) {
        self.names = names
        self.limits = limits
        self.clock = clock
        scope = TemplateScope(parent: nil)
    }

    func render(_ body: [TemplateStatement]) throws(TemplateError) -> TemplateText {
        defer { for scope in closedScopes { scope.clear() } }
        do {
            // `break` cannot leave the template: the parser keeps it inside loops.
            _ = try execute(body)
        } catch {
            var error = error
            if error.line == nil { error.line = line }
            throw error
        }
        return output
    }

    // MARK: budgets

    func spend(_ count: Int = 1) throws(TemplateError) {
        steps += count
        guard steps <= limits.steps else {
            throw TemplateError(.limit, "it took more than \(limits.steps) steps")
        }
    }

    func spend(bytes: Int) throws(TemplateError) {
        guard bytes <= limits.outputBytes else {
            throw TemplateError(.limit, "a text grew beyond \(limits.outputBytes) bytes")
        }
        try spend(bytes >> 8)
    }

    /// The price of a text that was made: its bytes and the marks copied with them.
    func spend(_ text: TemplateText) throws(TemplateError) {
        try spend(bytes: text.bytes.count)
        try spend(text.marks.count >> 3)
    }

    /// The price of cutting a text: each part looks at all marks.
    func spend(parts: Int, of text: TemplateText) throws(TemplateError) {
        guard !text.marks.isEmpty else { return }
        let (product, overflows) = parts.multipliedReportingOverflow(by: text.marks.count)
        try spend(overflows ? limits.steps : product >> 6)
    }

    func checkRepeat(_ count: Int) throws(TemplateError) {
        guard count <= limits.repeatedBytes else {
            throw TemplateError(.limit, "a repetition would make more than \(limits.repeatedBytes) bytes or elements")
        }
    }

    func enter() throws(TemplateError) {
        depth += 1
        guard depth <= Self.maximumEvaluationDepth else {
            throw TemplateError(.limit, "its evaluation nests deeper than \(Self.maximumEvaluationDepth)")
        }
        try spend()
    }

    func leave() { depth -= 1 }

    func list(_ items: [TemplateValue], isGroup: Bool = false) throws(TemplateError) -> TemplateList {
        try spend(items.count >> 3)
        let list = TemplateList(items, isGroup: isGroup)
        try checkDepth(list.depth)
        return list
    }

    func dict(_ builder: TemplateDictBuilder, origin: Int? = nil) throws(TemplateError) -> TemplateDict {
        try spend(builder.entries.count >> 3)
        let dict = TemplateDict(builder, origin: origin)
        try checkDepth(dict.depth)
        return dict
    }

    private func checkDepth(_ depth: Int) throws(TemplateError) {
        guard depth <= limits.nesting else {
            throw TemplateError(.limit, "a value nests deeper than \(limits.nesting)")
        }
    }

    // MARK: output

    func write(_ text: TemplateText) throws(TemplateError) {
        guard output.bytes.count + text.bytes.count <= limits.outputBytes else {
            throw TemplateError(.limit, "the output grew beyond \(limits.outputBytes) bytes")
        }
        try spend(text)
        output.append(text)
    }

    /// What a piece of work writes, instead of writing it.
    func capture(_ work: () throws(TemplateError) -> Flow) throws(TemplateError) -> (text: TemplateText, flow: Flow) {
        let outer = output
        output = TemplateText([])
        defer { output = outer }
        let flow = try work()
        return (output, flow)
    }

    func inScope(
        _ parent: TemplateScope, _ work: (TemplateScope) throws(TemplateError) -> Flow
    ) throws(TemplateError) -> Flow {
        let outer = scope
        let inner = TemplateScope(parent: parent)
        scope = inner
        defer { scope = outer }
        return try work(inner)
    }

    // MARK: statements

    /// How a body ended.
    enum Flow { case normal, breakLoop, continueLoop }

    func execute(_ body: [TemplateStatement]) throws(TemplateError) -> Flow {
        try enter()
        defer { leave() }
        for statement in body {
            line = statement.line
            let flow = try execute(statement.node)
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func execute(_ node: TemplateNode) throws(TemplateError) -> Flow {
        switch node {
        case .data(let bytes):
            try write(TemplateText(bytes))
        case .output(let expression):
            try write(PythonText.string(try evaluate(expression)))
        case .evaluate(let expression):
            _ = try evaluate(expression)
        case .condition(let branches, let otherwise):
            return try executeCondition(branches, otherwise)
        case .loop(let loop):
            let iterable = try evaluate(loop.iterable)
            return try run(loop, over: iterable, scope: scope, depth: 0)
        case .assign(let target, let expression):
            try assign(target, try evaluate(expression), in: scope)
        case .assignBlock(let target, let filters, let body):
            let outer = scope
            let (text, flow) = try capture { () throws(TemplateError) in
                try inScope(outer) { _ throws(TemplateError) in try execute(body) }
            }
            guard flow == .normal else { return flow }
            try assign(target, try apply(filters, to: .string(text)), in: scope)
        case .filterBlock(let filters, let body):
            let outer = scope
            let (text, flow) = try capture { () throws(TemplateError) in
                try inScope(outer) { _ throws(TemplateError) in try execute(body) }
            }
            guard flow == .normal else { return flow }
            try write(PythonText.string(try apply(filters, to: .string(text))))
        case .with(let assignments, let body):
            return try executeWith(assignments, body)
        case .macro(let id, let signature):
            let macro = TemplateMacro(signature: signature, scope: scope)
            closedScopes.append(scope)
            scope.set(id, .callable(TemplateCallable(.macro(macro))))
        case .call(let callee, let arguments, let signature):
            try executeCall(callee, arguments, signature)
        case .generation(let body):
            try executeGeneration(body)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .normal
    }

    private func executeCondition(
        _ branches: [(test: TemplateExpression, body: [TemplateStatement])], _ otherwise: [TemplateStatement]
    ) throws(TemplateError) -> Flow {
        for branch in branches where try evaluate(branch.test).isTrue { return try execute(branch.body) }
        return otherwise.isEmpty ? .normal : try execute(otherwise)
    }

    private func executeWith(
        _ assignments: [(target: TemplateTarget, value: TemplateExpression)], _ body: [TemplateStatement]
    ) throws(TemplateError) -> Flow {
        // All values are evaluated outside before any is bound.
        var values: [TemplateValue] = []
        for assignment in assignments { values.append(try evaluate(assignment.value)) }
        return try inScope(scope) { inner throws(TemplateError) in
            for (assignment, value) in zip(assignments, values) { try assign(assignment.target, value, in: inner) }
            return try execute(body)
        }
    }

    private func executeCall(
        _ callee: TemplateExpression, _ arguments: TemplateArguments, _ signature: TemplateSignature
    ) throws(TemplateError) {
        let function = try evaluate(callee)
        var values = try evaluate(arguments)
        let caller = TemplateMacro(signature: signature, scope: scope)
        closedScopes.append(scope)
        values.keyword.append(("caller", .callable(TemplateCallable(.macro(caller)))))
        try write(PythonText.string(try call(function, values)))
    }

    private func executeGeneration(_ body: [TemplateStatement]) throws(TemplateError) {
        let begin = output.bytes.count
        _ = try inScope(scope) { _ throws(TemplateError) in try execute(body) }
        output.marks.append(
            ProvenanceMark(begin: begin, end: output.bytes.count, message: turn ?? -1, kind: .generation))
    }

    /// Runs a loop. Its `else` runs when no iteration reached the end of the body, as in jinja2's compiled code.
    private func run(
        _ loop: TemplateFor, over iterable: TemplateValue, scope outer: TemplateScope, depth: Int
    ) throws(TemplateError) -> Flow {
        var items = try elements(iterable)
        if let filter = loop.filter {
            var kept: [TemplateValue] = []
            for item in items {
                try spend()
                let saved = scope
                let inner = TemplateScope(parent: outer)
                scope = inner
                defer { scope = saved }
                try assign(loop.target, item, in: inner)
                if try evaluate(filter).isTrue { kept.append(item) }
            }
            items = kept
        }
        let state = TemplateLoop(items: items, depth: depth, node: loop.isRecursive ? loop : nil, scope: outer)
        var completed = false
        let outerTurn = turn
        defer { turn = outerTurn }
        for (place, item) in items.enumerated() {
            try spend()
            state.index = place
            let begin = output.bytes.count
            let firstMark = output.marks.count
            var origin: Int?
            if case .dict(let dict) = item, dict.isMessage { origin = dict.origin }
            turn = origin ?? outerTurn
            let flow = try inScope(outer) { inner throws(TemplateError) in
                inner.set(Self.loopName, .loop(state))
                try assign(loop.target, item, in: inner)
                return try execute(loop.body)
            }
            var isIndex = false
            if case .int = item { isIndex = true }
            if origin != nil || isIndex || outerTurn == nil {
                markTurn(from: begin, firstMark: firstMark, origin: origin, outer: outerTurn)
            }
            if flow == .breakLoop { break }
            if flow == .normal { completed = true }
        }
        turn = outerTurn
        guard !completed, !loop.otherwise.isEmpty else { return .normal }
        return try inScope(outer) { _ throws(TemplateError) in try execute(loop.otherwise) }
    }

    // The parser gives these names the first ids.
    static let loopName = 0
    static let callerName = 1
    static let varargsName = 2
    static let kwargsName = 3

    /// Notes which message the output of an iteration belongs to: that of the loop's item, or, for loops over indexes
    /// and the like, the only message besides the one under way whose content was written.
    private func markTurn(from begin: Int, firstMark: Int, origin: Int?, outer: Int?) {
        let end = output.bytes.count
        guard end > begin else { return }
        var message = origin
        if message == nil {
            for mark in output.marks[min(firstMark, output.marks.count)...] where mark.end > begin {
                if mark.kind == .turn { return }
                guard mark.kind == .content, mark.message != outer else { continue }
                if let message, message != mark.message { return }
                message = mark.message
            }
        }
        guard let message else { return }
        output.marks.append(ProvenanceMark(begin: begin, end: end, message: message, kind: .turn))
    }

    /// `loop(children)` inside a recursive loop.
    func recurse(_ state: TemplateLoop, _ iterable: TemplateValue) throws(TemplateError) -> TemplateValue {
        guard let node = state.node else {
            throw TemplateError(.runtime, "The loop must have the 'recursive' marker to be called recursively.")
        }
        try beginCall()
        defer { endCall() }
        let (text, _) = try capture { () throws(TemplateError) in
            try run(node, over: iterable, scope: state.scope, depth: state.depth + 1)
        }
        return .string(text)
    }

    func beginCall() throws(TemplateError) {
        calls += 1
        guard calls <= limits.calls else {
            throw TemplateError(.limit, "more than \(limits.calls) macro calls are under way")
        }
    }

    func endCall() { calls -= 1 }

    private func assign(
        _ target: TemplateTarget, _ value: TemplateValue, in scope: TemplateScope
    ) throws(TemplateError) {
        switch target {
        case .name(let id): scope.set(id, value)
        case .attribute(let id, let name):
            guard case .namespace(let namespace) = lookUp(id) else {
                throw TemplateError(.runtime, "cannot assign attribute on non-namespace object")
            }
            try set(name, of: namespace, to: value)
        case .tuple(let targets):
            let items = try elements(value)
            guard items.count == targets.count else {
                throw TemplateError(
                    .runtime,
                    items.count > targets.count
                        ? "too many values to unpack (expected \(targets.count))"
                        : "not enough values to unpack (expected \(targets.count), got \(items.count))")
            }
            for (target, item) in zip(targets, items) { try assign(target, item, in: scope) }
        }
    }

    func set(_ name: String, of namespace: TemplateNamespace, to value: TemplateValue) throws(TemplateError) {
        guard !name.hasPrefix("_") else {
            throw TemplateError(
                .security,
                "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '\(name)'. "
                    + "Please rename the attribute.")
        }
        guard !value.holdsNamespace else {
            throw TemplateError(.limit, "a namespace cannot hold a namespace or a loop")
        }
        namespace[name] = value
    }

    func lookUp(_ id: Int) -> TemplateValue {
        var next: TemplateScope? = scope
        while let scope = next {
            if let value = scope.value(id) { return value }
            next = scope.parent
        }
        let name = names[id]
        if let global = TemplateGlobal(rawValue: name) { return .callable(TemplateCallable(.global(global))) }
        return .undefined(TemplateUndefined(.name(name)))
    }

    // MARK: macros

    /// Calls a macro as Python binds arguments, and returns what it wrote.
    func call(_ macro: TemplateMacro, _ arguments: TemplateCallArguments) throws(TemplateError) -> TemplateValue {
        try beginCall()
        defer { endCall() }
        let signature = macro.signature
        let name = signature.name.map { "'\($0)'" } ?? "None"
        var keyword = arguments.keyword
        let inner = TemplateScope(parent: macro.scope)
        let saved = scope
        scope = inner
        defer { scope = saved }
        var hasCallerParameter = false
        for (place, parameter) in signature.parameters.enumerated() {
            if parameter.name == "caller" { hasCallerParameter = true }
            if place < arguments.positional.count {
                inner.set(parameter.id, arguments.positional[place])
            } else if let given = keyword.firstIndex(where: { $0.name == parameter.name }) {
                inner.set(parameter.id, keyword.remove(at: given).value)
            } else if let fallback = parameter.fallback {
                inner.set(parameter.id, try evaluate(fallback))
            } else {
                let hint = "parameter '\(parameter.name)' was not provided"
                inner.set(parameter.id, .undefined(TemplateUndefined(.hint(hint))))
            }
        }
        if signature.usesCaller, !hasCallerParameter {
            var caller = TemplateValue.undefined(TemplateUndefined(.hint("No caller defined")))
            if let given = keyword.firstIndex(where: { $0.name == "caller" }) {
                caller = keyword.remove(at: given).value
            }
            inner.set(Self.callerName, caller)
        }
        if signature.usesKwargs {
            var builder = TemplateDictBuilder()
            for argument in keyword { builder.set(argument.name, argument.value) }
            inner.set(Self.kwargsName, .dict(try dict(builder)))
        } else if let extra = keyword.first {
            throw TemplateError(.runtime, "macro \(name) takes no keyword argument '\(extra.name)'")
        }
        if signature.usesVarargs {
            let rest = Array(arguments.positional.dropFirst(signature.parameters.count))
            inner.set(Self.varargsName, .tuple(try list(rest)))
        } else if arguments.positional.count > signature.parameters.count {
            throw TemplateError(
                .runtime, "macro \(name) takes not more than \(signature.parameters.count) argument(s)")
        }
        let callLine = line
        let (text, _) = try capture { () throws(TemplateError) in try execute(signature.body) }
        line = callLine
        return .string(text)
    }
}

/// The variables of a block; what an inner block sets is gone after it.
final class TemplateScope {
    let parent: TemplateScope?
    private var ids: [Int] = []
    private var values: [TemplateValue] = []

    init(parent: TemplateScope?) { self.parent = parent }

    func value(_ id: Int) -> TemplateValue? {
        guard let place = ids.firstIndex(of: id) else { return nil }
        return values[place]
    }

    func set(_ id: Int, _ value: TemplateValue) {
        if let place = ids.firstIndex(of: id) {
            values[place] = value
        } else {
            ids.append(id)
            values.append(value)
        }
    }

    func clear() {
        ids = []
        values = []
    }
}

/// A macro, or the body of a `call` block, with the scope it was defined in.
final class TemplateMacro {
    let signature: TemplateSignature
    let scope: TemplateScope

    init(signature: TemplateSignature, scope: TemplateScope) {
        self.signature = signature
        self.scope = scope
    }
}

/// The state `loop` shows.
final class TemplateLoop {
    let items: [TemplateValue]
    let depth: Int
    /// Set when the loop may call itself.
    let node: TemplateFor?
    let scope: TemplateScope
    var index = 0
    var lastChanged: [TemplateValue]?

    init(items: [TemplateValue], depth: Int, node: TemplateFor?, scope: TemplateScope) {
        self.items = items
        self.depth = depth
        self.node = node
        self.scope = scope
    }
}

/// The values of a call's arguments.
struct TemplateCallArguments {
    var positional: [TemplateValue] = []
    var keyword: [(name: String, value: TemplateValue)] = []

    /// The arguments in the order of a builtin's parameters.
    func bind(_ function: String, _ parameters: [String], required: Int = 0) throws(TemplateError) -> [TemplateValue?] {
        guard positional.count <= parameters.count else {
            throw TemplateError(
                .runtime, "\(function)() takes at most \(parameters.count) arguments (\(positional.count) given)")
        }
        var values = [TemplateValue?](repeating: nil, count: parameters.count)
        for (place, value) in positional.enumerated() { values[place] = value }
        for argument in keyword {
            guard let place = parameters.firstIndex(of: argument.name) else {
                throw TemplateError(
                    .runtime, "\(function)() got an unexpected keyword argument '\(argument.name)'")
            }
            guard values[place] == nil else {
                throw TemplateError(.runtime, "\(function)() got multiple values for argument '\(argument.name)'")
            }
            values[place] = argument.value
        }
        for place in 0..<required where values[place] == nil {
            throw TemplateError(
                .runtime, "\(function)() missing required argument '\(parameters[place])'")
        }
        return values
    }
}
