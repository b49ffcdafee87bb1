import AttuneFiles
import AttuneTensor
import Foundation
import Testing

/// The path of a file the reference libraries wrote (`dev/golden/files.py`).
func fixture(_ name: String) -> String {
    (Bundle.module.resourcePath ?? ".") + "/Fixtures/" + name
}

/// A folder of a test's own, removed with the value.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/attune-files-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { path + "/" + name }

    /// Writes bytes without this room's own writer.
    @discardableResult
    func put(_ bytes: [UInt8], _ name: String) throws -> String {
        let url = URL(fileURLWithPath: path(name))
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
        return url.path
    }

    @discardableResult
    func put(_ text: String, _ name: String) throws -> String { try put(Array(text.utf8), name) }

    func copy(_ fixtureName: String, as name: String) throws {
        try FileManager.default.copyItem(atPath: fixture(fixtureName), toPath: path(name))
    }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}

/// The typed error of a body, or `nil` when it succeeds or throws another.
func failure<Value>(_ body: () throws -> Value) -> FilesError? {
    do {
        _ = try body()
        return nil
    } catch { return error as? FilesError }
}

func bytes(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) }

func bytes(of tensor: Tensor) -> [UInt8] {
    [UInt8](UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount))
}

/// Any real element as a Double, to compare with what Python printed.
func values(of tensor: Tensor) -> [Double] {
    func load<Element>(_ type: Element.Type, _ convert: (Element) -> Double) -> [Double] {
        (0..<tensor.count).map {
            convert(tensor.address.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.size, as: type))
        }
    }
    switch tensor.dtype {
    case .float32: return load(Float.self) { Double($0) }
    case .float64: return load(Double.self) { $0 }
    case .bfloat16: return load(UInt16.self) { Double(BFloat16(bits: $0).float) }
    case .float16: return load(UInt16.self) { Double(Tensor.float(half: $0)) }
    case .int64: return load(Int64.self) { Double($0) }
    case .bool, .uint8: return load(UInt8.self) { Double($0) }
    default: return []
    }
}

extension [UInt8] {
    /// The little-endian bytes of a number.
    static func number(_ value: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }
}
