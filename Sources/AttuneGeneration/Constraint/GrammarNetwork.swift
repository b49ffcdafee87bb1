/// Budgets of a compiled grammar. Whoever exceeds one gets `GrammarError.tooLarge`.
public struct GrammarLimits: Sendable {
    /// States and edges of the network.
    public var maxStates = 100_000
    /// How deep calls may nest while a text is matched; a little less than the 64 levels JSON readers take.
    public var maxDepth = 60
    /// Parallel readings of one text.
    public var maxReadings = 4096
    /// Remembered situations; the cache is started afresh beyond.
    public var maxConfigurations = 8192
    /// Readings looked at for one mask.
    public var maxWork = 20_000_000
    /// Bytes of a schema or expression.
    public var maxSourceBytes = 256 << 10

    /// Defaults for a server.
    public init() {}
}

/// A recursive transition network: non-deterministic automata over bytes that call each other.
struct GrammarNetwork: Sendable {
    struct ByteEdge: Sendable {
        var bytes: ByteSet
        var target: Int32
    }

    struct CallEdge: Sendable {
        var rule: Int32
        var target: Int32
    }

    var byteEdges: [[ByteEdge]] = []
    var emptyEdges: [[Int32]] = []
    var callEdges: [[CallEdge]] = []
    var isFinal: [Bool] = []
    /// First state of each rule; rule 0 is the whole grammar.
    var starts: [Int32] = []
    /// Levels of calls the shortest way from a state to its rule's end needs; `Int32.max` where there is none.
    var heights: [Int32] = []
    /// Bytes no edge distinguishes share a class.
    var classes: [UInt8] = []
    /// One byte of each class.
    var representatives: [UInt8] = []

    /// The last state of the whole grammar.
    var end: Int32 { starts[0] + 1 }

    /// Whether nothing but the end can follow in the state's rule.
    func isBareEnd(_ state: Int32) -> Bool {
        let state = Int(state)
        return isFinal[state] && byteEdges[state].isEmpty && emptyEdges[state].isEmpty && callEdges[state].isEmpty
    }

    /// Lays rules out as states, within the budget.
    init(rules: [GrammarNode], limits: GrammarLimits) throws(GrammarError) {
        var builder = NetworkBuilder(maxSize: limits.maxStates)
        for rule in rules {
            let start = try builder.state()
            let end = try builder.state()
            starts.append(start)
            builder.isFinal[Int(end)] = true
            try builder.emit(rule, start, end, depth: 0)
        }
        byteEdges = builder.byteEdges
        emptyEdges = builder.emptyEdges
        callEdges = builder.callEdges
        isFinal = builder.isFinal
        measureHeights()
        guard heights[Int(starts[0])] <= limits.maxDepth else { throw .unsatisfiable(path: "grammar") }
        try refuseLeftRecursion()
        partitionBytes()
    }

    /// h(s) = min over edges: h(t) for bytes and empty edges, max(h(t), h(start of rule) + 1) for calls; 0 at the end.
    private mutating func measureHeights() {
        heights = isFinal.map { $0 ? 0 : .max }
        var changed = true
        while changed {
            changed = false
            for state in heights.indices.reversed() {
                var best = heights[state]
                for edge in byteEdges[state] { best = min(best, heights[Int(edge.target)]) }
                for target in emptyEdges[state] { best = min(best, heights[Int(target)]) }
                for edge in callEdges[state] {
                    let inner = heights[Int(starts[Int(edge.rule)])]
                    guard inner < .max else { continue }
                    best = min(best, max(heights[Int(edge.target)], inner + 1))
                }
                if best < heights[state] {
                    heights[state] = best
                    changed = true
                }
            }
        }
    }

