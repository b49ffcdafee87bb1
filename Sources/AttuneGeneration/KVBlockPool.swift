/// Who may share cached keys and values: texts of the same adapter and the same salt (for example one API key).
public struct CacheScope: Hashable, Sendable {
    /// The adapter, or `nil` for the base model.
    public var adapter: String?
    /// Separates clients, so that none can learn another's prompts from response times.
    public var salt: String

    /// Joins the two.
    public init(adapter: String? = nil, salt: String = "") {
        self.adapter = adapter
        self.salt = salt
    }
}

/// The blocks of the paged key/value cache: who holds which, and what full blocks contain.
///
/// A full block is known by (content of the block before it, its tokens), the first by its scope. Look-ups go by a hash of
/// these and then compare them, so a collision of hashes never mixes texts. Blocks nobody holds keep their contents until
/// they are needed; the one released longest ago goes first. (Kwon et al. 2023, "PagedAttention".)
public struct KVBlockPool: Sendable {
    /// Rows of a block.
    public let blockSize: Int
    /// Blocks in all.
    public var blockCount: Int { blocks.count }
    /// Blocks that could be handed out now: never used, or cached but held by nobody.
    public var freeCount: Int { free.count + idleCount }
    /// Blocks looked for by `matchPrefix` so far.
    public private(set) var queriedBlocks = 0
    /// Blocks found by `matchPrefix` so far.
    public private(set) var hitBlocks = 0

    private struct Block: Sendable {
        var holders = 0
        var content: Content?
        // Links of the list of idle blocks, oldest first.
        var previous = -1
        var next = -1
        var isIdle = false
    }

    private struct Content: Sendable {
        var identity: UInt64
        var parent: UInt64
        var hash: UInt64
        var tokens: [Int32]
    }

    private var blocks: [Block]
    private var free: [Int]
    private var cached: [UInt64: [Int]] = [:]
    private var oldestIdle = -1
    private var newestIdle = -1
    private var idleCount = 0
    private var lastIdentity: UInt64 = 0
    private var scopes: [CacheScope: UInt64] = [:]
    private let hash: @Sendable (UInt64, ArraySlice<Int32>) -> UInt64

    /// - Parameters:
    ///   - rowCount: rows of the cache; the last incomplete block is not used.
    ///   - blockSize: rows of a block.
    public init(rowCount: Int, blockSize: Int = 16) {
        self.init(rowCount: rowCount, blockSize: blockSize, hash: Self.hash)
    }

    /// For tests, which force collisions.
    package init(
        rowCount: Int, blockSize: Int, hash: @escaping @Sendable (UInt64, ArraySlice<Int32>) -> UInt64
    ) {
        precondition(rowCount >= 0 && blockSize > 0, "\(rowCount) rows in blocks of \(blockSize)")
        self.blockSize = blockSize
        self.hash = hash
        let count = rowCount / blockSize
        blocks = [Block](repeating: Block(), count: count)
        free = Array((0..<count).reversed())
    }

    /// How many blocks `tokens` tokens take.
    public func blocks(for tokens: Int) -> Int { (tokens + blockSize - 1) / blockSize }

    /// How many sequences hold the block.
    public func holders(of block: Int) -> Int { blocks[block].holders }

    /// Whether the block's content can be found by others; such a block is never written again.
    public func isCached(_ block: Int) -> Bool { blocks[block].content != nil }

    /// The identity that stands before the first block of a scope.
    public mutating func root(of scope: CacheScope) -> UInt64 {
        if let identity = scopes[scope] { return identity }
        // Forgotten scopes only make their old blocks unreachable; they age out.
        if scopes.count >= 4096 { scopes.removeAll() }
        lastIdentity += 1
        scopes[scope] = lastIdentity
        return lastIdentity
    }

    /// Takes hold of the longest run of cached blocks that begins `tokens`.
    ///
    /// At least one token is left over: its logits must be computed.
    /// - Returns: the blocks and the identity of the last one's content.
    public mutating func matchPrefix(
        _ tokens: [Int32], scope: CacheScope
    ) -> (blocks: [Int], identity: UInt64) {
        var parent = root(of: scope)
        var found: [Int] = []
        let most = max(0, tokens.count - 1) / blockSize
        queriedBlocks += most
        while found.count < most {
            let start = found.count * blockSize
            guard let block = lookUp(parent, tokens[start..<start + blockSize]),
                let content = blocks[block].content
            else { break }
            retain(block)
            found.append(block)
            parent = content.identity
        }
        hitBlocks += found.count
        return (found, parent)
    }

