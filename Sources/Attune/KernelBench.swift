import AttuneModels
import AttuneTensor

/// Single products at the shapes of a model, each against the machine's limits.
public struct KernelBench {
    /// One product.
    public struct Measurement: Sendable {
        /// `"linear"`, `"linear nf4"`, `"input gradient"` or `"weight gradient"`.
        public var name: String
        /// Rows of the product.
        public var rows: Int
        /// Columns of its input.
        public var inputs: Int
        /// Columns of its result.
        public var outputs: Int
        /// Shortest time of a call, the weight not in cache.
        public var seconds: Double
        /// Floating-point operations a second.
        public var operationsPerSecond: Double
        /// Bytes of weight a second.
        public var bytesPerSecond: Double
        /// The least time it could take over the time it takes.
        public var fractionOfLimit: Double
    }

    private let backend: any Backend
    private let type: DType
    private let limits: MachineLimits

    /// Where and in which numbers to multiply.
    public init(_ backend: any Backend, type: DType, limits: MachineLimits) {
        self.backend = backend
        self.type = type
        self.limits = limits
    }

    /// Every distinct matrix of the model: forward with few and many rows, dense and NF4, and the gradients.
    /// - Throws: `TensorError`.
    public func run(_ c: DecoderConfiguration) throws -> [Measurement] {
        var shapes: [(inputs: Int, outputs: Int)] = []
        for shape in [
            (c.hiddenSize, c.queryWidth), (c.hiddenSize, c.kvWidth), (c.hiddenSize, c.intermediateSize),
            (c.intermediateSize, c.hiddenSize), (c.hiddenSize, c.vocabularySize),
        ] where !shapes.contains(where: { $0 == shape }) { shapes.append(shape) }
        var results: [Measurement] = []
        for (inputs, outputs) in shapes {
            let isHead = outputs == c.vocabularySize
            for rows in isHead ? [1, 8, 32, 256] : [1, 8, 32, 64, 512, 2048] {
                results.append(try measure("linear", rows, inputs, outputs))
            }
            if !isHead, inputs % 64 == 0 {
                for rows in [1, 8, 512] { results.append(try measure("linear nf4", rows, inputs, outputs)) }
            }
            let rows = isHead ? 256 : 2048
            results.append(try measure("input gradient", rows, inputs, outputs))
            if !isHead { results.append(try measure("weight gradient", rows, inputs, outputs)) }
        }
        return results
    }

    private func measure(_ name: String, _ rows: Int, _ inputs: Int, _ outputs: Int) throws -> Measurement {
        let some = Philox(RandomKey(seed: 1, step: 0, stream: 0)).normals(8191)
        func values(_ rows: Int, _ columns: Int) throws(TensorError) -> Tensor {
            try Tensor((0..<rows * columns).map { some[$0 % some.count] }, shape: [rows, columns])
        }
        let dense = try backend.makeTensor([outputs, inputs], type)
        backend.copy(dense, try values(outputs, inputs))
        let source: WeightSource =
            name == "linear nf4"
            ? .quantized(try backend.quantize(dense, format: .nf4, blockSize: 64, doubleQuantization: true))
            : .dense(dense)
        let x = try backend.makeTensor([rows, inputs], type)
        let y = try backend.makeTensor([rows, outputs], type)
        backend.copy(x, try values(rows, inputs))
        backend.copy(y, try values(rows, outputs))
        let gradient = name == "weight gradient" ? try backend.makeTensor([outputs, inputs], .float32) : nil
        // Enough copies that a weight has left the caches when its turn comes again, as in a model.
        let first = try backend.pack(source, computeType: type)
        let copies = gradient == nil ? max(1, min(64, (64 << 20) / max(1, first.byteCount))) : 1
        let weights = [first] + (try (1..<copies).map { _ in try backend.pack(source, computeType: type) })
        var best = Double.infinity
        var spent = 0.0
        var round = 0
        while spent < 0.15 || round <= copies {
            let weight = weights[round % copies]
            let seconds = secondsOf {
                if let gradient {
                    backend.linearWeightGradient(gradient, y, x, scale: 1e-3)
                } else if name == "input gradient" {
                    backend.linearInputGradient(x, y, weight, extra: nil, scale: 1e-3, residual: nil)
                } else {
                    backend.linear(y, x, weight, bias: nil, extra: nil, scale: 1, residual: nil)
                }
            }
            spent += seconds
            best = min(best, seconds)
            round += 1
        }
        let operations = 2.0 * Double(rows) * Double(inputs) * Double(outputs)
        let bytes = gradient == nil ? Double(first.byteCount) : 0
        return Measurement(
            name: name, rows: rows, inputs: inputs, outputs: outputs, seconds: best,
            operationsPerSecond: operations / best, bytesPerSecond: bytes / best,
            fractionOfLimit: limits.leastSeconds(operations: operations, bytes: bytes) / best)
    }
}
