import AttuneGeneration
import Foundation
import Testing

@Suite struct SamplerTests {
    @Test func philoxGivesThePublishedNumbers() {
        #expect(Philox(seed: 0).block(0, 0, 0, 0) == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        #expect(
            Philox(seed: 0x299f_31d0_a409_3822).block(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344)
                == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func probabilitiesEqualTransformers() throws {
        var sampler = Sampler()
        for (place, example) in SamplingCase.all.enumerated() {
            var options = SamplingOptions()
            options.temperature = example.temperature
            options.topK = example.topK
            options.topP = example.topP
            options.minP = example.minP
            options.repetitionPenalty = example.penalty
            let found = try sampler.probabilities(
                example.logits.span, options: options, history: TokenHistory(prompt: example.seen))
            for (a, b) in zip(found, example.probabilities) {
                #expect(abs(a - b) < 2e-6, "case \(place): \(found) for \(example.probabilities)")
            }
        }
        // The comparison notices a wrong order: the first case's table is not the second's.
        #expect(SamplingCase.all[0].probabilities != SamplingCase.all[1].probabilities)
    }

    /// Against plain sums in double precision: sizes that fill no vector and no chunk, wide and narrow logits, hot and cold.
    @Test(arguments: [1, 15, 16, 17, 255, 256, 257, 1000, 6144]) func probabilitiesEqualThePlainFormula(size: Int)
        throws
    {
        var dice = Dice(UInt64(size))
        var sampler = Sampler()
        for (spread, temperature) in [(1, 1), (8, 0.7), (30, 2), (5, 0.01), (80, 1), (3, 1e-30)] as [(Float, Float)] {
            var logits = (0..<size).map { _ in Float.random(in: -spread...spread, using: &dice) }
            if size > 20 { logits[size - 3] = -.infinity }
            var options = SamplingOptions()
            options.temperature = temperature
            let maximum = logits.max() ?? 0
            func plain(_ temperature: Double) -> [Double] {
                let weights = logits.map { exp(Double($0 - maximum) / temperature) }
                return weights.map { $0 / weights.reduce(0, +) }
            }
            let expected = plain(Double(temperature))
            let found = try sampler.probabilities(logits.span, options: options, history: nil)
            for (a, b) in zip(found, expected) {
                #expect(
                    abs(a - b) <= 1e-36 + b * (2e-6 + 1e-7 * Double(spread / max(temperature, 0.1))), "\(a) for \(b)")
            }
            if size > 20 { #expect(found[size - 3] == 0) }
            if size > 1, temperature > 0.1 {
                // The negative: another temperature is noticed.
                let other = plain(Double(temperature) * 1.01)
                #expect(zip(found, other).contains { abs($0 - $1) > $1 * 1e-4 })
            }
            let (chosen, top) = Sampler.logprobs(logits.span, of: 0, top: 7)
            let ones = plain(1)
            #expect(abs(Double(chosen) - log(ones[0])) < 1e-5 * max(1, Double(spread)))
            let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }
            #expect(top.map { Int($0.id) } == Array(order.prefix(7)))
            // Draws at both ends stay among the tokens that can be drawn, and keep their order.
            var last: Int32 = -1
            for uniform in [0, 0.3, 0.5, 0.999, 0.999_999_999_999] {
                let id = try sampler.sample(logits.span, options: options, history: nil, step: 0, uniform: uniform).id
                #expect(found[Int(id)] > 0 && id >= last)
                last = id
            }
        }
    }

    @Test func drawsFollowTheProbabilities() throws {
        let logits: [Float] = [0, 1, -1, 2, 0.5, -3]
        var sampler = Sampler()
        let options = SamplingOptions()
        let expected = try sampler.probabilities(logits.span, options: options, history: nil)
        var counts = [Int](repeating: 0, count: logits.count)
        let draws = 20_000
        for step in 0..<draws {
            let uniform = Philox(seed: 5).uniform(step: step, stream: 0)
            let token = try sampler.sample(logits.span, options: options, history: nil, step: step, uniform: uniform)
            counts[Int(token.id)] += 1
        }
        func chiSquare(_ probabilities: [Double]) -> Double {
            zip(counts, probabilities).reduce(0) { sum, pair in
                let mean = pair.1 * Double(draws)
                return sum + (Double(pair.0) - mean) * (Double(pair.0) - mean) / mean
            }
        }
        #expect(chiSquare(expected) < 25)  // 5 degrees of freedom: p < 0.0002
        #expect(chiSquare([Double](repeating: 1.0 / 6, count: 6)) > 1000)
    }

    @Test func nucleusEqualsAFullSort() throws {
        var dice = Dice(3)
        var sampler = Sampler()
        for _ in 0..<200 {
            let logits = (0..<300).map { _ in Float.random(in: -6...6, using: &dice).rounded() / 2 }
            var options = SamplingOptions()
            options.topP = Float.random(in: 0.01...0.99, using: &dice)
            let found = try sampler.probabilities(logits.span, options: options, history: nil)
            let all = try sampler.probabilities(logits.span, options: SamplingOptions(), history: nil)
            let order = all.indices.sorted { (all[$0], $1) > (all[$1], $0) }
            var above = 0.0
            var kept = 0
            while above < Double(options.topP) - 1e-12 {
                above += all[order[kept]]
                kept += 1
            }
            #expect(found.filter { $0 > 0 }.count == kept)
            #expect(order.prefix(kept).allSatisfy { found[$0] > 0 })
        }
    }

