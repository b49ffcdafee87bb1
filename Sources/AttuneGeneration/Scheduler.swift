/// Limits of the scheduler.
public struct SchedulerOptions: Sendable, Equatable {
    /// Rows of one step; raised to `maxSequences` where smaller, so that every running text advances.
    public var maxBatchedTokens = 512
    /// Texts that run at once.
    public var maxSequences = 64
    /// Rows of a block of the cache.
    public var blockSize = 16
    /// Whether equal beginnings are computed once.
    public var reusesPrefixes = true

    /// Sizes for a CPU.
    public init() {}
}

/// What one step computes.
public struct StepPlan: Sendable, Equatable {
    /// Consecutive tokens of one sequence.
    public struct Part: Sendable, Equatable {
        /// The sequence.
        public var id: Int
        /// Positions in its text.
        public var range: Range<Int>
        /// Whether the last row is the end of the text, so that a token can be sampled.
        public var reachesEnd: Bool

        /// Joins the parts.
        public init(id: Int, range: Range<Int>, reachesEnd: Bool) {
            self.id = id
            self.range = range
            self.reachesEnd = reachesEnd
        }
    }

    /// A block to be copied before the step, because its content is shared and will be written.
    public struct Copy: Sendable, Equatable {
        /// Rows of the cache with the content.
        public var from: Range<Int>
        /// The first row it goes to.
        public var to: Int
    }

    /// Texts that advance by one token come first, then pieces of prompts.
    public var parts: [Part] = []
    /// To be carried out in order, before the rows are computed.
    public var copies: [Copy] = []
    /// Sequences that lost their blocks to older ones.
    public var preempted: [Int] = []

    /// Rows of the step.
    public var tokenCount: Int { parts.reduce(0) { $0 + $1.range.count } }
}

/// Decides what each step computes. A value without clock, thread or device.
///
/// Every running text gets its next token in every step; what is left of the token budget goes to prompts, oldest first, in
/// chunks. So a long prompt delays running texts by at most one chunk (Agrawal et al. 2023, "SARATHI"). New texts are
/// admitted in the order of arrival while there are seats and blocks. When blocks run out, the newest text gives its blocks
/// back, waits, and is computed again.
public struct Scheduler: Sendable {
    /// The limits.
    public let options: SchedulerOptions
    /// The blocks.
    public private(set) var pool: KVBlockPool
    /// All sequences that have not been removed.
    public private(set) var sequences: [Int: RunningSequence] = [:]
    /// Sequences with seats, oldest first.
    public private(set) var running: [Int] = []
    /// Sequences without, oldest first.
    public private(set) var waiting: [Int] = []
    /// How often a sequence lost its blocks.
    public private(set) var preemptionCount = 0

    // Logits of a whole row each are kept for prompts that want them, so their chunks stay small.
    private static let promptLogitChunk = 16

    /// A scheduler over an empty cache of `rowCount` rows.
    public init(rowCount: Int, options: SchedulerOptions = SchedulerOptions()) {
        self.init(pool: KVBlockPool(rowCount: rowCount, blockSize: options.blockSize), options: options)
    }

    package init(pool: KVBlockPool, options: SchedulerOptions) {
        var options = options
        options.maxSequences = max(1, options.maxSequences)
        options.maxBatchedTokens = max(options.maxBatchedTokens, options.maxSequences)
        self.options = options
        self.pool = pool
    }

    /// The longest text that fits the cache alone.
    public var longestText: Int { pool.blockCount * pool.blockSize }
    /// Whether nothing waits or runs.
    public var isEmpty: Bool { sequences.isEmpty }
    /// Tokens of texts that wait for a seat.
    public private(set) var waitingTokens = 0

    /// Queues a sequence. It must fit the cache: prompt and output at most `longestText`, and `seats` at most `maxSequences`.
    public mutating func add(_ sequence: RunningSequence) {
        precondition(sequences[sequence.id] == nil, "sequence \(sequence.id) is already known")
        precondition(!sequence.tokens.isEmpty, "a sequence needs a prompt")
        sequences[sequence.id] = sequence
        enqueue(sequence.id)
    }

    /// Splits a running sequence whose prompt is computed into several that share all its blocks.
    public mutating func fork(_ id: Int, into ids: [Int]) {
        guard var parent = sequences[id] else { return }
        parent.seats = 1
        sequences[id] = parent
        for new in ids {
            for block in parent.table { pool.retain(block) }
            sequences[new] = RunningSequence(id: new, forking: parent)
            insert(new, into: \.running)
        }
    }

