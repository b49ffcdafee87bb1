import Synchronization

/// The deterministic automaton of a network, made as far as it is needed.
///
/// A reading is a state with a stack of states to return to; stacks share their lower parts. A configuration is the set of
/// all readings of the bytes so far. Configurations, their steps by byte and their masks are remembered.
final class GrammarAutomaton: Sendable {
    /// A reading outside any automaton: the state, then the return states from the innermost on.
    typealias Reading = [Int32]

    private struct Configuration: Hashable {
        var readings: [UInt64]  // state << 32 | frame, ascending
        var isAccepting: Bool
    }

    private struct Table {
        var frameState: [Int32] = [-1]
        var frameParent: [Int32] = [-1]
        var frameDepth: [Int32] = [0]
        var frames: [UInt64: Int32] = [:]
        var configurations: [Configuration] = []
        var names: [Configuration: Int32] = [:]
        var steps: [Int32] = []
        var masks: [Int32: TokenMask] = [:]
        var storedReadings = 0
        var work = 0
    }

    let network: GrammarNetwork
    private let limits: GrammarLimits
    private let table = Mutex(Table())

    private static let unknown: Int32 = -2
    /// The configuration without readings.
    static let dead: Int32 = -1
    // Bytes held by masks stay below a few megabytes a grammar.
    private static let maxMasks = 256

    init(network: GrammarNetwork, limits: GrammarLimits) {
        self.network = network
        self.limits = limits
    }

    /// Whether so much is remembered that a fresh automaton should take over.
    var isFull: Bool {
        table.withLock { $0.configurations.count > limits.maxConfigurations || $0.storedReadings > 2_000_000 }
    }

    /// The configuration of the given readings.
    func enter(_ readings: [Reading]) throws(GrammarError) -> Int32 {
        try table.withLock { table throws(GrammarError) in
            table.work = 0
            var seeds: [UInt64] = []
            for reading in readings {
                var frame: Int32 = 0
                for state in reading.dropFirst().reversed() { frame = push(state, frame, &table) }
                if let state = reading.first { seeds.append(Self.pack(state, frame)) }
            }
            return try close(seeds, &table)
        }
    }

    /// The readings of a configuration, for another automaton of the same network.
    func leave(_ configuration: Int32) -> [Reading] {
        table.withLock { table in
            guard configuration >= 0 else { return [] }
            let found = table.configurations[Int(configuration)]
            let readings = found.readings.map { packed in
                var reading = [Int32(packed >> 32)]
                var frame = Int32(truncatingIfNeeded: packed)
                while frame > 0 {
                    reading.append(table.frameState[Int(frame)])
                    frame = table.frameParent[Int(frame)]
                }
                return reading
            }
            return found.isAccepting ? readings + [[network.end]] : readings
        }
    }

    /// Whether the text may end, and whether it must.
    func end(_ configuration: Int32) -> (isPossible: Bool, isCertain: Bool) {
        table.withLock { table in
            guard configuration >= 0 else { return (false, false) }
            let found = table.configurations[Int(configuration)]
            return (found.isAccepting, found.isAccepting && found.readings.isEmpty)
        }
    }

    /// The configuration after more bytes; `dead` where the grammar does not allow them.
    func advance(_ configuration: Int32, by bytes: [UInt8]) throws(GrammarError) -> Int32 {
        try table.withLock { table throws(GrammarError) in
            table.work = 0
            var current = configuration
            for byte in bytes where current >= 0 { current = try step(current, byte, &table) }
            return current
        }
    }

    /// Which tokens may follow.
    func mask(_ configuration: Int32, _ trie: TokenTrie) throws(GrammarError) -> TokenMask {
        try table.withLock { table throws(GrammarError) in
            if let mask = table.masks[configuration] { return mask }
            guard configuration >= 0 else { throw .deadEnd }
            table.work = 0
            var mask = TokenMask(count: trie.vocabularySize)
            var path = [Int32](repeating: configuration, count: trie.maxDepth + 1)
            var node = 0
            var hasAny = false
            while node < trie.bytes.count {
                let depth = Int(trie.depths[node])
                let next = try step(path[depth - 1], trie.bytes[node], &table)
                guard next >= 0 else {
                    node = Int(trie.subtreeEnds[node])
                    continue
                }
                path[depth] = next
                for place in trie.tokenStarts[node]..<trie.tokenStarts[node + 1] {
                    mask.insert(trie.tokens[Int(place)])
                    hasAny = true
                }
                node += 1
            }
            if table.configurations[Int(configuration)].isAccepting {
                for id in trie.endTokens where id >= 0 && Int(id) < trie.vocabularySize {
                    mask.insert(id)
                    hasAny = true
                }
            }
            guard hasAny else { throw .deadEnd }
            if table.masks.count >= Self.maxMasks { table.masks.removeAll() }
            table.masks[configuration] = mask
            return mask
        }
    }

