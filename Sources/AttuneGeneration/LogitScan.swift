/// Passes over a row of logits, sixteen at once. A vocabulary is tens of thousands of numbers long and a step has a row for each
/// text, so these loops are what sampling costs.
enum LogitScan {
    private typealias Vector = SIMD16<Float>

    private static func load(_ row: UnsafeBufferPointer<Float>, _ start: Int) -> Vector {
        UnsafeRawPointer(row.baseAddress.unsafelyUnwrapped + start).loadUnaligned(as: Vector.self)
    }

    /// The first of the largest values; `nil` for a row with NaN or +∞, or nothing but −∞.
    static func firstMaximum(_ row: UnsafeBufferPointer<Float>) -> Int? {
        let whole = row.count & ~15
        var largest = Vector(repeating: -.infinity)
        var isBelowInfinity = SIMDMask<SIMD16<Int32>>(repeating: true)
        for start in stride(from: 0, to: whole, by: 16) {
            let values = load(row, start)
            isBelowInfinity = isBelowInfinity .& (values .< .infinity)  // false for NaN too
            largest.replace(with: values, where: values .> largest)
        }
        guard all(isBelowInfinity) else { return nil }
        var maximum = largest.max()
        for place in whole..<row.count {
            guard row[place] < .infinity else { return nil }
            maximum = max(maximum, row[place])
        }
        guard maximum > -.infinity else { return nil }
        return first(in: row, from: 0, where: { $0 .== maximum }, scalar: { $0 == maximum })
    }

    /// The first place at or after `start` where a condition holds, given for sixteen and for one.
    @inline(__always)
    static func first(
        in row: UnsafeBufferPointer<Float>, from start: Int,
        where condition: (SIMD16<Float>) -> SIMDMask<SIMD16<Int32>>,
        scalar: (Float) -> Bool
    ) -> Int? {
        var place = start
        while place + 16 <= row.count, !any(condition(load(row, place))) { place += 16 }
        while place < row.count {
            if scalar(row[place]) { return place }
            place += 1
        }
        return nil
    }

    /// e^x for x ≤ 0; 0 where the result would be denormal. Relative error below 2e-7; 1 at 0.
    ///
    /// 2^(x·log₂e) is split at the nearest whole number, the rest is a polynomial (coefficients of exp2's series).
    private static func exp(_ x: Vector) -> Vector {
        let y = x * 1.442_695_04
        let isZero = y .< -126
        let clamped = y.replacing(with: -126, where: isZero)
        // Adding 1.5 · 2²³ leaves the nearest whole number in the lowest bits.
        let shifted = clamped + 12_582_912
        let whole = shifted - 12_582_912
        // The rest of x itself: the product above has lost bits that count where x is large.
        let r = (x.replacing(with: 0, where: isZero) - whole * 0.693_145_75) - whole * 1.428_606_77e-6
        var p = Vector(repeating: 1.0 / 720)
        p = p * r + 1.0 / 120
        p = p * r + 1.0 / 24
        p = p * r + 1.0 / 6
        p = p * r + 0.5
        p = p * r + 1
        p = p * r + 1
        let bits = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &- 0x4B40_0000
        let scale = unsafeBitCast((bits &+ 127) &<< 23, to: Vector.self)
        return (p * scale).replacing(with: 0, where: isZero)
    }

    /// Rows are summed in chunks of this many, so that a draw need not walk all of them.
    static let chunk = 256

    /// Writes e^((score − maximum) · inverse) for scores of at least `floor`, and 0 for the others.
    ///
    /// - Parameters:
    ///   - least: smaller weights become 0.
    ///   - sums: the weights of each chunk together.
    static func weigh(
        _ scores: UnsafeBufferPointer<Float>, maximum: Float, inverse: Float, floor: Float, least: Float,
        into weights: UnsafeMutableBufferPointer<Float>, sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(weights.count == scores.count && sums.count == (scores.count + chunk - 1) / chunk)
        for place in sums.indices {
            let rows = place * chunk..<min(scores.count, (place + 1) * chunk)
            var sum = Vector()
            var start = rows.lowerBound
            while start + 16 <= rows.upperBound {
                let score = load(scores, start)
                var weight = exp((score - maximum) * inverse)
                weight.replace(with: 0, where: (score .< floor) .| (weight .< least))
                UnsafeMutableRawPointer(weights.baseAddress.unsafelyUnwrapped + start)
                    .storeBytes(of: weight, as: Vector.self)
                sum += weight
                start += 16
            }
            var total = Double(sum.sum())
            while start < rows.upperBound {
                let weight = exp(Vector(repeating: (scores[start] - maximum) * inverse))[0]
                weights[start] = scores[start] < floor || weight < least ? 0 : weight
                total += Double(weights[start])
                start += 1
            }
            sums[place] = total
        }
    }

    /// The sum of e^(value − maximum).
    static func exponentialSum(_ row: UnsafeBufferPointer<Float>, maximum: Float) -> Double {
        var total = 0.0
        for start in stride(from: 0, to: row.count, by: chunk) {
            let end = min(row.count, start + chunk)
            var sum = Vector()
            var place = start
            while place + 16 <= end {
                sum += exp(load(row, place) - maximum)
                place += 16
            }
            total += Double(sum.sum())
            while place < end {
                total += Double(exp(Vector(repeating: row[place] - maximum))[0])
                place += 1
            }
        }
        return total
    }
}
