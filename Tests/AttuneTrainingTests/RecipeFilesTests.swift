import AttuneData
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

private let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

@Suite struct RecipeFilesTests {
    @Test(arguments: ["tutorial", "lora", "qlora", "full", "quickstart"])
    func shippedRecipeIsComplete(_ name: String) throws {
        let recipe = try Recipe(contentsOf: "\(root)/Recipes/\(name).yaml")
        #expect(recipe.missing([.model, .trainFile]).isEmpty)
        #expect(try Recipe(yaml: recipe.resolvedYAML) == recipe)
        if name != "tutorial" { #expect(recipe.method.rawValue == (name == "quickstart" ? "lora" : name)) }
    }

    @Test func tutorialRecipeIsTheTutorial() throws {
        let recipe = try Recipe(contentsOf: "\(root)/Recipes/tutorial.yaml")
        #expect(recipe.method == .qlora && recipe.computeType == .float16)
        #expect(recipe.quantization == QuantizationChoice(format: .nf4, isDouble: true))
        let lora = try #require(try recipe.loraOptions())
        #expect(lora.rank == 16 && lora.alpha == 32 && lora.dropout == 0.05 && lora.bias == .none)
        guard case .names(let names) = lora.targets else {
            Issue.record("the targets are no names")
            return
        }
        #expect(names == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
        let options = recipe.trainingOptions()
        #expect(options.epochs == 3 && options.accumulation == 4 && options.learningRate == 2e-4)
        #expect(options.weightDecay == 0.01 && options.warmupRatio == 0.03 && options.schedule == .cosine)
        #expect(options.loggingSteps == 10 && options.saving == .epoch && options.evaluation == .epoch)
        #expect(options.optimizer == .pagedAdamW8Bit && options.saveTotalLimit == 2 && options.scalesLoss)
        #expect(recipe.batchOptions.batchSize == 4 && recipe.maxLength == 512 && recipe.packing == .bestFit)
        #expect(recipe.testSize == .fraction(0.1) && recipe.seed == 42 && recipe.reporters.isEmpty)
        #expect(recipe.outputDirectory == "./results")
    }
}