    /// A rule that can call itself before any byte would be entered for ever.
    private func refuseLeftRecursion() throws(GrammarError) {
        var isNullable = [Bool](repeating: false, count: starts.count)
        var callees = [Set<Int32>](repeating: [], count: starts.count)
        var changed = true
        while changed {
            changed = false
            for rule in starts.indices {
                var seen: Set<Int32> = [starts[rule]]
                var open = [starts[rule]]
                while let state = open.popLast() {
                    if isFinal[Int(state)], !isNullable[rule] {
                        isNullable[rule] = true
                        changed = true
                    }
                    for target in emptyEdges[Int(state)] where seen.insert(target).inserted { open.append(target) }
                    for edge in callEdges[Int(state)] {
                        if callees[rule].insert(edge.rule).inserted { changed = true }
                        if isNullable[Int(edge.rule)], seen.insert(edge.target).inserted { open.append(edge.target) }
                    }
                }
            }
        }
        // Rules are removed while all they call first has been removed; what remains is a cycle.
        var left = Set(callees.indices)
        while let rule = left.first(where: { callees[$0].allSatisfy { !left.contains(Int($0)) } }) { left.remove(rule) }
        guard left.isEmpty else { throw .unsatisfiable(path: "grammar: a part refers to itself before any text") }
    }

    private mutating func partitionBytes() {
        classes = [UInt8](repeating: 0, count: 256)
        var count = 1
        for set in Set(byteEdges.joined().map(\.bytes)) {
            var renamed: [Int: UInt8] = [:]
            var next = 0
            for byte in 0..<256 {
                let key = Int(classes[byte]) << 1 | (set.contains(UInt8(byte)) ? 1 : 0)
                if let name = renamed[key] {
                    classes[byte] = name
                } else {
                    renamed[key] = UInt8(next)
                    classes[byte] = UInt8(next)
                    next += 1
                }
            }
            count = next
        }
        representatives = (0..<count).map { name in UInt8(classes.firstIndex(of: UInt8(name)) ?? 0) }
    }
}

/// Turns trees into states (Thompson's construction).
private struct NetworkBuilder {
    let maxSize: Int
    var size = 0
    var byteEdges: [[GrammarNetwork.ByteEdge]] = []
    var emptyEdges: [[Int32]] = []
    var callEdges: [[GrammarNetwork.CallEdge]] = []
    var isFinal: [Bool] = []

    init(maxSize: Int) { self.maxSize = maxSize }

    mutating func state() throws(GrammarError) -> Int32 {
        try count()
        byteEdges.append([])
        emptyEdges.append([])
        callEdges.append([])
        isFinal.append(false)
        return Int32(isFinal.count - 1)
    }

    private mutating func count() throws(GrammarError) {
        size += 1
        guard size <= maxSize else { throw .tooLarge("more than \(maxSize) states") }
    }

    private mutating func join(_ from: Int32, _ to: Int32) throws(GrammarError) {
        try count()
        emptyEdges[Int(from)].append(to)
    }

    private mutating func join(_ from: Int32, _ to: Int32, _ bytes: ByteSet) throws(GrammarError) {
        try count()
        byteEdges[Int(from)].append(GrammarNetwork.ByteEdge(bytes: bytes, target: to))
    }

    mutating func emit(_ node: GrammarNode, _ from: Int32, _ to: Int32, depth: Int) throws(GrammarError) {
        // Schemas and expressions are limited to a depth of 64 before; each level takes a few nodes.
        guard depth < 1024 else { throw .tooLarge("nested too deeply") }
        switch node {
        case .bytes(let bytes): try emit(literals: [bytes], from, to)
        case .set(let set): if !set.isEmpty { try join(from, to, set) }
        case .sequence(let nodes):
            var current = from
            for node in nodes.dropLast() {
                let next = try state()
                try emit(node, current, next, depth: depth + 1)
                current = next
            }
            if let last = nodes.last { try emit(last, current, to, depth: depth + 1) } else { try join(from, to) }
        case .choice(let nodes):
            var literals: [[UInt8]] = []
            for node in nodes {
                if case .bytes(let bytes) = node {
                    literals.append(bytes)
                } else {
                    try emit(node, from, to, depth: depth + 1)
                }
            }
            try emit(literals: literals, from, to)
        case .repeated(let node, let least, let most): try emit(node, least, most, from, to, depth: depth + 1)
        case .rule(let rule):
            try count()
            callEdges[Int(from)].append(GrammarNetwork.CallEdge(rule: Int32(rule), target: to))
        case .graph(let places, let edges):
            var states = [from]
            for _ in 1..<max(1, places - 1) { states.append(try state()) }
            states.append(to)
            for edge in edges { try emit(edge.node, states[edge.from], states[edge.to], depth: depth + 1) }
        case .freeText(let triggers, let repeats):
            try emit(triggers: triggers, repeats: repeats, from, to, depth: depth + 1)
        }
    }

