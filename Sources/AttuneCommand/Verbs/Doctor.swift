import ArgumentParser
import Attune
import AttuneFiles
import AttuneJSON

/// `attune doctor`: what the machine offers and whether the program computes correctly on it.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what this machine offers and check that the kernels compute correctly on it.")

    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Failure.guarding {
            try machine.check()
            let report = try MachineReport()
            if json { print(Self.object(report).text()) } else { Self.show(report) }
            guard report.checks.allSatisfy(\.isGood) else {
                throw CommandError(code: Failure.Code.failed, description: "a check failed; see the lines marked BAD")
            }
        }
    }

    private static func object(_ report: MachineReport) -> JSON {
        let checks = report.checks.map { check -> JSON in
            ["name": .string(check.name), "ok": JSON(check.isGood), "detail": .string(check.detail)]
        }
        let allows = report.allowances.map { allowance -> JSON in
            var object = JSONObject([("model", JSON(allowance.model)), ("parameters", JSON(allowance.parameters))])
            for (method, bytes) in allowance.bytes {
                object[method] = ["bytes": JSON(bytes), "fits": JSON(bytes <= report.memory.total)]
            }
            return .object(object)
        }
        return [
            "system": .string(report.system), "architecture": .string(report.architecture),
            "accelerator": report.accelerator.map { JSON($0) } ?? .null, "cores": JSON(report.coreCount),
            "memory_bytes": JSON(report.memory.total),
            "available_bytes": report.memory.available.map { JSON($0) } ?? .null,
            "disk_free_bytes": report.freeDiskBytes.map { JSON($0) } ?? .null, "backend": .string(report.backend),
            "instruction_sets": .array(report.instructionSets.map { JSON($0) }), "allows": .array(allows),
            "checks": .array(checks),
        ]
    }

    private static func show(_ report: MachineReport) {
        let words = { (bytes: Int?) in bytes.map(MemoryText.words) ?? "unknown" }
        print("System: \(report.system), \(report.architecture)")
        print("Accelerator: \(report.accelerator ?? "none that this build can use; everything runs on the processor")")
        print("Cores: \(report.coreCount)")
        print("Memory: \(words(report.memory.total)), \(words(report.memory.available)) free")
        print("Disk: \(words(report.freeDiskBytes)) free here")
        print("Backend: \(report.backend); it could use \(report.instructionSets.joined(separator: ", "))")
        print("Training with rows of 512 tokens takes")
        for allowance in report.allowances {
            let parts = allowance.bytes.map { method, bytes in
                "\(method) \(MemoryText.words(bytes))\(bytes <= report.memory.total ? "" : " (does not fit)")"
            }
            print("  \(allowance.model): \(parts.joined(separator: ", "))")
        }
        for check in report.checks { print("\(check.isGood ? "ok" : "BAD")  \(check.name): \(check.detail)") }
    }
}
