/// A literal of the source.
enum TemplateLiteral: Sendable {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string([UInt8])
}

/// An expression. Chains of operators are kept flat, so that the depth of the tree is the depth of the brackets.
indirect enum TemplateExpression: Sendable {
    case literal(TemplateLiteral)
    case name(Int)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dict([(key: TemplateExpression, value: TemplateExpression)])
    case postfix(TemplateExpression, [TemplatePostfix])
    case not(TemplateExpression)
    case sign(negative: Bool, TemplateExpression)
    case all([TemplateExpression])
    case any([TemplateExpression])
    case concatenation([TemplateExpression])
    case arithmetic(TemplateExpression, [(operation: TemplateOperator, operand: TemplateExpression)])
    case comparison(TemplateExpression, [(operation: TemplateComparison, operand: TemplateExpression)])
    case conditional(test: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
}

/// What follows a primary expression.
enum TemplatePostfix: Sendable {
    case attribute(String)
    case item(TemplateExpression)
    case slice(start: TemplateExpression?, stop: TemplateExpression?, step: TemplateExpression?)
    case call(TemplateArguments)
    case filter(TemplateFilterName)
    case test(String, TemplateArguments, negated: Bool)
}

/// A filter with its arguments.
struct TemplateFilterName: Sendable {
    var name: String
    var arguments: TemplateArguments
}

enum TemplateOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

enum TemplateComparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case notIn = "not in"
}

/// The arguments of a call, filter or test as written.
struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var keyword: [(name: String, value: TemplateExpression)] = []
    var spreadPositional: TemplateExpression?
    var spreadKeyword: TemplateExpression?

    var isEmpty: Bool {
        positional.isEmpty && keyword.isEmpty && spreadPositional == nil && spreadKeyword == nil
    }
}

/// Where an assignment goes.
indirect enum TemplateTarget: Sendable {
    case name(Int)
    case attribute(namespace: Int, String)
    case tuple([TemplateTarget])
}

/// The parameters and body of a macro or call block.
struct TemplateSignature: Sendable {
    var name: String?
    var parameters: [(name: String, id: Int, fallback: TemplateExpression?)] = []
    var body: [TemplateStatement] = []
    var usesCaller = false
    var usesVarargs = false
    var usesKwargs = false
}

/// A statement and the line it begins on.
struct TemplateStatement: Sendable {
    var line: Int
    var node: TemplateNode
}

/// What a statement is.
indirect enum TemplateNode: Sendable {
    case data([UInt8])
    case output(TemplateExpression)
    case evaluate(TemplateExpression)
    case condition([(test: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateFor)
    case assign(TemplateTarget, TemplateExpression)
    case assignBlock(TemplateTarget, filters: [TemplateFilterName], body: [TemplateStatement])
    case filterBlock(filters: [TemplateFilterName], body: [TemplateStatement])
    case with([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateStatement])
    case macro(id: Int, TemplateSignature)
    case call(TemplateExpression, TemplateArguments, TemplateSignature)
    case generation([TemplateStatement])
    case breakLoop
    case continueLoop
}

/// A `for` statement.
struct TemplateFor: Sendable {
    var target: TemplateTarget
    var iterable: TemplateExpression
    var filter: TemplateExpression?
    var isRecursive: Bool
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
}