    /// Appends a sampled token.
    public mutating func append(_ token: Int32, to id: Int) { sequences[id]?.tokens.append(token) }

    /// Stops or resumes the scheduling of a sequence; it keeps its blocks until others need them.
    public mutating func setPaused(_ id: Int, _ isPaused: Bool) { sequences[id]?.isPaused = isPaused }

    /// Forgets a sequence and gives its blocks back at once.
    public mutating func remove(_ id: Int) {
        guard let sequence = sequences[id] else { return }
        pool.release(sequence.table)
        running.removeAll { $0 == id }
        dequeue(id)
        sequences[id] = nil
    }

    /// Chooses the rows of the next step and reserves their blocks; empty when nothing can run.
    public mutating func plan() -> StepPlan {
        var plan = StepPlan()
        var budget = options.maxBatchedTokens
        planDecodes(&plan, &budget)
        var isStuck = planPrompts(&plan, &budget)
        // Prompts alone hold all blocks and none can go on: the newest give way until the oldest can.
        while isStuck, plan.parts.isEmpty, let victim = victim(for: oldestReady) {
            preempt(victim, &plan)
            isStuck = planPrompts(&plan, &budget)
        }
        if !isStuck { admit(&plan, &budget) }
        // Nothing runs although somebody waits: texts held back for their readers give way.
        while plan.parts.isEmpty, waiting.contains(where: { sequences[$0]?.isPaused == false }),
            let idle = running.last(where: { sequences[$0]?.isPaused == true })
        {
            preempt(idle, &plan)
            admit(&plan, &budget)
        }
        return plan
    }

    /// Takes note that the rows of a plan are in the cache.
    public mutating func complete(_ plan: StepPlan) {
        for part in plan.parts {
            guard var sequence = sequences[part.id] else { continue }
            sequence.computed = part.range.upperBound
            if options.reusesPrefixes { register(&sequence) }
            sequences[part.id] = sequence
        }
    }

    private mutating func register(_ sequence: inout RunningSequence) {
        let size = pool.blockSize
        if sequence.registered == 0 { sequence.lastIdentity = pool.root(of: sequence.scope) }
        while (sequence.registered + 1) * size <= sequence.computed {
            let start = sequence.registered * size
            sequence.lastIdentity = pool.register(
                sequence.table[sequence.registered], after: sequence.lastIdentity,
                tokens: sequence.tokens[start..<start + size])
            sequence.registered += 1
        }
    }

    private mutating func planDecodes(_ plan: inout StepPlan, _ budget: inout Int) {
        for id in running {
            // A victim of an earlier turn is no longer running; its `computed` is 0, but so is that of a one-token prompt.
            guard running.contains(id), let sequence = sequences[id], sequence.pending == 1, !sequence.isPaused
            else { continue }
            guard budget > 0 else { return }
            while !reserve(id, upTo: sequence.tokens.count, &plan) {
                guard let victim = victim(for: id) else { break }
                preempt(victim, &plan)
                if victim == id { break }
            }
            guard running.contains(id), holdsBlocks(id, upTo: sequence.tokens.count) else { continue }
            addPart(id, sequence.computed..<sequence.tokens.count, &plan, &budget)
        }
    }

    /// Gives the budget to prompts that have seats. Returns whether one lacks blocks.
    private mutating func planPrompts(_ plan: inout StepPlan, _ budget: inout Int) -> Bool {
        for id in running {
            guard let sequence = sequences[id], sequence.pending > 1, !sequence.isPaused else { continue }
            guard budget > 0 else { return false }
            guard planChunk(id, &plan, &budget) else { return true }
        }
        return false
    }

    /// Plans as much of a prompt as budget and blocks allow. Returns false where not even one row fits.
    private mutating func planChunk(_ id: Int, _ plan: inout StepPlan, _ budget: inout Int) -> Bool {
        guard let sequence = sequences[id] else { return false }
        var count = min(sequence.pending, budget)
        if sequence.wantsPromptLogits { count = min(count, Self.promptLogitChunk) }
        let rows = (sequence.table.count + pool.freeCount) * pool.blockSize
        count = min(count, rows - sequence.computed)
        guard count > 0, reserve(id, upTo: sequence.computed + count, &plan) else { return false }
        addPart(id, sequence.computed..<sequence.computed + count, &plan, &budget)
        return true
    }

