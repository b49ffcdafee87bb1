import AttuneJSON
import AttuneTensor
import Synchronization

/// A PyTorch checkpoint (`.bin`, `.pt`, `.pth`) of the zip form, read without running any of it.
///
/// The file's pickle is read by `PickleMachine`, which knows only tensors. Accepted are a dictionary of tensors, alone or
/// under the key `state_dict`; other values in it are passed over. Convert to safetensors where you can.
public final class TorchCheckpoint: TensorSource {
    /// The names in the order of the dictionary.
    public let tensorNames: [String]
    private let archive: ZipArchive
    private let root: String
    private let tensors: [ByteString: PickleTensor]
    /// Entries whose check sum has been compared; large, so each is read for it only when first used.
    private let verified = Mutex<Set<Int>>([])

    /// Opens a checkpoint: reads the directory and the pickle, and checks every tensor against its storage.
    /// - Throws: `FilesError`; `unsupported` names what a hostile or unusual pickle asked for.
    public init(_ path: String) throws(FilesError) {
        let file = try MappedFile(path)
        guard ZipArchive.isZip(file) else {
            guard file.integer(at: 0, width: 1) == 0x80 else {
                throw .invalid(path: path, problem: "no PyTorch checkpoint (neither zip nor pickle)")
            }
            throw .unsupported(
                path: path,
                problem: "in PyTorch's format from before 1.6; load it with torch.load and save it again as safetensors"
            )
        }
        archive = try ZipArchive(file)
        let pickles = archive.entries.filter { $0.name.hasSuffix("/data.pkl") && $0.name.utf8.count(of: "/") == 1 }
        guard let pickle = pickles.first, pickles.count == 1 else { throw archive.invalid("no single data.pkl in it") }
        root = String(pickle.name.dropLast(8))
        try archive.verify(pickle)
        if let order = archive.entry(named: root + "byteorder") {
            try archive.verify(order)
            guard archive.bytes(of: order).elementsEqual("little".utf8) else {
                throw .unsupported(path: path, problem: "was saved on a big-endian machine; save it again")
            }
        }
        var machine = PickleMachine(archive.bytes(of: pickle))
        let named: [(String, PickleTensor)]
        do throws(PickleError) {
            named = try Self.tensors(in: try machine.run(), machine)
        } catch {
            guard error.isForeign else { throw archive.invalid(error.problem) }
            throw .unsupported(
                path: path,
                problem: "refused: \(error.problem), and pickles are not run; save the tensors as safetensors")
        }
        var tensors: [ByteString: PickleTensor] = [:]
        for (name, tensor) in named {
            try Self.check(tensor, name: name, archive, root)
            tensors[ByteString(name)] = tensor
        }
        self.tensors = tensors
        var seen: Set<ByteString> = []
        tensorNames = named.map(\.0).filter { seen.insert(ByteString($0)).inserted }
    }

    /// Where the file is.
    public var path: String { archive.file.path }

    /// Type and shape of a tensor.
    public func description(of name: String) -> TensorDescription? {
        tensors[ByteString(name)].map { TensorDescription(name: name, dtype: $0.dtype, shape: $0.shape) }
    }

    /// A tensor: a view of the file, or a dense copy where its elements do not stand in order.
    /// - Throws: `FilesError`; `invalid` when the check sum of its bytes is wrong.
    public func tensor(named name: String) throws(FilesError) -> Tensor {
        guard let tensor = tensors[ByteString(name)] else { throw noTensor(name) }
        guard let entry = archive.entry(named: root + "data/" + tensor.storage.key) else {
            throw archive.invalid("no data of tensor '\(name)'")
        }
        if !verified.withLock({ $0.contains(entry.dataOffset) }) {
            try archive.verify(entry)
            verified.withLock { _ = $0.insert(entry.dataOffset) }
        }
        let start = entry.dataOffset + tensor.offset * tensor.dtype.byteWidth
        if tensor.isDense { return try archive.file.tensor(at: start, shape: tensor.shape, dtype: tensor.dtype) }
        return try gather(tensor, from: start)
    }

    // MARK: Checks

