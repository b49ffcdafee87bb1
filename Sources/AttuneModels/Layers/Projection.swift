import AttuneTensor

/// A weight matrix of the decoder, in whatever storage, with its bias.
///
/// `@unchecked Sendable`: written only while the model is loaded, adapted or stepped by its one owner.
public final class Projection: @unchecked Sendable {
    /// The module path, for example `"model.layers.0.self_attn.q_proj"`.
    public let name: String
    /// The matrix [out, in].
    public internal(set) var weight: any PackedWeight
    /// float32 [out].
    public internal(set) var bias: Tensor?
    /// The master copy, when the matrix itself is trained.
    public internal(set) var master: Parameter?
    /// The bias as a trained parameter.
    public internal(set) var biasParameter: Parameter?

    /// Rows of the matrix.
    public var outFeatures: Int { weight.outFeatures }
    /// Columns of the matrix.
    public var inFeatures: Int { weight.inFeatures }
    /// The last part of the name, `"q_proj"`.
    public var shortName: String { String(name.split(separator: ".").last ?? "") }

    init(name: String, weight: any PackedWeight, bias: Tensor?) {
        self.name = name
        self.weight = weight
        self.bias = bias
    }
}
