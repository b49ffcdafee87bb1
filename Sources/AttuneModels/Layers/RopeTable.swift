import AttuneTensor

/// Cosines and sines of a rotation for every position up to a length, float32 [positions, pairs].
final class RopeTable {
    let configuration: RopeConfiguration
    let headDimension: Int
    private(set) var length = 0
    private var cosine: Tensor?
    private var sine: Tensor?

    init(_ configuration: RopeConfiguration, headDimension: Int) {
        self.configuration = configuration
        self.headDimension = headDimension
    }

    /// Makes the table cover `length` positions, with the frequencies a text of that length has.
    ///
    /// `dynamic` and `longrope` have other frequencies for long texts; the reference decides by the longest position it sees, and so
    /// does the caller, who must not mix rotations of both kinds in one cache.
    func cover(_ length: Int, on backend: any Backend) throws(TensorError) {
        let changes = configuration.changes(from: self.length, to: length)
        guard length > self.length || changes else { return }
        let rows = changes ? length : max(length, min(2 * self.length, 1 << 20), 256)
        let frequencies = configuration.frequencies(length: changes ? length : max(length, self.length))
        let factor = Float(configuration.attentionFactor)
        var cosines: [Float] = []
        var sines: [Float] = []
        cosines.reserveCapacity(rows * frequencies.count)
        sines.reserveCapacity(rows * frequencies.count)
        for position in 0..<rows {
            for frequency in frequencies {
                // The angle is rounded to float32 first, as the reference does.
                let angle = Double(Float(position) * frequency)
                cosines.append(Float(ScalarMath.cos(angle)) * factor)
                sines.append(Float(ScalarMath.sin(angle)) * factor)
            }
        }
        let shape = [rows, configuration.pairCount]
        cosine = try backend.makeTensor(cosines, shape: shape)
        sine = try backend.makeTensor(sines, shape: shape)
        self.length = configuration.isLengthDependent ? length : rows
    }

    func turn(_ x: Tensor, positions: [Int32], inverse: Bool, _ backend: any Backend) {
        guard let cosine, let sine else { preconditionFailure("rope table not made") }
        backend.rope(
            x, headDimension: headDimension, cosine: cosine, sine: sine, positions: positions, inverse: inverse)
    }
}
