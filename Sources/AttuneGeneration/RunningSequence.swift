/// A text being generated, as the scheduler sees it: its tokens, how many are in the cache, and where.
public struct RunningSequence: Sendable {
    /// Names the sequence.
    public let id: Int
    /// Prompt and output so far.
    public internal(set) var tokens: [Int32]
    /// How many of the tokens are the prompt's.
    public let promptCount: Int
    /// How many tokens have their keys and values in the cache.
    public internal(set) var computed = 0
    /// The blocks that hold them, in order.
    public internal(set) var table: [Int] = []
    /// Who may share the blocks.
    public let scope: CacheScope
    /// Whether logits of every prompt row are wanted; such a sequence reuses no prefix.
    public let wantsPromptLogits: Bool
    /// Held back because its reader is slow.
    public internal(set) var isPaused = false
    /// Prompt tokens found in the cache at the first admission.
    public internal(set) var reusedTokens = 0
    /// How often it lost its blocks.
    public internal(set) var preemptions = 0

    /// Places it takes among the running: one for itself and one for each text that will fork from it.
    var seats: Int
    /// Earlier arrivals go first.
    let order: Int
    /// Full blocks already known to the pool, and the identity of the last of them.
    var registered = 0
    var lastIdentity: UInt64 = 0
    var wasAdmitted = false

    /// - Parameters:
    ///   - order: position in the queue; ids of forks may be larger than those of later arrivals.
    ///   - seats: how many texts will come of it.
    public init(
        id: Int, prompt: [Int32], scope: CacheScope = CacheScope(), order: Int? = nil, seats: Int = 1,
        wantsPromptLogits: Bool = false
    ) {
        self.id = id
        tokens = prompt
        promptCount = prompt.count
        self.scope = scope
        self.order = order ?? id
        self.seats = seats
        self.wantsPromptLogits = wantsPromptLogits
    }

    /// A text that continues as another one of its own.
    init(id: Int, forking parent: RunningSequence) {
        self = RunningSequence(
            id: id, prompt: Array(parent.tokens.prefix(parent.promptCount)), scope: parent.scope, order: parent.order)
        tokens = parent.tokens
        computed = parent.computed
        table = parent.table
        registered = parent.registered
        lastIdentity = parent.lastIdentity
        reusedTokens = parent.reusedTokens
        wasAdmitted = true
    }

    /// Tokens that are not in the cache yet.
    public var pending: Int { tokens.count - computed }
}
