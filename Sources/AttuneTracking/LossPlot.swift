/// The picture of a run: training and evaluation loss over steps, on one pair of axes.
///
/// The training loss is drawn twice, as it is and smoothed, so that
/// spikes stay visible; evaluations have markers, the lowest one is named in the legend.
public struct LossPlot: Sendable {
    /// What stands above the axes.
    public var title: String
    let training: [(step: Double, loss: Double)]
    let evaluation: [(step: Double, loss: Double)]

    /// A plot of a log history. Losses that are no numbers are left out.
    public init(_ history: [LogEntry], title: String = "Training loss") {
        self.title = title
        training = history.compactMap { entry in entry.loss.map { (Double(entry.step), $0) } }
            .filter { $0.loss.isFinite }
        evaluation = history.compactMap { entry in entry.evaluationLoss.map { (Double(entry.step), $0) } }
            .filter { $0.loss.isFinite }
    }

    /// Whether there is nothing to draw.
    public var isEmpty: Bool { training.isEmpty && evaluation.isEmpty }

    /// `training_loss.svg`.
    public var svg: String { drawing.svg }

    /// `training_loss.png`: 1600 × 960 pixels.
    public var png: [UInt8] {
        let canvas = Canvas(drawing, scale: 2)
        return PNGEncoder.encode(canvas.bytes, width: canvas.width, height: canvas.height)
    }

    /// The mean of two exponential means, one run forwards and one backwards, so that the curve does not lag; each is
    /// corrected for its start (as Kingma and Ba correct Adam's), and remembers a thirtieth of the points.
    var smoothed: [(step: Double, loss: Double)] {
        let keep = 1 - 1 / max(2, Double(training.count) / 30)
        func mean(_ losses: some Sequence<Double>) -> [Double] {
            var (sum, weight) = (0.0, 0.0)
            return losses.map { loss in
                sum = keep * sum + (1 - keep) * loss
                weight = keep * weight + (1 - keep)
                return sum / weight
            }
        }
        let forwards = mean(training.map(\.loss))
        let backwards = mean(training.reversed().map(\.loss)).reversed()
        return zip(training, zip(forwards, backwards)).map { ($0.step, ($1.0 + $1.1) / 2) }
    }

    /// Steps and losses that the axes span.
    var span: (steps: ClosedRange<Double>, losses: ClosedRange<Double>) {
        let all = training + evaluation
        let steps = all.map(\.step)
        let losses = all.map(\.loss)
        let (low, high) = (losses.min() ?? 0, losses.max() ?? 1)
        let margin = high > low ? (high - low) * 0.06 : max(0.05, abs(high) * 0.1)
        let first = min(0, steps.min() ?? 0)
        let last = max(first + 1, steps.max() ?? 1)
        let bottom = low >= 0 && low - margin < 0 ? 0 : low - margin
        return (first...last, bottom...(high + margin))
    }

    private static let ink = Drawing.Color(0x333333)
    private static let faint = Drawing.Color(0xE3E6EA)
    private static let rawColor = Drawing.Color(0x1F77B4, opacity: 0.32)
    private static let trainColor = Drawing.Color(0x1F77B4)
    private static let evaluationColor = Drawing.Color(0xE8590C)

    private var drawing: Drawing {
        var drawing = Drawing(width: 800, height: 480)
        let frame = (left: 74.0, right: 776.0, top: 52.0, bottom: 420.0)
        let (steps, losses) = span
        func place(_ point: (step: Double, loss: Double)) -> Drawing.Point {
            let x = (point.step - steps.lowerBound) / (steps.upperBound - steps.lowerBound)
            let y = (point.loss - losses.lowerBound) / (losses.upperBound - losses.lowerBound)
            // Two points inside the frame, so that the ends of the curves are not on the axes.
            return Drawing.Point(
                x: frame.left + 8 + x * (frame.right - frame.left - 16),
                y: frame.bottom - y * (frame.bottom - frame.top))
        }
        drawing.marks.append(
            .box(
                origin: Drawing.Point(x: 0, y: 0), width: drawing.width, height: drawing.height,
                fill: Drawing.Color(0xFFFFFF)))
        drawAxes(&drawing, frame, steps, losses, place)
        if training.count > 1 {
            drawing.marks.append(.line(points: training.map(place), width: 1.1, color: Self.rawColor))
            drawing.marks.append(.line(points: smoothed.map(place), width: 2.2, color: Self.trainColor))
        } else {
            drawing.marks += training.map { .disc(center: place($0), radius: 3.5, color: Self.trainColor) }
        }
        drawing.marks.append(.line(points: evaluation.map(place), width: 2, color: Self.evaluationColor))
        for point in evaluation {
            drawing.marks.append(.disc(center: place(point), radius: 4.6, color: Drawing.Color(0xFFFFFF)))
            drawing.marks.append(.disc(center: place(point), radius: 3.4, color: Self.evaluationColor))
        }
        drawLegend(&drawing, frame)
        return drawing
    }