    // MARK: The table

    private static func pack(_ state: Int32, _ frame: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: state)) << 32 | UInt64(UInt32(bitPattern: frame))
    }

    private func push(_ state: Int32, _ parent: Int32, _ table: inout Table) -> Int32 {
        let key = Self.pack(state, parent)
        if let frame = table.frames[key] { return frame }
        let frame = Int32(table.frameState.count)
        table.frameState.append(state)
        table.frameParent.append(parent)
        table.frameDepth.append(table.frameDepth[Int(parent)] + 1)
        table.frames[key] = frame
        return frame
    }

    private func step(_ configuration: Int32, _ byte: UInt8, _ table: inout Table) throws(GrammarError) -> Int32 {
        let kind = Int(network.classes[Int(byte)])
        let place = Int(configuration) * network.representatives.count + kind
        let known = table.steps[place]
        if known != Self.unknown { return known }
        let sample = network.representatives[kind]
        var seeds: [UInt64] = []
        for packed in table.configurations[Int(configuration)].readings {
            let frame = Int32(truncatingIfNeeded: packed)
            for edge in network.byteEdges[Int(packed >> 32)] where edge.bytes.contains(sample) {
                seeds.append(Self.pack(edge.target, frame))
            }
        }
        let next = seeds.isEmpty ? Self.dead : try close(seeds, &table)
        table.steps[place] = next
        return next
    }

    /// Follows empty edges, calls and returns. A reading is dropped where its shortest end lies beyond the depth limit;
    /// since the shortest end of every kept reading leads over kept readings, no text is ever led into a dead end.
    private func close(_ seeds: [UInt64], _ table: inout Table) throws(GrammarError) -> Int32 {
        var seen = Set<UInt64>()
        var open: [UInt64] = []
        var readings: [UInt64] = []
        var isAccepting = false
        let limit = Int32(limits.maxDepth)

        func add(_ state: Int32, _ frame: Int32, _ table: inout Table) {
            let height = network.heights[Int(state)]
            guard height <= limit - table.frameDepth[Int(frame)] else { return }
            let packed = Self.pack(state, frame)
            if seen.insert(packed).inserted { open.append(packed) }
        }

        for seed in seeds { add(Int32(seed >> 32), Int32(truncatingIfNeeded: seed), &table) }
        while let packed = open.popLast() {
            table.work += 1
            guard seen.count <= limits.maxReadings, table.work <= limits.maxWork else {
                throw .tooLarge("one text has too many readings")
            }
            let state = Int32(packed >> 32)
            let frame = Int32(truncatingIfNeeded: packed)
            if !network.byteEdges[Int(state)].isEmpty { readings.append(packed) }
            for target in network.emptyEdges[Int(state)] { add(target, frame, &table) }
            for edge in network.callEdges[Int(state)] {
                // A call at the end of a rule needs no way back.
                if network.isBareEnd(edge.target) {
                    add(network.starts[Int(edge.rule)], frame, &table)
                } else if network.heights[Int(edge.target)] <= limit - table.frameDepth[Int(frame)] {
                    add(network.starts[Int(edge.rule)], push(edge.target, frame, &table), &table)
                }
            }
            if network.isFinal[Int(state)] {
                if frame == 0 {
                    isAccepting = true
                } else {
                    add(table.frameState[Int(frame)], table.frameParent[Int(frame)], &table)
                }
            }
        }
        guard !readings.isEmpty || isAccepting else { return Self.dead }
        readings.sort()
        let configuration = Configuration(readings: readings, isAccepting: isAccepting)
        if let name = table.names[configuration] { return name }
        guard table.configurations.count < 8 * limits.maxConfigurations, table.storedReadings < 8_000_000 else {
            throw .tooLarge("one step meets too many situations")
        }
        let name = Int32(table.configurations.count)
        table.configurations.append(configuration)
        table.names[configuration] = name
        table.storedReadings += readings.count
        table.steps.append(contentsOf: repeatElement(Self.unknown, count: network.representatives.count))
        return name
    }
}