    /// The dictionary of tensors in the value of a pickle.
    private static func tensors(
        in value: PickleValue, _ machine: PickleMachine
    ) throws(PickleError) -> [(String, PickleTensor)] {
        guard case .dictionary(var place) = value else {
            throw PickleError(problem: "it holds no dictionary of tensors")
        }
        for (key, value) in machine.dictionaries[place] {
            if case .text("state_dict") = key, case .dictionary(let inner) = value {
                place = inner
                break
            }
        }
        return machine.dictionaries[place].compactMap { key, value in
            guard case .text(let name) = key, case .tensor(let tensor) = value else { return nil }
            return (name, machine.tensors[tensor])
        }
    }

    /// Compares a tensor with its storage and the storage with its entry, all products checked.
    private static func check(
        _ tensor: PickleTensor, name: String, _ archive: ZipArchive, _ root: String
    ) throws(FilesError) {
        let storage = tensor.storage
        guard let entry = archive.entry(named: root + "data/" + storage.key) else {
            throw archive.invalid("no data of tensor '\(name)'")
        }
        let width = storage.dtype?.byteWidth ?? 1
        let (storageBytes, overflow) = storage.count.multipliedReportingOverflow(by: width)
        guard !overflow, storageBytes == entry.byteCount else {
            throw archive.invalid(
                "the data of tensor '\(name)' has \(entry.byteCount) bytes, not \(storage.count) elements")
        }
        guard tensor.dtype.bitWidth >= 8 else {
            throw .unsupported(
                path: archive.file.path, problem: "tensor '\(name)' has four-bit elements; use safetensors")
        }
        let capacity = entry.byteCount / tensor.dtype.byteWidth
        guard tensor.shape.count == tensor.strides.count, let last = tensor.lastElement,
            let count = tensor.checkedCount,
            count == 0 ? tensor.offset <= capacity : last < capacity
        else { throw archive.invalid("tensor '\(name)' reaches outside its data") }
        guard count <= capacity else {
            throw .unsupported(
                path: archive.file.path, problem: "tensor '\(name)' repeats its elements; save a contiguous copy")
        }
    }

    // MARK: Strided tensors

    private func gather(_ tensor: PickleTensor, from start: Int) throws(FilesError) -> Tensor {
        let result: Tensor
        do throws(TensorError) {
            result = try Tensor(zeros: tensor.shape, tensor.dtype)
        } catch { throw FilesError(error, path: path) }
        let source = UnsafeRawPointer(archive.file.storage.address + start)
        let width = tensor.dtype.byteWidth
        let columns = tensor.shape.last ?? 1
        // The stride of a dimension of one element is never walked and may be any number; `check` bounds the others.
        let steps = zip(tensor.shape, tensor.strides).map { $0 > 1 ? $1 * width : 0 }
        let columnStep = steps.last ?? 0
        var place = [Int](repeating: 0, count: max(0, tensor.shape.count - 1))
        var target = result.address
        for _ in 0..<result.rows {
            let row = source + zip(place, steps).reduce(0) { $0 + $1.0 * $1.1 }
            for column in 0..<columns {
                target.copyMemory(from: row + column * columnStep, byteCount: width)
                target += width
            }
            for axis in place.indices.reversed() {
                place[axis] += 1
                if place[axis] < tensor.shape[axis] { break }
                place[axis] = 0
            }
        }
        return result
    }
}

extension PickleTensor {
    /// Number of elements, or `nil` where it does not fit (a zero size counts as one in the test).
    var checkedCount: Int? {
        var product = 1
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
            guard !overflow else { return nil }
            product = next
        }
        return shape.contains(0) ? 0 : product
    }

    /// The place in the storage of the last element: offset + Σ (size − 1) · stride; `nil` on overflow.
    var lastElement: Int? {
        var sum = offset
        guard offset >= 0 else { return nil }
        for (size, stride) in zip(shape, strides) where size > 0 {
            let (step, tooFar) = (size - 1).multipliedReportingOverflow(by: stride)
            let (next, overflow) = sum.addingReportingOverflow(step)
            guard !tooFar, !overflow else { return nil }
            sum = next
        }
        return sum
    }

    /// Whether the elements stand in order without gaps.
    var isDense: Bool {
        if shape.contains(0) { return true }
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() where size != 1 {
            if stride != expected { return false }
            expected *= size
        }
        return true
    }
}

extension String.UTF8View {
    /// How often a character of one byte occurs.
    fileprivate func count(of character: Unicode.Scalar) -> Int {
        reduce(0) { $0 + ($1 == UInt8(ascii: character) ? 1 : 0) }
    }
}
