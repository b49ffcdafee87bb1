import AttuneModels
import AttuneTensor
import AttuneTraining
import Foundation

/// What a run will hold in memory, by what it is for, beside what the machine has.
public struct MemoryForecast: Sendable, Equatable {
    /// The base, packed for the kernels.
    public var weights = 0
    /// float32 values of what is trained.
    public var masters = 0
    /// float32 gradients.
    public var gradients = 0
    /// Moments of the optimizer.
    public var moments = 0
    /// Activations, their gradients and scratch of the longest batch.
    public var activations = 0
    /// What the machine has.
    public var machine = MachineMemory()

    /// The sum of the parts.
    public var total: Int { weights + masters + gradients + moments + activations }

    /// Adds up a prepared model and what the trainer will take.
    ///
    /// - Parameters:
    ///   - decoder: after `prepareTraining`.
    ///   - size: of the run's batches.
    init(_ decoder: Decoder, options: TrainingOptions, size: PassSize) {
        let trained = decoder.trainableParameters
        masters = trained.reduce(0) { $0 + $1.value.byteCount }
        gradients = trained.reduce(0) { $0 + ($1.gradient?.byteCount ?? 0) }
        moments = trained.reduce(0) {
            $0
                + Optimizer.stateBytes(
                    count: $1.value.count, isEmbedding: $1.isEmbedding, kind: options.optimizer)
        }
        // A trained embedding is looked up in its master, which is among the masters already.
        let embedding = trained.first { $0.name == "model.embed_tokens.weight" }?.value.byteCount ?? 0
        weights = decoder.weightByteCount - embedding
        let tier: RecomputeTier = options.gradientCheckpointing ? .recomputeBlocks : .keepAll
        activations = TrainingPass.byteCount(
            decoder, capacity: size.capacity, trunk: size.trunk.count, tier: tier)
    }

    /// The sentence for a plan beyond what is free; `nil` when it fits.
    public var warning: String? {
        guard let available = machine.available, total > available else { return nil }
        return "the run plans \(MemoryText.words(total)) and \(MemoryText.words(available)) are free; lower "
            + "per_device_train_batch_size or max_length, or set gradient_checkpointing: true or load_in_4bit: true"
    }
}

/// The memory of the machine.
public struct MachineMemory: Sendable, Equatable {
    /// What the system can use, or the limit of this process's control group where that is lower.
    public var total: Int
    /// What can be taken now without swapping; `nil` where the system does not say.
    public var available: Int?

    /// Asks the system.
    public init() {
        total = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        let lines = Self.text("/proc/meminfo").split(separator: "\n")
        for line in lines where line.hasPrefix("MemAvailable:") {
            available = line.split(separator: " ").compactMap { Int($0) }.first.map { $0 << 10 }
        }
        let group = "/sys/fs/cgroup/memory."
        guard let limit = Self.number(group + "max"), limit < total else { return }
        total = limit
        if let used = Self.number(group + "current") {
            available = min(available ?? .max, max(0, limit - used))
        }
    }

    /// With the figures given.
    public init(total: Int, available: Int?) {
        self.total = total
        self.available = available
    }

    private static func text(_ path: String) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        defer { try? file.close() }
        return ((try? file.readToEnd()) ?? nil).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func number(_ path: String) -> Int? {
        Int(text(path).trimmingCharacters(in: .whitespacesAndNewlines))
    }
}

/// Bytes in words.
public enum MemoryText {
    /// `812 kB`, `371 MB`, `4.2 GB`, in powers of ten.
    public static func words(_ count: Int) -> String {
        if count < 1_000_000 { return "\(count / 1000) kB" }
        if count < 1_000_000_000 { return "\(count / 1_000_000) MB" }
        let tenths = count / 100_000_000
        return "\(tenths / 10).\(tenths % 10) GB"
    }
}
