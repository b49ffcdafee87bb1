import AttuneModels
import AttuneTensor

/// A decoder with a paged cache behind the engine.
///
/// `@unchecked Sendable`: the engine that owns it calls it from one thread.
public final class DecoderRunner: ModelRunner, @unchecked Sendable {
    private let decoder: Decoder
    private let pass: InferencePass
    private let cache: KVCache

    /// Takes memory for the cache and one step.
    ///
    /// - Parameters:
    ///   - cacheRows: tokens the cache holds.
    ///   - batchRows: the most rows of one step.
    ///   - logitRows: the most rows of one step whose logits are asked for.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ decoder: Decoder, cacheRows: Int, batchRows: Int, logitRows: Int) throws(TensorError) {
        self.decoder = decoder
        cache = try KVCache(decoder, rows: cacheRows)
        pass = try InferencePass(decoder, capacity: batchRows, logitCapacity: logitRows)
    }

    /// Tokens the head knows.
    public var vocabularySize: Int { decoder.configuration.vocabularySize }
    /// Tokens the cache holds.
    public var cacheRowCount: Int { cache.rowCount }

    /// Bytes that a step of so many greedy texts now reads of the head: of few, a coarse copy of it.
    public func headByteCount(texts: Int) -> Int { pass.headByteCount(rows: texts) }

    /// Runs one step and lends its logits.
    public func run(_ batch: InferenceBatch, _ use: (Span<Float>) -> Void) throws {
        let versions = batch.adapters.map { decoder.activation($0.adapter) }
        let first = versions.first ?? nil
        guard !versions.allSatisfy({ $0 == first }) else { return use(try runPass(batch).span) }
        // An adapter that trains modules of the base whole needs a pass of its own.
        var logits = [Float](repeating: 0, count: batch.logitRows.count * vocabularySize)
        var done: Set<String?> = []
        for version in versions where done.insert(version).inserted {
            let (part, places) = batch.part { decoder.activation($0) == version }
            let own = try runPass(part)
            for (row, place) in places.enumerated() {
                let values = row * vocabularySize..<(row + 1) * vocabularySize
                logits.replaceSubrange(place * vocabularySize..<(place + 1) * vocabularySize, with: own[values])
            }
        }
        use(logits.span)
    }

    /// The logits where the pass left them, valid until the next one.
    private func runPass(_ batch: InferenceBatch) throws -> UnsafeBufferPointer<Float> {
        let runs = batch.adapters.map { AdapterRun(rows: $0.rows, adapter: $0.adapter) }
        let out = try pass.run(
            batch.tokens, batch.segments, cache: (cache, batch.cacheRows), logitRows: batch.logitRows,
            adapterRuns: runs, onlyMaxima: batch.onlyMaxima)
        return UnsafeBufferPointer(
            start: out.address.assumingMemoryBound(to: Float.self), count: batch.logitRows.count * vocabularySize)
    }

    /// Copies rows of the cache.
    public func copyCacheRows(from rows: Range<Int>, to start: Int) { cache.copyRows(rows, to: start) }
}

extension InferenceBatch {
    /// The rows of some adapters as a batch of their own, and the places of their logits among all.
    func part(of isWanted: (String?) -> Bool) -> (batch: InferenceBatch, logitPlaces: [Int]) {
        var rows: [Int] = []
        var runs: [(rows: Range<Int>, adapter: String?)] = []
        for run in adapters where isWanted(run.adapter) {
            runs.append((rows.count..<rows.count + run.rows.count, run.adapter))
            rows += run.rows
        }
        let place = Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, $0) })
        let own = segments.segments.compactMap { segment in
            place[segment.queries.lowerBound].map { start in
                Segment(
                    queries: start..<start + segment.queries.count, keys: segment.keys, identity: segment.identity)
            }
        }
        let logitPlaces = logitRows.indices.filter { place[Int(logitRows[$0])] != nil }
        let batch = InferenceBatch(
            tokens: rows.map { tokens[$0] }, cacheRows: rows.map { cacheRows[$0] }, segments: SegmentTable(own),
            logitRows: logitPlaces.compactMap { place[Int(logitRows[$0])].map(Int32.init) }, adapters: runs,
            onlyMaxima: onlyMaxima)
        return (batch, logitPlaces)
    }
}
