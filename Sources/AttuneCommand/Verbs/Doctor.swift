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
            if json {
                let checks = report.checks.map { check -> JSON in
                    ["name": .string(check.name), "ok": JSON(check.isGood), "detail": .string(check.detail)]
                }
                let object: JSON = [
                    "system": .string(report.system), "architecture": .string(report.architecture),
                    "cores": JSON(report.coreCount), "memory_bytes": JSON(Int(clamping: report.memoryBytes)),
                    "backend": .string(report.backend),
                    "instruction_sets": .array(report.instructionSets.map { JSON($0) }), "checks": .array(checks),
                ]
                print(object.text())
            } else {
                print("System: \(report.system), \(report.architecture)")
                print("Cores: \(report.coreCount), memory: \(report.memoryBytes >> 20) MiB")
                print("Backend: \(report.backend); it could use \(report.instructionSets.joined(separator: ", "))")
                for check in report.checks { print("\(check.isGood ? "ok" : "BAD")  \(check.name): \(check.detail)") }
            }
            guard report.checks.allSatisfy(\.isGood) else {
                throw CommandError(code: Failure.Code.failed, description: "a check failed; see the lines marked BAD")
            }
        }
    }
}
