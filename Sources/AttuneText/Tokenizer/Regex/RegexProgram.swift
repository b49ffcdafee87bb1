/// A pattern as a non-deterministic automaton over classes of scalars.
///
/// All scalars that no set of the pattern tells apart form one class; the matchers see classes only. Class `boundary`
/// stands for the end of the text on either side.
struct RegexProgram: Sendable {
    enum Instruction: Sendable {
        /// Consumes a scalar whose class is a member.
        case set(members: Int, next: Int)
        /// Tries `first` before `second`.
        case split(first: Int, second: Int)
        /// Goes on where the class ahead (or behind) is a member.
        case assertion(ahead: Bool, members: Int, next: Int)
        case jump(Int)
        case match
    }

    private(set) var instructions: [Instruction] = []
    /// Per set of the pattern: one flag for each class, the boundary last.
    private(set) var memberships: [[Bool]] = []
    private(set) var classOf: ScalarTable
    private(set) var start = 0
    let classCount: Int
    /// Whether a match can depend on the scalar before it.
    private(set) var looksBehind = false

    /// The class of the ends of the text.
    var boundary: Int { classCount }

    private static let maximumInstructions = 20_000

    init(_ node: RegexNode, pattern: String) throws(RegexError) {
        var sets: [ScalarSet] = []
        Self.collect(node, into: &sets)
        // Cut the scalars at every edge of a set; equal columns of membership are one class.
        var edges: Set<UInt32> = [0]
        for range in sets.lazy.flatMap(\.ranges) {
            edges.insert(range.lowerBound)
            edges.insert(range.upperBound + 1)
        }
        let starts = edges.filter { $0 <= ScalarSet.lastScalar }.sorted()
        var columns: [[Bool]: UInt8] = [:]
        var flat = [UInt8](repeating: 0, count: 0x110000)
        var classes: [[Bool]] = []
        for (place, low) in starts.enumerated() {
            let high = place + 1 < starts.count ? starts[place + 1] : ScalarSet.lastScalar + 1
            let column = sets.map { $0.contains(low) }
            var number = columns[column]
            if number == nil {
                guard classes.count < 200 else {
                    throw RegexError(description: "pattern '\(pattern)': more than 200 classes of characters")
                }
                number = UInt8(classes.count)
                columns[column] = number
                classes.append(column)
            }
            if let number, number != 0 {
                for scalar in low..<high { flat[Int(scalar)] = number }
            }
        }
        classOf = ScalarTable(flat: flat)
        classCount = classes.count
        var builder = Builder(sets: sets, classes: classes)
        builder.instructions.append(.match)
        start = builder.compile(node, next: 0)
        guard builder.instructions.count <= Self.maximumInstructions else {
            throw RegexError(description: "pattern '\(pattern)': too large after its repeats are written out")
        }
        instructions = builder.instructions
        memberships = builder.memberships
        looksBehind = builder.looksBehind
    }

    private static func collect(_ node: RegexNode, into sets: inout [ScalarSet]) {
        switch node {
        case .empty: break
        case .set(let set): if !sets.contains(set) { sets.append(set) }
        case .assertion(let assertion): if !sets.contains(assertion.set) { sets.append(assertion.set) }
        case .sequence(let nodes), .alternation(let nodes): for node in nodes { collect(node, into: &sets) }
        case .repeated(let node, _, _, _): collect(node, into: &sets)
        }
    }

    /// Compiles from the end: every fragment knows where it goes on.
    private struct Builder {
        let sets: [ScalarSet]
        let classes: [[Bool]]
        var instructions: [Instruction] = []
        var memberships: [[Bool]] = []
        var looksBehind = false

        init(sets: [ScalarSet], classes: [[Bool]]) {
            self.sets = sets
            self.classes = classes
        }

        mutating func membership(of set: ScalarSet, boundary: Bool) -> Int {
            let row = sets.firstIndex(of: set) ?? 0
            let flags = classes.map { $0[row] } + [boundary]
            if let known = memberships.firstIndex(of: flags) { return known }
            memberships.append(flags)
            return memberships.count - 1
        }

        mutating func add(_ instruction: Instruction) -> Int {
            instructions.append(instruction)
            return instructions.count - 1
        }

        mutating func compile(_ node: RegexNode, next: Int) -> Int {
            // A runaway of nested repeats is cut here and refused by the caller.
            guard instructions.count <= RegexProgram.maximumInstructions else { return next }
            switch node {
            case .empty: return next
            case .set(let set): return add(.set(members: membership(of: set, boundary: false), next: next))
            case .assertion(let assertion):
                if !assertion.ahead { looksBehind = true }
                let members = membership(of: assertion.set, boundary: assertion.orBoundary)
                return add(.assertion(ahead: assertion.ahead, members: members, next: next))
            case .sequence(let nodes):
                return nodes.reversed().reduce(next) { compile($1, next: $0) }
            case .alternation(let nodes):
                var entry = nodes.last.map { compile($0, next: next) } ?? next
                for node in nodes.dropLast().reversed() {
                    let branch = compile(node, next: next)
                    entry = add(.split(first: branch, second: entry))
                }
                return entry
            case .repeated(let inner, let minimum, let maximum, let lazy):
                var entry = next
                if let maximum {
                    for _ in minimum..<max(minimum, maximum) {
                        let body = compile(inner, next: entry)
                        entry = add(choice(body, next, lazy: lazy))
                    }
                } else {
                    let loop = add(.jump(next))
                    let body = compile(inner, next: loop)
                    instructions[loop] = choice(body, next, lazy: lazy)
                    entry = loop
                }
                for _ in 0..<minimum { entry = compile(inner, next: entry) }
                return entry
            }
        }

        private func choice(_ body: Int, _ exit: Int, lazy: Bool) -> Instruction {
            lazy ? .split(first: exit, second: body) : .split(first: body, second: exit)
        }
    }
}
