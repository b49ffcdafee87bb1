import AttuneGeneration
import AttuneJSON
import Synchronization

/// Compiled grammars by their source, the least recently used forgotten first. In memory only, with a limit.
final class GrammarCache: Sendable {
    private struct Entry {
        var grammar: CompiledGrammar
        var bytes: Int
        var lastUse: Int
    }

    private struct State {
        var entries: [ByteString: Entry] = [:]
        var bytes = 0
        var clock = 0
    }

    private let state = Mutex(State())
    private let trie: TokenTrie
    private let limit: Int

    /// - Parameter limit: bytes of sources held.
    init(trie: TokenTrie, limit: Int = 4 << 20) {
        self.trie = trie
        self.limit = limit
    }

    /// How many are held.
    var count: Int { state.withLock { $0.entries.count } }

    /// A grammar in its first state.
    /// - Parameter source: names the grammar; equal sources must mean equal grammars.
    /// - Throws: `GrammarError`.
    func constraint(_ source: String, _ make: () -> Grammar) throws(GrammarError) -> GrammarMatcher {
        let key = ByteString(source)
        let known = state.withLock { state -> CompiledGrammar? in
            state.clock += 1
            state.entries[key]?.lastUse = state.clock
            return state.entries[key]?.grammar
        }
        if let known { return try known.makeConstraint() }
        let grammar = try make().compiled(for: trie)
        let bytes = source.utf8.count + 1024
        state.withLock { state in
            guard state.entries[key] == nil, bytes <= limit else { return }
            state.entries[key] = Entry(grammar: grammar, bytes: bytes, lastUse: state.clock)
            state.bytes += bytes
            while state.bytes > limit, let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
                state.bytes -= oldest.value.bytes
                state.entries[oldest.key] = nil
            }
        }
        return try grammar.makeConstraint()
    }
}
