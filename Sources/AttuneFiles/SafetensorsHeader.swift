import AttuneJSON
import AttuneTensor

/// The table of contents of a safetensors file, fully checked before any tensor is formed.
///
/// Format: 8 bytes little-endian length N · N bytes of JSON that begin with `{` and may end in spaces · the data. An
/// entry is `{"dtype", "shape", "data_offsets": [begin, end)}` relative to the data. The entries cover the data without
/// hole or overlap to the end of the file.
struct SafetensorsHeader {
    struct Entry {
        var name: String
        var typeName: String
        /// `nil` for a type of the format that the engine has no name for (the six-bit floats).
        var dtype: DType?
        var shape: [Int]
        var begin: Int
        var end: Int
    }

    /// The format allows 100,000,000; such a header costs gigabytes to parse, and no real one comes near this limit.
    static let maximumByteCount = 32 << 20
    static let maximumTensorCount = 200_000
    static let metadataKey = "__metadata__"

    /// In the order of the data.
    var entries: [Entry] = []
    var metadata: [String: String] = [:]
    /// Offset of the data from the start of the file.
    var dataStart: Int

    /// Bits of an element by the names of the format.
    static func bitWidth(of typeName: String) -> Int? {
        if let dtype = DType(rawValue: typeName) { return dtype.bitWidth }
        switch typeName {
        case "F6_E2M3", "F6_E3M2": return 6
        case "F8_E4M3FNUZ", "F8_E5M2FNUZ": return 8
        default: return nil
        }
    }

    /// Reads and checks the header of a file.
    init(_ file: MappedFile) throws(FilesError) {
        func invalid(_ problem: String) -> FilesError {
            .invalid(path: file.path, problem: "not a valid safetensors file: \(problem)")
        }
        guard let length = file.integer(at: 0, width: 8) else {
            throw invalid("only \(file.byteCount) bytes long; the download may be incomplete")
        }
        guard length <= UInt64(Self.maximumByteCount) else {
            throw invalid("the header claims \(length) bytes, the limit is \(Self.maximumByteCount)")
        }
        dataStart = 8 + Int(length)
        guard dataStart <= file.byteCount else {
            throw invalid("the header claims \(length) bytes, the file has \(file.byteCount)")
        }
        let bytes = file.bytes(8..<dataStart)
        guard bytes.first == UInt8(ascii: "{") else { throw invalid("the header does not begin with '{'") }
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: bytes, maximumDepth: 4, rejectDuplicateKeys: true)
        } catch { throw invalid("header: \(error)") }
        guard let members = json.objectValue?.members else { throw invalid("the header is no object") }
        guard members.count <= Self.maximumTensorCount else {
            throw invalid("\(members.count) tensors, the limit is \(Self.maximumTensorCount)")
        }
        entries.reserveCapacity(members.count)
        for (name, value) in members {
            if name == Self.metadataKey {
                guard let pairs = value.objectValue?.members else { throw invalid("\(Self.metadataKey) is no object") }
                for (key, value) in pairs {
                    guard let text = value.stringValue else {
                        throw invalid("\(Self.metadataKey) '\(key)' is no string")
                    }
                    metadata[key] = text
                }
            } else {
                guard let entry = Self.entry(name, value) else {
                    throw invalid("tensor '\(name)' lacks a valid dtype, shape or data_offsets")
                }
                entries.append(entry)
            }
        }
        try settle(dataByteCount: file.byteCount - dataStart, invalid)
    }

    private static func entry(_ name: String, _ value: JSON) -> Entry? {
        guard let typeName = value["dtype"]?.stringValue, bitWidth(of: typeName) != nil,
            let sizes = value["shape"]?.arrayValue, let offsets = value["data_offsets"]?.arrayValue, offsets.count == 2,
            let begin = size(offsets[0]), let end = size(offsets[1])
        else { return nil }
        var shape: [Int] = []
        shape.reserveCapacity(sizes.count)
        for value in sizes {
            guard let size = size(value) else { return nil }
            shape.append(size)
        }
        return Entry(
            name: name, typeName: typeName, dtype: DType(rawValue: typeName), shape: shape, begin: begin, end: end)
    }

    /// A whole number that is not negative, written as one (`2.0` is not).
    private static func size(_ value: JSON) -> Int? {
        guard case .integer(let number) = value, number >= 0 else { return nil }
        return Int(number)
    }

    /// Sorts the entries by their place and checks that they tile the data.
    private mutating func settle(dataByteCount: Int, _ invalid: (String) -> FilesError) throws(FilesError) {
        let order = entries.indices.sorted {
            let (left, right) = (entries[$0], entries[$1])
            return (left.begin, left.end, $0) < (right.begin, right.end, $1)
        }
        entries = order.map { entries[$0] }
        var place = 0
        for entry in entries {
            guard entry.begin == place, entry.end >= entry.begin else {
                let fault = entry.begin < place ? "overlaps the tensor before it" : "leaves a hole before it"
                throw invalid(
                    "tensor '\(entry.name)' at [\(entry.begin), \(entry.end)) "
                        + (entry.end < entry.begin ? "ends before it begins" : fault))
            }
            guard let needed = Self.byteCount(entry), needed == entry.end - entry.begin else {
                throw invalid(
                    "tensor '\(entry.name)' of type \(entry.typeName) and shape \(entry.shape.prefix(8)) "
                        + "does not fill its \(entry.end - entry.begin) bytes")
            }
            place = entry.end
        }
        guard place == dataByteCount else {
            throw invalid(
                "tensors end at byte \(place) of the data, the data has \(dataByteCount)"
                    + (place > dataByteCount ? "; the download may be incomplete" : ""))
        }
    }

    /// Bytes of an entry, or `nil` where the product does not fit. Zero sizes count as one in the test for overflow, so
    /// that no later product over part of the shape can overflow either.
    private static func byteCount(_ entry: Entry) -> Int? {
        guard var bits = bitWidth(of: entry.typeName) else { return nil }
        for size in entry.shape {
            let (product, overflow) = bits.multipliedReportingOverflow(by: max(size, 1))
            guard !overflow else { return nil }
            bits = product
        }
        if entry.shape.contains(0) { bits = 0 }
        return bits % 8 == 0 ? bits / 8 : nil
    }
}
