import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneTensor

/// What a run does, written into its checkpoints: the recipe, the rows in their sequences, the base. Going on from a checkpoint
/// compares it with what is asked for now.
public struct RunIdentity: Sendable {
    /// Every key of the recipe with its value.
    private let settings: JSONObject
    private let trainRows: JSON
    private let evaluationRows: JSON
    private let base: JSON

    /// Keys that decide what parameters, moments and the place in the data mean: with another value a checkpoint is of no use.
    private static let fixed: Set<RecipeName> = [
        .method, .freezeTrainableLayers, .seed, .loadIn4Bit, .loadIn8Bit, .quantType, .doubleQuant, .rank, .alpha,
        .targetModules, .excludeModules, .bias, .modulesToSave, .useRSLoRA, .useDoRA, .rankPattern, .alphaPattern,
        .layersToTransform, .trainBatchSize, .packing, .shuffle, .groupByLength, .optimizer, .bestMetric,
        .greaterIsBetter,
    ]
    /// Keys that decide which rows there are; the rows themselves are compared, these explain a difference.
    private static let aboutRows: Set<RecipeName> = [
        .trainFile, .evalFile, .testSize, .promptTemplate, .columns, .trainOn, .maxLength, .overlength,
        .dropDuplicates,
    ]
    /// Keys that change no number of the run.
    private static let silent: Set<RecipeName> = [
        .model, .outputDirectory, .threads, .device, .initAdapter, .initLoRAWeights, .quantComputeDType,
        .gradientCheckpointing, .evalBatchSize, .loggingSteps, .saveStrategy, .saveSteps, .saveTotalLimit, .reportTo,
    ]

    /// - Parameter baseFiles: the weight files of the base; none for random weights.
    /// - Throws: `FilesError` when one cannot be read.
    public init(
        recipe: Recipe, baseFiles: [String], train: BatchPlan, evaluation: BatchPlan?
    ) throws(FilesError) {
        settings = JSONObject(recipe.settings.map { (key: $0.key.name.rawValue, value: $0.value.json) })
        trainRows = Self.describe(train)
        evaluationRows = evaluation.map(Self.describe) ?? .null
        base = .string(Self.hexadecimal(try Self.sample(of: baseFiles)))
    }

    /// As JSON, for a checkpoint.
    var json: JSON {
        ["recipe": .object(settings), "train_rows": trainRows, "evaluation_rows": evaluationRows, "base": base]
    }

    /// What stands against going on from a checkpoint, and what merely differs.
    struct Comparison {
        var obstacles: [String] = []
        var changes: [String] = []
    }

    /// Compares with what a checkpoint says.
    func comparison(with saved: JSON) -> Comparison {
        var result = Comparison()
        let theirs = saved["recipe"]?.objectValue ?? JSONObject()
        var aboutRows: [String] = []
        var changed: [String] = []
        for (key, mine) in settings.members {
            guard let name = RecipeName(rawValue: key), let other = theirs[key], other != mine else { continue }
            if Self.silent.contains(name) { continue }
            let text = "\(key) is \(other.text()) there and \(mine.text()) here"
            if Self.fixed.contains(name) {
                result.obstacles.append(text)
            } else if Self.aboutRows.contains(name) {
                aboutRows.append(text)
            } else {
                changed.append("\(key) from \(other.text()) to \(mine.text())")
            }
        }
        let reasons = aboutRows.isEmpty ? "" : " (\(aboutRows.joined(separator: ", ")))"
        if saved["train_rows"] != trainRows {
            let (there, here) = (
                saved["train_rows"]?["sequences"]?.intValue ?? 0, trainRows["sequences"]?.intValue ?? 0
            )
            result.obstacles.append("the training rows differ, \(there) sequences there and \(here) here\(reasons)")
        }
        if saved["base"] != base { result.obstacles.append("the base model has other weights") }
        if !changed.isEmpty {
            result.changes.append("going on with a changed recipe: \(changed.joined(separator: ", "))")
        }
        if saved["evaluation_rows"] != evaluationRows {
            result.changes.append("the evaluation rows differ\(reasons): losses before and after do not compare")
        }
        return result
    }

    private static func describe(_ plan: BatchPlan) -> JSON {
        ["sequences": JSON(plan.sequenceCount), "fingerprint": .string(hexadecimal(plan.fingerprint))]
    }

    /// Sizes and some pages of every file: enough to tell bases apart, and quick for files of many gigabytes.
    private static func sample(of files: [String]) throws(FilesError) -> UInt64 {
        let (pages, pageSize) = (64, 4096)
        var hash = StableHash()
        for path in files {
            let storage = try MappedFile(path).storage
            hash.combine(UInt64(storage.byteCount))
            let last = max(0, storage.byteCount - pageSize)
            for page in 0..<pages {
                let start = last / (pages - 1) * page
                let count = min(pageSize, storage.byteCount - start)
                hash.combine(UnsafeRawBufferPointer(start: storage.address + start, count: count))
            }
        }
        return hash.value
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