    /// A block for new rows, or `nil` when every block is held.
    public mutating func allocate() -> Int? {
        let block: Int
        if let last = free.popLast() {
            block = last
        } else if oldestIdle >= 0 {
            block = oldestIdle
            unlinkIdle(block)
            forget(block)
        } else {
            return nil
        }
        blocks[block].holders = 1
        return block
    }

    /// One more holder of a block somebody holds (or that is idle but cached).
    public mutating func retain(_ block: Int) {
        if blocks[block].isIdle { unlinkIdle(block) }
        blocks[block].holders += 1
    }

    /// Gives blocks back. The last of a text become reusable first, so that shared beginnings live longest.
    public mutating func release(_ table: [Int]) {
        for block in table.reversed() {
            precondition(blocks[block].holders > 0, "block \(block) released twice")
            blocks[block].holders -= 1
            guard blocks[block].holders == 0 else { continue }
            if blocks[block].content == nil { free.append(block) } else { linkIdle(block) }
        }
    }

    /// Makes a full block findable.
    /// - Returns: the identity of the content, that of an equal block found earlier where there is one.
    public mutating func register(_ block: Int, after parent: UInt64, tokens: ArraySlice<Int32>) -> UInt64 {
        precondition(tokens.count == blockSize, "a block is registered when it is full")
        if let earlier = lookUp(parent, tokens), let content = blocks[earlier].content { return content.identity }
        lastIdentity += 1
        let key = hash(parent, tokens)
        blocks[block].content = Content(
            identity: lastIdentity, parent: parent, hash: key, tokens: Array(tokens))
        cached[key, default: []].append(block)
        return lastIdentity
    }

    private func lookUp(_ parent: UInt64, _ tokens: ArraySlice<Int32>) -> Int? {
        cached[hash(parent, tokens)]?.first { block in
            guard let content = blocks[block].content else { return false }
            return content.parent == parent && content.tokens.elementsEqual(tokens)
        }
    }

    private mutating func forget(_ block: Int) {
        guard let content = blocks[block].content else { return }
        blocks[block].content = nil
        cached[content.hash]?.removeAll { $0 == block }
        if cached[content.hash]?.isEmpty == true { cached[content.hash] = nil }
    }

    private mutating func linkIdle(_ block: Int) {
        blocks[block].isIdle = true
        blocks[block].previous = newestIdle
        blocks[block].next = -1
        if newestIdle >= 0 { blocks[newestIdle].next = block } else { oldestIdle = block }
        newestIdle = block
        idleCount += 1
    }

    private mutating func unlinkIdle(_ block: Int) {
        let (previous, next) = (blocks[block].previous, blocks[block].next)
        if previous >= 0 { blocks[previous].next = next } else { oldestIdle = next }
        if next >= 0 { blocks[next].previous = previous } else { newestIdle = previous }
        blocks[block].isIdle = false
        idleCount -= 1
    }

    @Sendable private static func hash(_ parent: UInt64, _ tokens: ArraySlice<Int32>) -> UInt64 {
        // SplitMix64's finalizer over a running sum (Steele et al. 2014).
        var state = parent
        for token in tokens {
            state = (state ^ UInt64(UInt32(bitPattern: token))) &+ 0x9E37_79B9_7F4A_7C15
            state = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            state = (state ^ (state >> 27)) &* 0x94D0_49BB_1331_11EB
            state ^= state >> 31
        }
        return state
    }

    /// Describes the first broken invariant, or `nil`; `tables` are all tables in use.
    package func brokenInvariant(tables: [[Int]]) -> String? {
        var holders = [Int](repeating: 0, count: blocks.count)
        for table in tables { for block in table { holders[block] += 1 } }
        var idle = 0
        for (place, block) in blocks.enumerated() {
            if block.holders != holders[place] {
                return "block \(place): \(block.holders) != \(holders[place]) holders"
            }
            if block.isIdle { idle += 1 }
            if block.isIdle != (block.holders == 0 && block.content != nil) { return "block \(place) wrongly idle" }
            if let content = block.content, cached[content.hash]?.contains(place) != true {
                return "block \(place) cannot be found"
            }
        }
        if Set(free).count != free.count { return "a block is free twice" }
        for block in free where holders[block] != 0 || blocks[block].content != nil { return "block \(block) not free" }
        if idle != idleCount { return "\(idle) idle blocks, \(idleCount) counted" }
        if free.count + idle + holders.filter({ $0 > 0 }).count != blocks.count { return "blocks were lost" }
        let found = cached.values.joined()
        if found.count != blocks.filter({ $0.content != nil }).count { return "the index holds stale blocks" }
        var walked = 0
        var place = oldestIdle
        while place >= 0, walked <= blocks.count {
            walked += 1
            place = blocks[place].next
        }
        return walked == idleCount ? nil : "the idle list has \(walked) blocks, \(idleCount) counted"
    }
}