    private mutating func emit(
        _ node: GrammarNode, _ least: Int, _ most: Int?, _ from: Int32, _ to: Int32, depth: Int
    ) throws(GrammarError) {
        var current = from
        for _ in 0..<least {
            let next = try state()
            try emit(node, current, next, depth: depth)
            current = next
        }
        if let most {
            for _ in least..<max(least, most) {
                try join(current, to)
                let next = try state()
                try emit(node, current, next, depth: depth)
                current = next
            }
            try join(current, to)
        } else {
            let hub = try state()
            try join(current, hub)
            let back = try state()
            try emit(node, hub, back, depth: depth)
            try join(back, hub)
            try join(hub, to)
        }
    }

    /// Literals share their beginnings, so thousands of choices stay one reading.
    private mutating func emit(literals: [[UInt8]], _ from: Int32, _ to: Int32) throws(GrammarError) {
        var children: [Int64: Int32] = [:]
        for literal in literals {
            var current = from
            for byte in literal {
                let key = Int64(current) << 8 | Int64(byte)
                if let next = children[key] {
                    current = next
                } else {
                    let next = try state()
                    try join(current, next, ByteSet(byte...byte))
                    children[key] = next
                    current = next
                }
            }
            try join(current, to)
        }
    }

    /// The automaton of Aho and Corasick (1975): it knows after every byte which trigger may be starting.
    private mutating func emit(
        triggers: [(trigger: [UInt8], then: GrammarNode)], repeats: Bool, _ from: Int32, _ to: Int32, depth: Int
    ) throws(GrammarError) {
        var next: [[Int]] = [[Int](repeating: -1, count: 256)]
        var completes: [Int?] = [nil]
        for (place, trigger) in triggers.enumerated() where !trigger.trigger.isEmpty {
            var node = 0
            for byte in trigger.trigger {
                if next[node][Int(byte)] < 0 {
                    try count()
                    next.append([Int](repeating: -1, count: 256))
                    completes.append(nil)
                    next[node][Int(byte)] = next.count - 1
                }
                node = next[node][Int(byte)]
            }
            completes[node] = completes[node] ?? place
        }
        var fallback = [Int](repeating: 0, count: next.count)
        var queue: [Int] = [0]
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for byte in 0..<256 {
                let child = next[node][byte]
                let other = node == 0 ? 0 : next[fallback[node]][byte]
                guard child >= 0 else {
                    next[node][byte] = max(0, other)
                    continue
                }
                fallback[child] = node == 0 ? 0 : other
                completes[child] = completes[child] ?? completes[fallback[child]]
                queue.append(child)
            }
        }
        var states: [Int32] = []
        for node in next.indices { states.append(node == 0 ? try state() : completes[node] == nil ? try state() : -1) }
        try join(from, states[0])
        var entries: [Int32] = []
        for trigger in triggers {
            let entry = try state()
            try emit(trigger.then, entry, repeats ? states[0] : to, depth: depth)
            entries.append(entry)
        }
        for node in next.indices where completes[node] == nil {
            try join(states[node], to)
            var groups: [Int32: ByteSet] = [:]
            for byte in 0..<256 {
                let target = next[node][byte]
                let state = completes[target].map { entries[$0] } ?? states[target]
                groups[state, default: ByteSet()].insert(UInt8(byte))
            }
            for (state, set) in groups.sorted(by: { $0.key < $1.key }) { try join(states[node], state, set) }
        }
    }
}
