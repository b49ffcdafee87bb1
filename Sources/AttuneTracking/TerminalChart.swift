extension LossPlot {
    /// The chart as text: training loss in Braille dots, evaluations as `●`, losses at the left and steps below.
    /// - Parameters:
    ///   - width: columns of the terminal; at least 30 are used.
    ///   - height: rows of the chart itself.
    ///   - usesColor: whether to colour it (ANSI).
    public func terminalText(width: Int = 80, height: Int = 14, usesColor: Bool = false) -> String {
        guard !isEmpty else { return "no losses have been logged yet" }
        let (steps, losses) = span
        let rows = max(4, height)
        let ticks = AxisTicks(low: losses.lowerBound, high: losses.upperBound, count: max(2, rows / 3))
        let margin = (ticks.labels.map(\.count).max() ?? 1) + 2
        let columns = max(30, width) - margin - 1
        var cells = BrailleCells(columns: columns, rows: rows)
        func dot(_ point: (step: Double, loss: Double)) -> (x: Double, y: Double) {
            let x = (point.step - steps.lowerBound) / (steps.upperBound - steps.lowerBound)
            let y = (point.loss - losses.lowerBound) / (losses.upperBound - losses.lowerBound)
            return (x * Double(columns * 2 - 1), (1 - y) * Double(rows * 4 - 1))
        }
        let curve = training.map(dot)
        if curve.count == 1 { cells.line(from: curve[0], to: curve[0]) }
        for (start, end) in zip(curve, curve.dropFirst()) { cells.line(from: start, to: end) }
        for point in evaluation {
            let place = dot(point)
            cells.mark(Int(place.x.rounded()) / 2, Int(place.y.rounded()) / 4)
        }
        var labels = [String](repeating: "", count: rows)
        for (value, label) in zip(ticks.values, ticks.labels) {
            labels[Int(dot((steps.lowerBound, value)).y.rounded()) / 4] = label
        }
        var lines = [title]
        for row in 0..<rows {
            let label = String(repeating: " ", count: margin - 1 - labels[row].count) + labels[row]
            lines.append(label + (labels[row].isEmpty ? " │" : " ┤") + cells.text(row: row, usesColor: usesColor))
        }
        lines.append(String(repeating: " ", count: margin) + "└" + String(repeating: "─", count: columns))
        let (first, last) = (rounded(steps.lowerBound, 0), rounded(steps.upperBound, 0) + " steps")
        let gap = max(1, columns - first.count - last.count)
        lines.append(String(repeating: " ", count: margin + 1) + first + String(repeating: " ", count: gap) + last)
        var legend: [String] = []
        if let end = smoothed.last {
            legend.append(paint("⣀⠤⠒", .train, usesColor) + " train, at the end \(rounded(end.loss, 3))")
        }
        if let best = evaluation.min(by: { $0.loss < $1.loss }) {
            legend.append(
                paint("●", .evaluation, usesColor)
                    + " evaluation, lowest \(rounded(best.loss, 3)) at step \(Int(best.step))")
        }
        lines.append(String(repeating: " ", count: margin + 1) + legend.joined(separator: "   "))
        return lines.joined(separator: "\n")
    }
}

private enum Ink: String {
    case train = "\u{1B}[34m"
    case evaluation = "\u{1B}[33m"
}

private func paint(_ text: String, _ ink: Ink, _ usesColor: Bool) -> String {
    usesColor ? ink.rawValue + text + "\u{1B}[0m" : text
}

/// A grid of characters of two by four Braille dots.
private struct BrailleCells {
    let columns: Int
    let rows: Int
    private var dots: [UInt8]
    private var marks = Set<Int>()

    init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
        dots = [UInt8](repeating: 0, count: columns * rows)
    }

    /// Sets the dots along a line between two places, counted in dots from the top left.
    mutating func line(from start: (x: Double, y: Double), to end: (x: Double, y: Double)) {
        let steps = max(1, Int(max(abs(end.x - start.x), abs(end.y - start.y)).rounded(.up)))
        for step in 0...steps {
            let share = Double(step) / Double(steps)
            set(
                Int((start.x + (end.x - start.x) * share).rounded()),
                Int((start.y + (end.y - start.y) * share).rounded()))
        }
    }

    private mutating func set(_ x: Int, _ y: Int) {
        guard x >= 0, y >= 0, x < columns * 2, y < rows * 4 else { return }
        // Unicode numbers the dots down the left column, then the right, with the fourth row added later.
        let bits: [[UInt8]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]
        dots[y / 4 * columns + x / 2] |= bits[y % 4][x % 2]
    }

    mutating func mark(_ column: Int, _ row: Int) {
        guard (0..<columns).contains(column), (0..<rows).contains(row) else { return }
        marks.insert(row * columns + column)
    }

    func text(row: Int, usesColor: Bool) -> String {
        var text = ""
        for column in 0..<columns {
            let place = row * columns + column
            if marks.contains(place) {
                text += paint("●", .evaluation, usesColor)
            } else if let scalar = Unicode.Scalar(0x2800 + UInt32(dots[place])), dots[place] != 0 {
                text += paint(String(Character(scalar)), .train, usesColor)
            } else {
                text += " "
            }
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}
