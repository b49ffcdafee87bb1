import AttuneJSON

/// Round numbers along an axis.
struct AxisTicks {
    /// The numbers, ascending.
    let values: [Double]
    /// How each is written.
    let labels: [String]

    /// About `count` ticks within `low...high`, at multiples of 1, 2 or 5 times a power of ten.
    init(low: Double, high: Double, count: Int, wholeNumbers: Bool = false) {
        let rough = max((high - low) / Double(max(1, count)), 1e-12)
        var power = 1.0
        var decimals = 0
        while power * 10 <= rough { power *= 10 }
        while power > rough * 1.0000001, decimals < 12 {
            power /= 10
            decimals += 1
        }
        var step = [1.0, 2, 5, 10].first { $0 * power >= rough * 0.9999 }.map { $0 * power } ?? power * 10
        if step >= power * 10, decimals > 0 { decimals -= 1 }
        if wholeNumbers, step < 1 { (step, decimals) = (1, 0) }
        let places = decimals
        let first = (low / step - 1e-9).rounded(.up)
        let last = (high / step + 1e-9).rounded(.down)
        let ticks = first <= last ? stride(from: first, through: last, by: 1).prefix(200).map { $0 * step } : []
        values = ticks
        labels = ticks.map { Self.label($0, decimals: places) }
    }

    /// Thousands are grouped by thin commas as people write steps.
    private static func label(_ value: Double, decimals: Int) -> String {
        let text = rounded(value, decimals)
        guard decimals == 0, abs(value) >= 10_000, abs(value) < 1e12 else { return text }
        var grouped = ""
        for (place, digit) in text.reversed().enumerated() {
            if place > 0, place % 3 == 0, digit != "-" { grouped = "," + grouped }
            grouped = String(digit) + grouped
        }
        return grouped
    }
}
