import AttuneTensor

/// A tensor that training changes: its float32 master and, while training, its gradient.
///
/// `@unchecked Sendable`: the trainer that owns the model is the only one who writes, between steps.
public final class Parameter: @unchecked Sendable {
    /// The name it has in a file, for example `"model.layers.0.self_attn.q_proj.lora_A.weight"`.
    public let name: String
    /// The float32 values.
    public let value: Tensor
    /// Sums of the step so far, of the same shape; `nil` when nobody trains.
    public internal(set) var gradient: Tensor?
    /// Whether weight decay applies: everything but biases and norms, as transformers groups them.
    public let decays: Bool

    /// Whether this is the table of the embedding, whose rows are met so unequally that eight bits cannot hold their moments.
    public var isEmbedding: Bool { name.hasSuffix("embed_tokens.weight") }

    /// Whether this is an adapter's B, which LoRA+ gives a rate of its own.
    public var isLoRAB: Bool { name.hasSuffix(".lora_B.weight") }

    init(name: String, value: Tensor, gradient: Tensor? = nil, decays: Bool = true) {
        self.name = name
        self.value = value
        self.gradient = gradient
        self.decays = decays
    }

    /// Takes zeroed memory for the gradient, unless it has some.
    func prepareGradient(on backend: any Backend) throws(TensorError) {
        guard gradient == nil else { return }
        gradient = try backend.makeTensor(value.shape, .float32)
    }
}

extension Backend {
    /// A zeroed tensor on this device.
    public func makeTensor(_ shape: [Int], _ dtype: DType) throws(TensorError) -> Tensor {
        let byteCount = shape.reduce(1, *) * dtype.byteWidth
        return Tensor(storage: try makeStorage(byteCount: byteCount), shape: shape, dtype: dtype)
    }

    /// Host floats on this device, as float32.
    public func makeTensor(_ values: [Float], shape: [Int]) throws(TensorError) -> Tensor {
        let out = try makeTensor(shape, .float32)
        copy(out, try Tensor(values, shape: shape))
        return out
    }
}