    private mutating func admit(_ plan: inout StepPlan, _ budget: inout Int) {
        var seats = running.reduce(0) { $0 + (sequences[$1]?.seats ?? 0) }
        for id in waiting {
            guard var sequence = sequences[id], !sequence.isPaused else { continue }
            guard budget > 0, seats + sequence.seats <= options.maxSequences else { return }
            if options.reusesPrefixes, !sequence.wantsPromptLogits {
                let prefix = pool.matchPrefix(sequence.tokens, scope: sequence.scope)
                sequence.table = prefix.blocks
                sequence.registered = prefix.blocks.count
                sequence.lastIdentity = prefix.identity
            }
            // Beside running texts, one spare block keeps the newcomer from being thrown out at once.
            let spare = running.isEmpty ? 0 : 1
            let needed = pool.blocks(for: sequence.tokens.count) - sequence.table.count + spare
            guard needed <= pool.freeCount else {
                pool.release(sequence.table)
                return
            }
            sequence.computed = sequence.table.count * pool.blockSize
            if !sequence.wasAdmitted { sequence.reusedTokens = sequence.computed }
            sequence.wasAdmitted = true
            sequences[id] = sequence
            dequeue(id)
            insert(id, into: \.running)
            seats += sequence.seats
            guard planChunk(id, &plan, &budget) else { return }
        }
    }

    private mutating func addPart(_ id: Int, _ range: Range<Int>, _ plan: inout StepPlan, _ budget: inout Int) {
        let count = sequences[id]?.tokens.count
        plan.parts.append(StepPlan.Part(id: id, range: range, reachesEnd: range.upperBound == count))
        budget -= range.count
    }

    private func holdsBlocks(_ id: Int, upTo count: Int) -> Bool {
        (sequences[id]?.table.count ?? 0) >= pool.blocks(for: count)
    }

    /// Extends the table to `count` tokens, and makes the block written first the sequence's own.
    private mutating func reserve(_ id: Int, upTo count: Int, _ plan: inout StepPlan) -> Bool {
        guard var sequence = sequences[id] else { return false }
        defer { sequences[id] = sequence }
        let size = pool.blockSize
        let first = sequence.computed / size
        if first < sequence.table.count, pool.holders(of: sequence.table[first]) > 1 {
            let shared = sequence.table[first]
            guard let own = pool.allocate() else { return false }
            let filled = sequence.computed - first * size
            if filled > 0 {
                plan.copies.append(
                    StepPlan.Copy(from: shared * size..<shared * size + filled, to: own * size))
            }
            sequence.table[first] = own
            pool.release([shared])
        }
        while sequence.table.count < pool.blocks(for: count) {
            guard let block = pool.allocate() else { return false }
            sequence.table.append(block)
        }
        return true
    }

    /// Who gives way: the newest paused sequence, else the newest of all; nobody newer than `id` means `id` itself.
    private func victim(for id: Int?) -> Int? {
        running.last { sequences[$0]?.isPaused == true && $0 != id && sequences[$0]?.table.isEmpty == false }
            ?? running.last
    }

    private var oldestReady: Int? { running.first { sequences[$0]?.isPaused == false } }

    private mutating func preempt(_ id: Int, _ plan: inout StepPlan) {
        guard var sequence = sequences[id] else { return }
        pool.release(sequence.table)
        sequence.table = []
        sequence.computed = 0
        sequence.registered = 0
        sequence.preemptions += 1
        sequences[id] = sequence
        running.removeAll { $0 == id }
        enqueue(id)
        plan.preempted.append(id)
        preemptionCount += 1
    }

    private mutating func insert(_ id: Int, into list: WritableKeyPath<Scheduler, [Int]>) {
        func key(_ id: Int) -> (Int, Int) { (sequences[id]?.order ?? 0, id) }
        // Most arrivals belong at the end.
        let place = self[keyPath: list].lastIndex { key($0) < key(id) }.map { $0 + 1 } ?? 0
        self[keyPath: list].insert(id, at: place)
    }

    private mutating func enqueue(_ id: Int) {
        insert(id, into: \.waiting)
        waitingTokens += sequences[id]?.tokens.count ?? 0
    }

    private mutating func dequeue(_ id: Int) {
        guard let place = waiting.firstIndex(of: id) else { return }
        waiting.remove(at: place)
        waitingTokens -= sequences[id]?.tokens.count ?? 0
    }

    /// Describes the first broken invariant of the blocks, or `nil`.
    package var brokenInvariant: String? { pool.brokenInvariant(tables: sequences.values.map(\.table)) }
}
