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

    /// Runs one step; the logits go to the front of `logits`.
    public func run(_ batch: InferenceBatch, into logits: inout [Float]) throws {
        let runs = batch.adapters.map { AdapterRun(rows: $0.rows, adapter: $0.adapter) }
        let vocabulary = vocabularySize
        let out = try pass.run(
            batch.tokens, batch.segments, cache: (cache, batch.cacheRows), logitRows: batch.logitRows,
            adapterRuns: runs)
        let count = batch.logitRows.count * vocabulary
        if logits.count < count { logits = [Float](repeating: 0, count: count) }
        logits.withUnsafeMutableBytes { target in
            target.baseAddress?.copyMemory(from: out.address, byteCount: count * MemoryLayout<Float>.size)
        }
    }

    /// Copies rows of the cache.
    public func copyCacheRows(from rows: Range<Int>, to start: Int) { cache.copyRows(rows, to: start) }
}
