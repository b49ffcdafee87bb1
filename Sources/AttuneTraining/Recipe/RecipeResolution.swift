/// Turns what was said into a value for every key, and finds contradictions.
///
/// Where two keys exclude each other, the one said at the higher place counts and the other is turned off, so that a flag can
/// overrule a recipe; said at the same place they are a contradiction.
struct RecipeResolution {
    let said: [RecipeName: Recipe.Said]
    private(set) var values: [RecipeName: RecipeValue] = [:]
    private(set) var origins: [RecipeName: RecipeOrigin] = [:]
    var problems: [RecipeProblem] = []

    init(said: [RecipeName: Recipe.Said]) {
        self.said = said
        for key in RecipeKey.all {
            values[key.name] = said[key.name]?.value ?? key.defaultValue
            origins[key.name] = said[key.name]?.origin ?? .standard
        }
    }

    mutating func resolve() {
        settleBits()
        settleMethod()
        settleComputeType()
        settleHeldOut()
        settleWarmup()
        if self[.learningRate] == .none {
            let isWhole = self[.method] == .text("full") || self[.method] == .text("freeze")
            derive(.learningRate, .number(isWhole ? 2e-5 : 2e-4), from: .method)
        }
        if self[.evalSteps] == .none, self[.evalStrategy] == .text("steps") {
            derive(.evalSteps, self[.loggingSteps], from: .loggingSteps)
        }
        if self[.greaterIsBetter] == .none {
            derive(.greaterIsBetter, .flag(self[.bestMetric] != .text("loss")), from: .bestMetric)
        }
        check()
    }

    subscript(name: RecipeName) -> RecipeValue { values[name] ?? .none }

    func rank(_ name: RecipeName) -> Int { said[name]?.origin.rank ?? 0 }

    /// How the user spelled a key, for errors.
    func spelling(_ name: RecipeName) -> String { said[name]?.spelling ?? name.rawValue }

    mutating func report(_ name: RecipeName, _ message: String) {
        var place: String?
        if case .recipe? = said[name]?.origin { place = said[name]?.origin.description }
        problems.append(RecipeProblem(key: spelling(name), place: place, message: message))
    }

    private mutating func derive(_ name: RecipeName, _ value: RecipeValue, from sources: RecipeName...) {
        guard self[name] != value else { return }
        values[name] = value
        origins[name] = .derived(from: sources)
    }

    private mutating func settleBits() {
        guard self[.loadIn4Bit] == .flag(true), self[.loadIn8Bit] == .flag(true) else { return }
        if rank(.loadIn4Bit) > rank(.loadIn8Bit) {
            derive(.loadIn8Bit, .flag(false), from: .loadIn4Bit)
        } else if rank(.loadIn8Bit) > rank(.loadIn4Bit) {
            derive(.loadIn4Bit, .flag(false), from: .loadIn8Bit)
        } else {
            report(.loadIn8Bit, "and load_in_4bit exclude each other; keep one")
        }
    }

    private mutating func settleMethod() {
        let bits = [RecipeName.loadIn4Bit, .loadIn8Bit].filter { self[$0] == .flag(true) }
        guard let method = said[.method], case .text(let word) = method.value else {
            guard let source = bits.first else {
                values[.method] = .text("lora")
                return
            }
            derive(.method, .text("qlora"), from: source)
            return
        }
        switch (bits.first, word) {
        case (.some, "qlora"), (nil, "lora"), (nil, "full"), (nil, "freeze"):
            break
        case (let source?, _):
            let bitsRank = bits.map(rank).max() ?? 0
            if method.origin.rank > bitsRank {
                for name in bits { derive(name, .flag(false), from: .method) }
            } else if method.origin.rank < bitsRank || word == "lora" {
                derive(.method, .text("qlora"), from: source)
            } else {
                report(
                    .method,
                    "\(word) trains the base itself, which \(source.rawValue) freezes in few bits; "
                        + "write method: qlora, "
                        + "or remove \(source.rawValue)")
            }
        case (nil, _):
            let refusal = said[.loadIn4Bit]
            if refusal == nil || method.origin.rank > rank(.loadIn4Bit) {
                derive(.loadIn4Bit, .flag(true), from: .method)
            } else if method.origin.rank < rank(.loadIn4Bit) {
                derive(.method, .text("lora"), from: .loadIn4Bit)
            } else {
                report(
                    .method,
                    "qlora needs a base in few bits, and load_in_4bit is false; write load_in_4bit: "
                        + "true or load_in_8bit: true")
            }
        }
    }

    private mutating func settleComputeType() {
        guard self[.loadIn4Bit] == .flag(true), case .text(let inner) = self[.quantComputeDType] else { return }
        guard self[.dtype] != .text(inner) else { return }
        if self[.dtype] == .text("auto") || rank(.quantComputeDType) > rank(.dtype) {
            derive(.dtype, .text(inner), from: .quantComputeDType)
        } else if rank(.dtype) > rank(.quantComputeDType) {
            derive(.quantComputeDType, self[.dtype], from: .dtype)
        } else {
            report(
                .quantComputeDType,
                "is \(inner), and \(spelling(.dtype)) says \(self[.dtype].yaml); Attune computes in one type, give both the same"
            )
        }
    }

    private mutating func settleHeldOut() {
        guard self[.evalFile] != .none, self[.testSize] != .number(0) else { return }
        if rank(.evalFile) > rank(.testSize) {
            derive(.testSize, .number(0), from: .evalFile)
        } else if rank(.testSize) > rank(.evalFile) {
            derive(.evalFile, .none, from: .testSize)
        } else {
            report(.testSize, "and eval_file both say what to evaluate on; keep one")
        }
    }

    private mutating func settleWarmup() {
        guard self[.warmupRatio] != .number(0), self[.warmupSteps] != .number(0) else { return }
        if rank(.warmupRatio) > rank(.warmupSteps) {
            derive(.warmupSteps, .number(0), from: .warmupRatio)
        } else {
            derive(.warmupRatio, .number(0), from: .warmupSteps)
        }
    }
}
