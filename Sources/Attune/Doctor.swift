import AttuneCPU
import AttuneTensor
import Foundation

/// What this machine offers, and whether the kernels compute on it as they should.
public struct MachineReport: Sendable {
    /// One thing looked at.
    public struct Check: Sendable {
        /// What.
        public var name: String
        /// Whether it is as it should be.
        public var isGood: Bool
        /// What was found.
        public var detail: String
    }

    /// The operating system.
    public let system: String
    /// The processor's architecture.
    public let architecture: String
    /// Cores this process may use.
    public let coreCount: Int
    /// Host memory.
    public let memoryBytes: UInt64
    /// The CPU backend's name.
    public let backend: String
    /// The instruction sets this machine has, the fastest last.
    public let instructionSets: [String]
    /// What was tried.
    public let checks: [Check]

    /// Looks around and tries the kernels.
    /// - Throws: `TensorError` when not even the plain CPU backend starts.
    public init() throws {
        let process = ProcessInfo.processInfo
        system = Self.systemName
        #if arch(x86_64)
        architecture = "x86_64"
        #elseif arch(arm64)
        architecture = "arm64"
        #else
        architecture = "other"
        #endif
        memoryBytes = process.physicalMemory
        let backend = try CPUBackend()
        coreCount = backend.threads
        self.backend = backend.name
        let sets = InstructionSet.allCases.filter(\.isAvailable)
        instructionSets = sets.map { "\($0)" }
        var checks: [Check] = []
        let expected = try Self.product(isa: .scalar)
        for set in sets where set != .scalar {
            let found = try Self.product(isa: set)
            let error = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            checks.append(
                Check(
                    name: "kernels_\(set)", isGood: error < 1e-4,
                    detail: "a 64 × 96 product differs from the scalar one by \(error)"))
        }
        let folder = FileManager.default.temporaryDirectory.path
        checks.append(
            Check(
                name: "temporary_folder", isGood: FileManager.default.isWritableFile(atPath: folder), detail: folder))
        self.checks = checks
    }

    /// The operating system's name and version.
    public static var systemName: String { ProcessInfo.processInfo.operatingSystemVersionString }

    /// x·Wᵀ of fixed numbers, with one instruction set.
    private static func product(isa: InstructionSet) throws -> [Float] {
        let backend = try CPUBackend(threads: 1, isa: isa)
        let input = try Tensor((0..<8 * 96).map { Float($0 % 13 - 6) / 13 }, shape: [8, 96])
        let matrix = try Tensor((0..<64 * 96).map { Float($0 % 17 - 8) / 17 }, shape: [64, 96])
        let out = try backend.makeTensor([8, 64], .float32)
        backend.linear(
            out, input, try backend.pack(.dense(matrix), computeType: .float32), bias: nil, extra: nil, scale: 1,
            residual: nil)
        return out.floats()
    }
}
