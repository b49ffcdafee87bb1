import Attune
import AttuneFiles
import Foundation

/// Where the model, the tickets and the recipe of the quickstart lie: in a clone, found from the folder the program was started
/// in, or from where the program itself lies.
struct QuickstartFiles {
    let model: String
    let data: String
    let recipe: String

    private static let model = "Models/pocket"
    private static let data = "Examples/support-tickets.jsonl"
    private static let recipe = "Recipes/quickstart.yaml"

    /// Looks for what is not named.
    /// - Throws: `CommandError` that says what to do where something is missing.
    init(model: String?, data: String?, recipe: String?) throws {
        if let model, let data, let recipe {
            (self.model, self.data, self.recipe) = (model, data, recipe)
        } else {
            let root = try Self.root()
            // Names without a needless "./" are what the model card and the adapter say of their base.
            let path = { (name: String) in root == "." ? name : Folder.path(root, name) }
            self.model = model ?? path(Self.model)
            self.data = data ?? path(Self.data)
            self.recipe = recipe ?? path(Self.recipe)
        }
        guard try ModelDirectory(self.model, requiresWeights: false).weightFiles.isEmpty else { return }
        throw CommandError(
            code: Failure.Code.missingInput,
            description:
                "\(self.model): has no weights (model.safetensors); its README.md says how they are made, or give "
                + "--model FOLDER")
    }

    /// The top of the clone, written as short as it can be.
    private static func root() throws -> String {
        var candidates = ["."]
        var folder = URL(filePath: CommandLine.arguments.first ?? "").resolvingSymlinksInPath()
            .deletingLastPathComponent()
        if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            folder = URL(filePath: own).deletingLastPathComponent()
        }
        // …/.build/TRIPLE/release/attune
        for _ in 0..<5 {
            candidates.append(folder.path)
            folder.deleteLastPathComponent()
        }
        let wanted = [model + "/config.json", data, recipe]
        for candidate in candidates where wanted.allSatisfy({ Folder.hasFile(Folder.path(candidate, $0)) }) {
            return candidate
        }
        throw CommandError(
            code: Failure.Code.missingInput,
            description:
                "\(model), \(data) and \(recipe) are neither here nor beside the program; run it in the folder of "
                + "Attune's Package.swift, or give --model, --data and --recipe")
    }
}
