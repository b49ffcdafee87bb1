import AttuneData
import AttuneModels

extension RecipeResolution {
    /// Contradictions between keys, and values that only their reader can judge.
    mutating func check() {
        checkData()
        checkAdapter()
        checkSchedule()
        checkEvaluation()
        checkStopping()
        if case .text(let device) = self[.device], RecipeDevice(device) == nil {
            report(.device, "expected auto, cpu, cuda or cuda:N, got '\(device)'")
        }
        if case .list(let words) = self[.reportTo], words.count > 1, words.contains(.text("none")) {
            report(.reportTo, "says none beside another; keep one")
        }
    }

    private mutating func checkData() {
        if case .number(let size) = self[.testSize], size != 0, (try? TestSize(size)) == nil {
            report(.testSize, "expected a share below 1 or a whole number of rows, got \(self[.testSize].yaml)")
        }
        if case .table(let entries) = self[.columns] {
            do {
                _ = try ColumnMap(Recipe.dictionary(entries))
            } catch {
                report(.columns, error.message)
            }
        }
        if case .text(let template) = self[.promptTemplate], RecipeTemplate(rawValue: template) == nil,
            !template.contains("/"), !template.contains(".")
        {
            let names = RecipeTemplate.allCases.map(\.rawValue)
            let nearest = NearestName.of(template, among: names)
            let hint = nearest.isEmpty ? "" : "; did you mean \(nearest[0])?"
            report(
                .promptTemplate,
                "expected one of \(names.joined(separator: ", ")), or a file such as "
                    + "prompt.txt, got '\(template)'\(hint)")
        }
        if self[.packing] == .text("wrapped"), self[.overlength] == .text("drop") || self[.overlength] == .text("cut") {
            report(.overlength, "does nothing with packing: wrapped, which cuts the stream of all rows; remove it")
        }
    }

    private mutating func checkAdapter() {
        let trainsBase = self[.method] == .text("full") || self[.method] == .text("freeze")
        if trainsBase, self[.initAdapter] != .none {
            report(
                .initAdapter,
                "starts from an adapter, and method \(self[.method].yaml) trains none; merge it "
                    + "first, or write method: lora")
        }
        for name in [RecipeName.targetModules, .excludeModules] where self[name] != .none {
            do {
                _ = try TargetModules(self[name])
            } catch {
                report(name, error.description)
            }
        }
        for name in [RecipeName.rankPattern, .alphaPattern] {
            guard case .table(let entries) = self[name] else { continue }
            for entry in entries {
                do {
                    _ = try ModulePattern(entry.key)
                } catch {
                    report(name, error.description)
                }
            }
        }
    }

    private mutating func checkSchedule() {
        if case .number(let steps) = self[.warmupSteps], steps >= 1, Int(exactly: steps) == nil {
            report(.warmupSteps, "expected a whole number of steps or a share below 1, got \(self[.warmupSteps].yaml)")
        }
        guard case .text(let word) = self[.schedule], let kind = Schedule.Kind(rawValue: word),
            case .table(let entries) = self[.scheduleArguments]
        else { return }
        let known = Schedule.parameterNames(kind)
        for entry in entries {
            guard known.contains(entry.key) else {
                let list = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
                report(.scheduleArguments, "'\(entry.key)' is unknown to \(word), which takes \(list)")
                continue
            }
            let isWord = ["warmup_type", "decay_type"].contains(entry.key)
            switch entry.value {
            case .text(let shape) where isWord:
                if !["linear", "cosine", "1-sqrt"].contains(shape) {
                    report(.scheduleArguments, "\(entry.key): expected linear, cosine or 1-sqrt, got '\(shape)'")
                }
            case .number where !isWord: break
            default:
                report(
                    .scheduleArguments,
                    "\(entry.key): expected "
                        + "\(isWord ? "linear, cosine or 1-sqrt" : "a number"), got \(entry.value.yaml)")
            }
        }
        let given = Set(entries.map(\.key))
        switch kind {
        case .cosineWithMinimum, .cosineWarmupWithMinimum:
            if given.isDisjoint(with: ["min_lr", "min_lr_rate"]) {
                report(.scheduleArguments, "\(word) needs min_lr or min_lr_rate, for example {min_lr_rate: 0.1}")
            }
        case .warmupStableDecay:
            if !given.contains("num_decay_steps") {
                report(.scheduleArguments, "\(word) needs num_decay_steps, for example {num_decay_steps: 100}")
            }
        default: break
        }
    }

    private mutating func checkEvaluation() {
        let strategy = self[.evalStrategy]
        if strategy != .text("no"), self[.evalFile] == .none, self[.testSize] == .number(0) {
            report(
                .evalStrategy,
                "\(strategy.yaml) has nothing to evaluate; write eval_file, or test_size: 0.1 to "
                    + "hold rows out")
        }
        guard self[.loadBest] == .flag(true) else { return }
        guard strategy != .text("no") else {
            report(.loadBest, "needs evaluations; write eval_strategy: \(self[.saveStrategy].yaml)")
            return
        }
        guard self[.saveStrategy] == strategy else {
            report(
                .loadBest,
                "needs a checkpoint for every evaluation: eval_strategy is \(strategy.yaml), save_strategy \(self[.saveStrategy].yaml); "
                    + "make them the same")
            return
        }
        if strategy == .text("steps"), case .integer(let save) = self[.saveSteps],
            case .integer(let evaluate) = self[.evalSteps],
            save % evaluate != 0
        {
            report(
                .loadBest,
                "needs an evaluation for every checkpoint: save_steps (\(save)) must be a multiple of "
                    + "eval_steps (\(evaluate))")
        }
    }

    private mutating func checkStopping() {
        if self[.earlyStoppingPatience] == .none {
            if self[.earlyStoppingThreshold] != .number(0) {
                report(
                    .earlyStoppingThreshold,
                    "does nothing without early_stopping_patience; write it, or remove "
                        + "this")
            }
        } else if self[.loadBest] != .flag(true) {
            report(
                .earlyStoppingPatience,
                "needs load_best_model_at_end: true, so that the result is the best and "
                    + "not the last")
        }
    }
}