    @Test func greedyTakesTheFirstOfEquals() throws {
        var sampler = Sampler()
        let token = try sampler.sample(
            [1, 3, 3, 2].span, options: .greedy(maxNewTokens: 1), history: nil, step: 0, uniform: 0)
        #expect(token.id == 1)
    }

    @Test func logprobsAreThoseOfTheModel() throws {
        var sampler = Sampler()
        var options = SamplingOptions.greedy(maxNewTokens: 1)
        options.logprobs = 2
        options.logitBias = [0: 50]
        let token = try sampler.sample([0, 2, 1].span, options: options, history: nil, step: 0, uniform: 0)
        #expect(token.id == 0)
        #expect(abs((token.logprob ?? 0) - -2.407606) < 1e-5)
        #expect(token.top.map(\.id) == [1, 2])
        #expect(abs(token.top[0].logprob - -0.407606) < 1e-5)
    }

    @Test(arguments: [Float.nan, .infinity]) func badLogitsAreRefused(value: Float) throws {
        var sampler = Sampler()
        for (size, place) in [(40, 0), (40, 31), (40, 39), (16, 15)] {
            var logits = [Float](repeating: 0, count: size)
            #expect(
                try sampler.sample(logits.span, options: .greedy(maxNewTokens: 1), history: nil, step: 4, uniform: 0).id
                    == 0)
            logits[place] = value
            #expect(throws: GenerationError.notFinite(step: 4)) {
                try sampler.sample(logits.span, options: .greedy(maxNewTokens: 1), history: nil, step: 4, uniform: 0)
            }
        }
        #expect(throws: GenerationError.notFinite(step: 4)) {
            try sampler.sample(
                [Float](repeating: -.infinity, count: 33).span, options: SamplingOptions(), history: nil, step: 4,
                uniform: 0)
        }
        #expect(throws: GenerationError.notFinite(step: 4)) {
            try sampler.sample([0, value, 1].span, options: SamplingOptions(), history: nil, step: 4, uniform: 0.5)
        }
    }

    @Test func maskAndWithheldTokensAreNeverChosen() throws {
        var sampler = Sampler()
        var mask = TokenMask(count: 70)
        mask.insert(3)
        mask.insert(69)
        let logits = (0..<70).map { Float(-$0) }
        for step in 0..<50 {
            let token = try sampler.sample(
                logits.span, options: SamplingOptions(), history: nil, mask: mask, withheld: [3], step: step,
                uniform: Double(step) / 50)
            #expect(token.id == 69)
        }
    }

    @Test func optionsOutsideTheirRangesNameTheParameter() {
        func name(_ change: (inout SamplingOptions) -> Void) -> String? {
            var options = SamplingOptions()
            change(&options)
            do throws(GenerationError) {
                try options.validate(vocabularySize: 100)
                return nil
            } catch {
                guard case .invalidParameter(let name, _) = error else { return "?" }
                return name
            }
        }
        #expect(name { _ in } == nil)
        #expect(name { $0.temperature = -0.1 } == "temperature")
        #expect(name { $0.temperature = .nan } == "temperature")
        #expect(name { $0.topP = 0 } == "top_p")
        #expect(name { $0.topK = -2 } == "top_k")
        #expect(name { $0.minP = 1.1 } == "min_p")
        #expect(name { $0.repetitionPenalty = 0 } == "repetition_penalty")
        #expect(name { $0.presencePenalty = 2.5 } == "presence_penalty")
        #expect(name { $0.frequencyPenalty = -3 } == "frequency_penalty")
        #expect(name { $0.logitBias = [100: 1] } == "logit_bias")
        #expect(name { $0.logitBias = [1: 101] } == "logit_bias")
        #expect(name { $0.stopTokenIDs = [-1] } == "stop_token_ids")
        #expect(name { $0.stop = [""] } == "stop")
        #expect(name { $0.stop = [String](repeating: "x", count: 17) } == "stop")
        #expect(name { $0.maxNewTokens = 0 } == "max_tokens")
        #expect(name { $0.minTokens = 1000 } == "min_tokens")
        #expect(name { $0.logprobs = 21 } == "top_logprobs")
        #expect(name { $0.n = 1_000_000 } == "n")
    }
}

@Suite struct StopMatcherTests {
    /// Feeds the text in pieces and returns what comes out.
    private func run(_ pieces: [String], _ stops: [String], includes: Bool = false) -> (String, String?) {
        var matcher = StopMatcher(stops, includesStopText: includes)
        var text = ""
        for piece in pieces {
            let (certain, stop) = matcher.push(piece)
            text += certain
            if let stop { return (text, stop) }
        }
        return (text + matcher.finish(), nil)
    }

    @Test func findsTextsAcrossAllBorders() {
        let text = "Grün und\r\n### Ende, aber ####"
        let scalars = text.unicodeScalars.map { String($0) }
        for size in 1...scalars.count {
            let pieces = stride(from: 0, to: scalars.count, by: size).map {
                scalars[$0..<min(scalars.count, $0 + size)].joined()
            }
            #expect(run(pieces, ["\n###", "zz"]) == ("Grün und\r", "\n###"))
            #expect(run(pieces, ["\n###"], includes: true) == ("Grün und\r\n###", "\n###"))
            #expect(run(pieces, ["####"]) == ("Grün und\r\n### Ende, aber ", "####"))
            #expect(run(pieces, ["nowhere"]) == (text, nil))
        }
    }

    @Test func holdsBackOnlyWhatMayBecomeAStop() {
        var matcher = StopMatcher(["</s>"])
        #expect(matcher.push("a<").text == "a")
        #expect(matcher.push("/").text == "")
        #expect(matcher.push("b").text == "</b")
        #expect(matcher.finish() == "")
    }
}
