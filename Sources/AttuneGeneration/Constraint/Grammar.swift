import AttuneJSON
import Synchronization

/// A language texts can be restricted to; parts combine freely.
public indirect enum Grammar: Sendable {
    /// Exactly this text.
    case literal(String)
    /// One of several.
    case choice([Grammar])
    /// One after another.
    case sequence([Grammar])
    /// Several times.
    case repeated(Grammar, atLeast: Int, atMost: Int?)
    /// A regular expression that matches the whole text. Classes, groups, alternation and counted repetition are known;
    /// look-around and back references are not.
    case regex(String)
    /// JSON that satisfies a schema; members come in the schema's order.
    case json(schema: JSON)
    /// Any JSON object.
    case jsonObject
    /// Any JSON value.
    case jsonValue
    /// Free text. Where a trigger appears, its grammar must follow; then comes the end or, when repeating, free text.
    case text(triggers: [Trigger], repeats: Bool)

    /// A text after which a grammar takes over.
    public struct Trigger: Sendable {
        /// The text.
        public var text: String
        /// What must follow.
        public var then: Grammar

        /// Joins the two.
        public init(_ text: String, then: Grammar) {
            self.text = text
            self.then = then
        }
    }

    /// Compiles the grammar for a vocabulary. Takes milliseconds; do it away from the engine's thread.
    /// - Throws: `GrammarError` where the source is malformed, unsupported, unsatisfiable or too large.
    public func compiled(for trie: TokenTrie, limits: GrammarLimits = GrammarLimits()) throws(GrammarError)
        -> CompiledGrammar
    {
        var rules = GrammarRules(limits: limits)
        let root = rules.reserve()
        rules.define(root, try rules.node(of: self, depth: 0))
        let network = try GrammarNetwork(rules: rules.nodes, limits: limits)
        return try CompiledGrammar(network: network, trie: trie, limits: limits)
    }
}

/// The rules of one grammar while it is compiled.
struct GrammarRules {
    let limits: GrammarLimits
    private(set) var nodes: [GrammarNode] = []
    private var shared: [String: Int] = [:]

    init(limits: GrammarLimits) { self.limits = limits }

    mutating func reserve() -> Int {
        nodes.append(.choice([]))
        return nodes.count - 1
    }

    mutating func define(_ rule: Int, _ node: GrammarNode) { nodes[rule] = node }

    /// A rule made once under a name; `make` may ask for the same name again (recursion).
    mutating func shared(
        _ name: String, _ make: (inout GrammarRules) throws(GrammarError) -> GrammarNode
    ) throws(GrammarError) -> GrammarNode {
        if let rule = shared[name] { return .rule(rule) }
        let rule = reserve()
        shared[name] = rule
        let node = try make(&self)
        nodes[rule] = node
        return .rule(rule)
    }

    mutating func node(of grammar: Grammar, depth: Int) throws(GrammarError) -> GrammarNode {
        guard depth <= 64 else { throw .tooLarge("nested more than 64 deep") }
        switch grammar {
        case .literal(let text): return .text(text)
        case .choice(let parts): return .choice(try nodes(of: parts, depth: depth + 1))
        case .sequence(let parts): return .sequence(try nodes(of: parts, depth: depth + 1))
        case .repeated(let part, let least, let most):
            guard least >= 0, most.map({ $0 >= least }) ?? true else {
                throw .malformed(path: "grammar", message: "a repetition needs 0 ≤ least ≤ most")
            }
            return .repeated(try node(of: part, depth: depth + 1), least, most)
        case .regex(let text): return try RegularExpression.node(text, path: "regex", style: .plain, rules: &self)
        case .json(let schema): return try JSONSchemaGrammar.node(schema, rules: &self)
        case .jsonObject: return try JSONGrammar.object(&self)
        case .jsonValue: return try JSONGrammar.value(&self)
        case .text(let triggers, let repeats):
            var parts: [(trigger: [UInt8], then: GrammarNode)] = []
            for trigger in triggers {
                parts.append((Array(trigger.text.utf8), try node(of: trigger.then, depth: depth + 1)))
            }
            return .freeText(parts, repeats: repeats)
        }
    }

    private mutating func nodes(of grammars: [Grammar], depth: Int) throws(GrammarError) -> [GrammarNode] {
        var result: [GrammarNode] = []
        for grammar in grammars { result.append(try node(of: grammar, depth: depth)) }
        return result
    }
}

/// A grammar ready for masking; shared by all texts that follow it.
public final class CompiledGrammar: Sendable {
    let trie: TokenTrie
    private let network: GrammarNetwork
    private let limits: GrammarLimits
    private let current: Mutex<GrammarAutomaton>

    init(network: GrammarNetwork, trie: TokenTrie, limits: GrammarLimits) throws(GrammarError) {
        self.network = network
        self.trie = trie
        self.limits = limits
        let automaton = GrammarAutomaton(network: network, limits: limits)
        current = Mutex(automaton)
        _ = try automaton.mask(try automaton.enter([[network.starts[0]]]), trie)
    }

    /// The grammar in its first state.
    public func makeConstraint() throws(GrammarError) -> GrammarMatcher {
        let automaton = automaton()
        return GrammarMatcher(
            grammar: self, automaton: automaton, configuration: try automaton.enter([[network.starts[0]]]))
    }

    /// The automaton to use now; a full one is replaced, and lives on as long as texts use it.
    func automaton() -> GrammarAutomaton {
        current.withLock { automaton in
            if automaton.isFull { automaton = GrammarAutomaton(network: network, limits: limits) }
            return automaton
        }
    }
}

/// Where one text stands in its grammar.
public struct GrammarMatcher: TokenConstraint {
    private let grammar: CompiledGrammar
    private var automaton: GrammarAutomaton
    private var configuration: Int32

    init(grammar: CompiledGrammar, automaton: GrammarAutomaton, configuration: Int32) {
        self.grammar = grammar
        self.automaton = automaton
        self.configuration = configuration
    }

    /// Whether the text may end here.
    public var mayEnd: Bool { automaton.end(configuration).isPossible }

    /// Whether nothing but the end may follow.
    public var isComplete: Bool { automaton.end(configuration).isCertain }

    /// The tokens allowed next.
    public mutating func allowedTokens() throws(GrammarError) -> TokenMask {
        if automaton.isFull {
            let fresh = grammar.automaton()
            configuration = try fresh.enter(automaton.leave(configuration))
            automaton = fresh
        }
        return try automaton.mask(configuration, grammar.trie)
    }

    /// Takes note of a chosen token; end tokens change nothing.
    public mutating func advance(by token: Int32) throws(GrammarError) {
        if grammar.trie.endTokens.contains(token) { return }
        let bytes = grammar.trie.bytes(of: token)
        guard !bytes.isEmpty else { throw .rejected(token: token) }
        let next = try automaton.advance(configuration, by: bytes)
        guard next != GrammarAutomaton.dead else { throw .rejected(token: token) }
        configuration = next
    }
}
