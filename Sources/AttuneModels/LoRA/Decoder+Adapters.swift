import AttuneTensor

extension Decoder {
    /// Adds fresh adapter matrices to every module the options reach.
    ///
    /// - Parameters:
    ///   - name: how passes refer to it.
    ///   - seed: of the random start.
    /// - Returns: the modules reached.
    /// - Throws: `ModelError.mismatch` when nothing is reached or a name is taken; `TensorError` for memory.
    @discardableResult
    public func attach(_ name: String, _ options: LoRAOptions, seed: UInt64) throws -> [String] {
        guard adapters[name] == nil else { throw ModelError.mismatch("an adapter named '\(name)' is attached already") }
        guard options.rank > 0 else { throw ModelError.mismatch("r is \(options.rank); it must be at least 1") }
        // What the new adapter starts from, and returns to, is the base's own.
        activate(nil)
        var reached: [String] = []
        var isWhole = false
        defer { if !isWhole { detach(name) } }
        for block in blocks {
            for group in block.groups {
                let names = group.projections.map(\.name)
                let targeted = names.map { options.reaches($0, block: block.index) }
                guard targeted.contains(true) else { continue }
                group.adapters[name] = try makeAdapter(group, targeted, options, seed: seed, place: reached.count)
                reached += zip(names, targeted).filter(\.1).map(\.0)
            }
        }
        guard !reached.isEmpty || !options.modulesToSave.isEmpty else {
            let short = Set(projections.map(\.shortName)).sorted().joined(separator: ", ")
            throw ModelError.mismatch("target_modules reach no module of this model; it has \(short)")
        }
        replacements[name] = try makeReplacements(options, reached: reached)
        adapters[name] = options
        try refreshAdapter(name)
        isWhole = true
        return reached
    }

    /// Removes an adapter.
    public func detach(_ name: String) {
        if active == name { activate(nil) }
        for group in blocks.flatMap(\.groups) { group.adapters[name] = nil }
        adapters[name] = nil
        replacements[name] = nil
    }

    /// Brings packed copies up to date after the masters of an adapter changed.
    func refreshAdapter(_ name: String) throws(TensorError) {
        for group in blocks.flatMap(\.groups) {
            try group.adapters[name]?.refresh(group.projections, on: backend)
        }
    }

    private func makeAdapter(
        _ group: ProjectionGroup, _ targeted: [Bool], _ options: LoRAOptions, seed: UInt64, place: Int
    ) throws -> GroupAdapter {
        let input = group.inFeatures
        let ranks = zip(group.projections, targeted).map { $1 ? options.rank(of: $0.name) : 0 }
        let panel = try backend.makeTensor([ranks.reduce(0, +), input], .float32)
        var pairs: [LowRankPair?] = []
        var start = 0
        for (index, projection) in group.projections.enumerated() {
            guard ranks[index] > 0 else {
                pairs.append(nil)
                continue
            }
            let columns = start..<start + ranks[index]
            start = columns.upperBound
            let rows = panel.rows(columns)
            let key = RandomKey(seed: seed, step: 0, stream: Pass.initializationStream + UInt32(place + index))
            backend.copy(rows, try initialA(options, rank: ranks[index], input: input, key: key))
            let out = projection.outFeatures
            let b = try backend.makeTensor([out, ranks[index]], .float32)
            var magnitude: Parameter?
            var squared: [Float] = []
            var gain: Tensor?
            var inverseNorm: Tensor?
            if options.usesDoRA {
                squared = try squaredRowNorms(projection)
                magnitude = Parameter(
                    name: projection.name + ".lora_magnitude_vector",
                    value: try backend.makeTensor(squared.map { $0.squareRoot() }, shape: [out]))
                gain = try backend.makeTensor([out], .float32)
                inverseNorm = try backend.makeTensor([out], .float32)
            }
            pairs.append(
                LowRankPair(
                    rank: ranks[index], scale: options.scale(of: projection.name),
                    a: Parameter(name: projection.name + ".lora_A.weight", value: rows),
                    b: Parameter(name: projection.name + ".lora_B.weight", value: b), magnitude: magnitude,
                    packedB: try backend.pack(.dense(b), computeType: computeType), columns: columns,
                    squaredWeightNorms: squared, gain: gain, inverseNorm: inverseNorm))
        }
        return GroupAdapter(
            pairs: pairs, panel: panel, packedPanel: try backend.pack(.dense(panel), computeType: computeType),
            dropout: options.dropout)
    }

