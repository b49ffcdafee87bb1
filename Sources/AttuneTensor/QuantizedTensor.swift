/// How a matrix is stored in few bits.
public enum QuantizationFormat: String, Sendable, CaseIterable {
    /// Four bits, the sixteen quantiles of a normal distribution (QLoRA, Dettmers et al. 2023).
    case nf4
    /// Four bits, a tiny float.
    case fp4
    /// Eight bits, one scale a row.
    case int8

    /// Bits of one code.
    public var bitWidth: Int { self == .int8 ? 8 : 4 }
}

/// A weight matrix in few bits, exactly as bitsandbytes stores it.
///
/// Four-bit formats: the matrix is flattened row by row and cut into blocks; `value = codebook[code] · absmax[block]`. Two codes
/// a byte, the earlier in the high nibble. With double quantization the absmax themselves are eight-bit codes:
/// `absmax[i] = nestedCodebook[code[i]] · nestedAbsmax[i / nestedBlockSize] + nestedOffset`.
/// `int8`: `value = code · scale[row] / 127`.
public struct QuantizedTensor: Sendable {
    /// The eight-bit form of the block scales.
    public struct NestedScales: Sendable {
        /// One code a block, uint8 [blocks].
        public var codes: Tensor
        /// One scale for `blockSize` codes, float32.
        public var absmax: Tensor
        /// The 256 values of a code, float32.
        public var codebook: Tensor
        /// Added to every scale.
        public var offset: Float
        /// Codes that share a nested scale.
        public var blockSize: Int

        /// Collects the parts.
        public init(codes: Tensor, absmax: Tensor, codebook: Tensor, offset: Float, blockSize: Int) {
            self.codes = codes
            self.absmax = absmax
            self.codebook = codebook
            self.offset = offset
            self.blockSize = blockSize
        }
    }

    /// The number format.
    public var format: QuantizationFormat
    /// Rows (output features) and columns (input features) of the matrix.
    public var shape: [Int]
    /// Elements that share a scale (four-bit formats).
    public var blockSize: Int
    /// uint8 [⌈n/2⌉] for four bits, int8 [rows, columns] for eight.
    public var codes: Tensor
    /// float32 scales: one a block, or one a row for int8. Empty (count 0) when `nested` is set.
    public var absmax: Tensor
    /// The sixteen values of a four-bit code, float32; unused by int8.
    public var codebook: Tensor
    /// The scales in eight bits, with double quantization.
    public var nested: NestedScales?
    /// The type the matrix had before.
    public var originalType: DType

    /// Collects the parts.
    public init(
        format: QuantizationFormat, shape: [Int], blockSize: Int, codes: Tensor, absmax: Tensor, codebook: Tensor,
        nested: NestedScales? = nil, originalType: DType
    ) {
        self.format = format
        self.shape = shape
        self.blockSize = blockSize
        self.codes = codes
        self.absmax = absmax
        self.codebook = codebook
        self.nested = nested
        self.originalType = originalType
    }

    /// Bytes of codes, scales and maps.
    public var byteCount: Int {
        var total = codes.byteCount + absmax.byteCount + codebook.byteCount
        if let nested { total += nested.codes.byteCount + nested.absmax.byteCount + nested.codebook.byteCount }
        return total
    }
}
