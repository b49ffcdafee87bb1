/// The type of an element, by the names safetensors files use.
public enum DType: String, Sendable, CaseIterable {
    /// 1 byte, 0 or 1.
    case bool = "BOOL"
    /// Unsigned bytes.
    case uint8 = "U8"
    /// Signed bytes.
    case int8 = "I8"
    /// Eight-bit float, 5 exponent bits.
    case float8e5m2 = "F8_E5M2"
    /// Eight-bit float, 4 exponent bits.
    case float8e4m3 = "F8_E4M3"
    /// Eight-bit power of two.
    case float8e8m0 = "F8_E8M0"
    /// Four-bit float, two elements a byte.
    case float4e2m1 = "F4"
    /// Signed 16 bits.
    case int16 = "I16"
    /// Unsigned 16 bits.
    case uint16 = "U16"
    /// IEEE half precision.
    case float16 = "F16"
    /// The upper half of a float32.
    case bfloat16 = "BF16"
    /// Signed 32 bits.
    case int32 = "I32"
    /// Unsigned 32 bits.
    case uint32 = "U32"
    /// IEEE single precision.
    case float32 = "F32"
    /// Two float32.
    case complex64 = "C64"
    /// IEEE double precision.
    case float64 = "F64"
    /// Signed 64 bits.
    case int64 = "I64"
    /// Unsigned 64 bits.
    case uint64 = "U64"

    /// Bits an element takes in a file.
    public var bitWidth: Int {
        switch self {
        case .float4e2m1: 4
        case .bool, .uint8, .int8, .float8e5m2, .float8e4m3, .float8e8m0: 8
        case .int16, .uint16, .float16, .bfloat16: 16
        case .int32, .uint32, .float32: 32
        case .complex64, .float64, .int64, .uint64: 64
        }
    }

    /// Bytes an element takes in memory (a whole byte for the four-bit type).
    public var byteWidth: Int { max(1, bitWidth / 8) }

    /// Whether the engine computes in this type.
    public var isComputeType: Bool { self == .float32 || self == .bfloat16 || self == .float16 }

    /// The name the Hugging Face configuration files use (`"bfloat16"`).
    public var torchName: String {
        switch self {
        case .bool: "bool"
        case .uint8: "uint8"
        case .int8: "int8"
        case .float8e5m2: "float8_e5m2"
        case .float8e4m3: "float8_e4m3fn"
        case .float8e8m0: "float8_e8m0fnu"
        case .float4e2m1: "float4_e2m1fn_x2"
        case .int16: "int16"
        case .uint16: "uint16"
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .int32: "int32"
        case .uint32: "uint32"
        case .float32: "float32"
        case .complex64: "complex64"
        case .float64: "float64"
        case .int64: "int64"
        case .uint64: "uint64"
        }
    }

    /// Reads `"bfloat16"`, `"torch.bfloat16"`, `"bf16"`, `"fp16"`, `"half"`, `"float"` and their like.
    public init?(torchName: String) {
        let name = torchName.hasPrefix("torch.") ? String(torchName.dropFirst(6)) : torchName
        switch name {
        case "bf16": self = .bfloat16
        case "fp16", "half": self = .float16
        case "fp32", "float": self = .float32
        case "double": self = .float64
        default:
            guard let type = Self.allCases.first(where: { $0.torchName == name }) else { return nil }
            self = type
        }
    }
}

/// The upper sixteen bits of a float32. Conversions round to nearest, ties to even, and keep NaN a NaN.
public struct BFloat16: Sendable, Equatable {
    /// Sign, 8 exponent bits, 7 mantissa bits.
    public var bits: UInt16

    /// From raw bits.
    public init(bits: UInt16) { self.bits = bits }

    /// The nearest value.
    public init(_ value: Float) {
        let pattern = value.bitPattern
        if value.isNaN {
            bits = UInt16(pattern >> 16) | 0x40
        } else {
            bits = UInt16((pattern &+ 0x7FFF &+ ((pattern >> 16) & 1)) >> 16)
        }
    }

    /// The exact value as float32.
    public var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