    private func initialA(_ options: LoRAOptions, rank: Int, input: Int, key: RandomKey) throws(TensorError) -> Tensor {
        let random = Philox(key)
        switch options.initialization {
        case .kaiming:
            let bound = 1 / Float(input).squareRoot()
            return try Tensor(random.uniforms(rank * input).map { (2 * $0 - 1) * bound }, shape: [rank, input])
        case .gaussian:
            return try Tensor(random.normals(rank * input).map { $0 / Float(rank) }, shape: [rank, input])
        }
    }

    private func squaredRowNorms(_ projection: Projection) throws(TensorError) -> [Float] {
        let dense = try backend.makeTensor([projection.outFeatures, projection.inFeatures], .float32)
        backend.unpack(dense, projection.weight)
        let values = dense.floats()
        let columns = projection.inFeatures
        return (0..<projection.outFeatures).map { row in
            var sum: Float = 0
            for column in 0..<columns { sum += values[row * columns + column] * values[row * columns + column] }
            return sum
        }
    }

    /// The parameters of an attached adapter, in the order of the model.
    public func adapterParameters(_ name: String) -> [Parameter] {
        blocks.flatMap(\.groups).compactMap { $0.adapters[name] }.flatMap(\.parameters)
    }

    /// Fills an attached adapter from tensors named as its parameters are.
    ///
    /// Strict: every tensor must land and every parameter must receive one of its shape.
    ///
    /// - Throws: `ModelError.mismatch` with the names left over on both sides.
    public func loadAdapter(_ name: String, tensors: [String: Tensor]) throws {
        let parameters = adapterParameters(name) + savedParameters(name)
        var left = tensors
        var missing: [String] = []
        for parameter in parameters {
            guard let tensor = left.removeValue(forKey: parameter.name) else {
                missing.append(parameter.name)
                continue
            }
            guard tensor.shape == parameter.value.shape else {
                throw ModelError.mismatch(
                    "adapter tensor '\(parameter.name)' has shape \(tensor.shape); this base needs \(parameter.value.shape)"
                )
            }
            guard tensor.dtype.isComputeType else {
                throw ModelError.mismatch("adapter tensor '\(parameter.name)' has type \(tensor.dtype.rawValue)")
            }
            backend.copy(parameter.value, tensor)
        }
        guard missing.isEmpty, left.isEmpty else {
            throw ModelError.mismatch(
                Self.unmatched(missing: missing, left: left.keys.sorted(), known: parameters.map(\.name)))
        }
        try refreshAdapter(name)
        refreshReplacements(name)
    }

    /// What did not fit, with the nearest name on the other side of the first of each.
    private static func unmatched(missing: [String], left: [String], known: [String]) -> String {
        func described(_ names: [String], _ one: String, _ many: String, near others: [String]) -> String? {
            guard let first = names.first else { return nil }
            let nearest = others.min { distance($0, first) < distance($1, first) }
            let count = names.count == 1 ? one : "\(names.count) \(many)"
            return "\(count) ('\(first)'" + (nearest.map { ", nearest: '\($0)'" } ?? "") + ")"
        }
        let parts = [
            described(
                left, "one tensor lands nowhere", "tensors land nowhere", near: missing.isEmpty ? known : missing),
            described(missing, "one part receives no tensor", "parts receive no tensor", near: left),
        ]
        return "the adapter does not fit this base: " + parts.compactMap { $0 }.joined(separator: "; ")
    }

    /// Edit distance between two names.
    static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        var row = Array(0...b.count)
        for i in 0..<a.count {
            var diagonal = row[0]
            row[0] = i + 1
            for j in 0..<b.count {
                let cost = min(diagonal + (a[i] == b[j] ? 0 : 1), row[j] + 1, row[j + 1] + 1)
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[b.count]
    }
}
