import AttuneCPU
import AttuneModels
import AttuneTensor
import AttuneTraining
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

    /// What training a model of a published shape takes here: rows of 512 tokens one at a time, blocks run again in the backward
    /// pass, AdamW with float32 moments.
    public struct Allowance: Sendable {
        /// The shape's name.
        public var model: String
        /// Parameters of the base.
        public var parameters: Int
        /// Bytes each method takes.
        public var bytes: [(method: String, bytes: Int)]
    }

    /// The operating system.
    public let system: String
    /// The processor's architecture.
    public let architecture: String
    /// Cores this process may use.
    public let coreCount: Int
    /// Host memory.
    public let memory: MachineMemory
    /// Bytes that can still be written in the folder the program runs in; `nil` where the system does not say.
    public let freeDiskBytes: Int?
    /// The GPU that would compute, by name; `nil` while no backend for one exists.
    public let accelerator: String?
    /// What the memory allows, by size of model.
    public let allowances: [Allowance]
    /// The CPU backend's name.
    public let backend: String
    /// The instruction sets this machine has, the fastest last.
    public let instructionSets: [String]
    /// What was tried.
    public let checks: [Check]

    /// Looks around and tries the kernels.
    /// - Throws: `TensorError` when not even the plain CPU backend starts.
    public init() throws {
        system = Self.systemName
        #if arch(x86_64)
        architecture = "x86_64"
        #elseif arch(arm64)
        architecture = "arm64"
        #else
        architecture = "other"
        #endif
        memory = MachineMemory()
        let disk = try? FileManager.default.attributesOfFileSystem(forPath: FileManager.default.currentDirectoryPath)
        freeDiskBytes = (disk?[.systemFreeSize] as? NSNumber)?.intValue
        accelerator = nil
        allowances = try Self.allowances()
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

    private static func allowances() throws -> [Allowance] {
        var adapter = LoRAOptions(targets: .allLinear)
        adapter.rank = 16
        let double = QuantizationChoice(isDouble: true)
        let methods: [(String, ModelFacts.Method)] = [
            ("full", .full), ("lora", .adapter(adapter, nil)), ("qlora", .adapter(adapter, double)),
        ]
        return try BenchShape.all.map { shape in
            let facts = ModelFacts(try DecoderConfiguration(config: shape.config))
            return Allowance(
                model: shape.name, parameters: facts.parameterCount,
                bytes: methods.map { name, method in
                    let plan = facts.memoryPlan(
                        method, computeType: .bfloat16, tokens: 512, tier: .recomputeBlocks,
                        momentBytes: { Optimizer.stateBytes(count: $0, isEmbedding: false, kind: .adamW) })
                    return (name, plan.total)
                })
        }
    }

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
