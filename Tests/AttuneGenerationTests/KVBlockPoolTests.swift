import AttuneGeneration
import Testing

@Suite struct KVBlockPoolTests {
    @Test func findsOnlyEqualBeginningsOfTheSameScope() {
        var pool = KVBlockPool(rowCount: 64, blockSize: 4)
        let tokens: [Int32] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
        let table = [pool.allocate(), pool.allocate()].compactMap { $0 }
        var identity = pool.root(of: CacheScope())
        identity = pool.register(table[0], after: identity, tokens: tokens[0..<4])
        identity = pool.register(table[1], after: identity, tokens: tokens[4..<8])
        #expect(pool.matchPrefix(tokens, scope: CacheScope()).blocks == table)
        // A text that is all cached keeps one token to compute.
        #expect(pool.matchPrefix(Array(tokens[..<8]), scope: CacheScope()).blocks == [table[0]])
        #expect(pool.matchPrefix([1, 2, 3, 4, 5, 6, 7, 0, 9], scope: CacheScope()).blocks == [table[0]])
        #expect(pool.matchPrefix([5, 6, 7, 8, 9], scope: CacheScope()).blocks == [])
        #expect(pool.matchPrefix(tokens, scope: CacheScope(adapter: "red")).blocks == [])
        #expect(pool.matchPrefix(tokens, scope: CacheScope(salt: "key")).blocks == [])
        #expect(pool.holders(of: table[0]) == 4)
    }

    @Test func releasedBlocksStayUntilNeededOldestFirst() {
        var pool = KVBlockPool(rowCount: 12, blockSize: 4)
        let root = pool.root(of: CacheScope())
        for start in [0, 10, 20] as [Int32] {
            let block = pool.allocate() ?? -1
            _ = pool.register(block, after: root, tokens: [start, start + 1, start + 2, start + 3])
            pool.release([block])
        }
        #expect(pool.freeCount == 3)
        _ = pool.allocate()
        #expect(pool.matchPrefix([0, 1, 2, 3, 4], scope: CacheScope()).blocks == [])
        #expect(pool.matchPrefix([10, 11, 12, 13, 4], scope: CacheScope()).blocks.count == 1)
        #expect(pool.freeCount == 1)
    }

    /// Random operations against the invariants; every look-up is checked against the tokens really registered.
    @Test(arguments: [false, true]) func invariantsHold(collides: Bool) throws {
        var pool = KVBlockPool(rowCount: 40 * 4, blockSize: 4) { parent, tokens in
            collides ? 7 : tokens.reduce(parent) { $0 &* 31 &+ UInt64($1) }
        }
        var dice = Dice(collides ? 11 : 12)
        var contents: [Int: [Int32]] = [:]  // what the rows of a block hold, all tokens before them included
        var texts: [(tokens: [Int32], table: [Int])] = []
        var hits = 0
        for _ in 0..<4000 {
            switch Int.random(in: 0..<4, using: &dice) {
            case 0, 1:
                let tokens = (0..<Int.random(in: 1...24, using: &dice)).map { _ in Int32.random(in: 0...1, using: &dice)
                }
                let (found, last) = pool.matchPrefix(tokens, scope: CacheScope())
                for (place, block) in found.enumerated() {
                    #expect(contents[block] == Array(tokens[..<(4 * place + 4)]))
                    hits += 1
                }
                var table = found
                var identity = last
                while table.count < pool.blocks(for: tokens.count), let block = pool.allocate() {
                    table.append(block)
                    contents[block] = nil
                    if table.count * 4 <= tokens.count {
                        let before = identity
                        identity = pool.register(
                            block, after: before, tokens: tokens[(table.count - 1) * 4..<table.count * 4])
                        contents[block] = Array(tokens[..<(table.count * 4)])
                    }
                }
                texts.append((tokens, table))
            case 2 where !texts.isEmpty:
                pool.release(texts.remove(at: Int.random(in: 0..<texts.count, using: &dice)).table)
            case 3 where !texts.isEmpty:  // a fork
                let text = texts[Int.random(in: 0..<texts.count, using: &dice)]
                for block in text.table { pool.retain(block) }
                texts.append(text)
            default: break
            }
            try #require(pool.brokenInvariant(tables: texts.map(\.table)) == nil)
        }
        #expect(hits > 100)
        for text in texts { pool.release(text.table) }
        #expect(pool.freeCount == 40)
        #expect(pool.brokenInvariant(tables: [[0]]) != nil)
    }
}