    private typealias Frame = (left: Double, right: Double, top: Double, bottom: Double)

    private func drawAxes(
        _ drawing: inout Drawing, _ frame: Frame, _ steps: ClosedRange<Double>, _ losses: ClosedRange<Double>,
        _ place: ((step: Double, loss: Double)) -> Drawing.Point
    ) {
        func text(
            _ text: String, _ x: Double, _ y: Double, size: Double = 13, anchor: Drawing.Anchor = .middle,
            isBold: Bool = false, isUpright: Bool = false
        ) {
            drawing.marks.append(
                .text(
                    text, at: Drawing.Point(x: x, y: y), size: size, anchor: anchor, isBold: isBold,
                    isUpright: isUpright, color: Self.ink))
        }
        func line(_ x: Double, _ y: Double, _ toX: Double, _ toY: Double, _ color: Drawing.Color, width: Double = 1) {
            drawing.marks.append(
                .line(
                    points: [Drawing.Point(x: x, y: y), Drawing.Point(x: toX, y: toY)], width: width, color: color))
        }
        let across = AxisTicks(low: steps.lowerBound, high: steps.upperBound, count: 8, wholeNumbers: true)
        for (value, label) in zip(across.values, across.labels) {
            let x = place((value, losses.lowerBound)).x
            line(x, frame.top, x, frame.bottom, Self.faint)
            line(x, frame.bottom, x, frame.bottom + 4, Self.ink)
            text(label, x, frame.bottom + 19)
        }
        let up = AxisTicks(low: losses.lowerBound, high: losses.upperBound, count: 7)
        for (value, label) in zip(up.values, up.labels) {
            let y = place((steps.lowerBound, value)).y
            line(frame.left, y, frame.right, y, Self.faint)
            line(frame.left - 4, y, frame.left, y, Self.ink)
            text(label, frame.left - 9, y + 4.6, anchor: .end)
        }
        line(frame.left, frame.top, frame.left, frame.bottom, Self.ink)
        line(frame.left, frame.bottom, frame.right, frame.bottom, Self.ink)
        text(title, (frame.left + frame.right) / 2, 32, size: 18, isBold: true)
        text("step", (frame.left + frame.right) / 2, 462, size: 14)
        text("loss", 22, (frame.top + frame.bottom) / 2, size: 14, isUpright: true)
    }

    private func drawLegend(_ drawing: inout Drawing, _ frame: Frame) {
        var rows: [(text: String, color: Drawing.Color, width: Double, hasMarker: Bool)] = []
        if training.count > 1 {
            rows.append(("train", Self.rawColor, 1.4, false))
            rows.append(("train, smoothed", Self.trainColor, 2.4, false))
        } else if !training.isEmpty {
            rows.append(("train", Self.trainColor, 0, true))
        }
        if let best = evaluation.min(by: { $0.loss < $1.loss }) {
            rows.append(
                ("evaluation, lowest \(rounded(best.loss, 3)) at step \(Int(best.step))", Self.evaluationColor, 2, true)
            )
        }
        guard !rows.isEmpty else { return }
        // Text set by other fonts in SVG is a little wider than the pen's.
        let widest = rows.map { StrokeFont.strokes($0.text).width }.max() ?? 0
        let width = widest * 13 * 0.72 / StrokeFont.capHeight + 62
        let origin = Drawing.Point(x: frame.right - width - 8, y: frame.top + 8)
        let height = Double(rows.count) * 21 + 10
        drawing.marks.append(
            .box(
                origin: Drawing.Point(x: origin.x - 1, y: origin.y - 1), width: width + 2, height: height + 2,
                fill: Drawing.Color(0xCCD0D5)))
        drawing.marks.append(.box(origin: origin, width: width, height: height, fill: Drawing.Color(0xFFFFFF)))
        for (place, row) in rows.enumerated() {
            let y = origin.y + 15.5 + Double(place) * 21
            let ends = [Drawing.Point(x: origin.x + 12, y: y), Drawing.Point(x: origin.x + 38, y: y)]
            if row.width > 0 { drawing.marks.append(.line(points: ends, width: row.width, color: row.color)) }
            if row.hasMarker {
                drawing.marks.append(
                    .disc(center: Drawing.Point(x: origin.x + 25, y: y), radius: 3.4, color: row.color))
            }
            drawing.marks.append(
                .text(
                    row.text, at: Drawing.Point(x: origin.x + 47, y: y + 4.6), size: 13, anchor: .start, isBold: false,
                    isUpright: false, color: Self.ink))
        }
    }
}
