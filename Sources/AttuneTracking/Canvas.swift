/// An image of RGB pixels on which marks are drawn with smooth edges.
///
/// A pixel's share of a mark is its distance to the mark's edge, from half a pixel outside (nothing) to half a pixel
/// inside (all). Lines are unions of segments with round ends: the largest share of any segment counts, so joints are
/// not darker.
struct Canvas {
    /// Pixels across.
    let width: Int
    /// Pixels down.
    let height: Int
    /// Three channels for each pixel, rows from the top.
    private(set) var pixels: [Float]
    /// Shares of the mark being drawn; zero between marks.
    private var coverage: [Float]

    /// A white canvas.
    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        pixels = [Float](repeating: 1, count: width * height * 3)
        coverage = [Float](repeating: 0, count: width * height)
    }

    /// Draws a picture, `scale` pixels for each of its points.
    init(_ drawing: Drawing, scale: Double) {
        self.init(width: Int((drawing.width * scale).rounded(.up)), height: Int((drawing.height * scale).rounded(.up)))
        for mark in drawing.marks { draw(mark, scale: scale) }
    }

    /// Eight bits a channel.
    var bytes: [UInt8] { pixels.map { UInt8(max(0, min(255, ($0 * 255).rounded()))) } }

    private mutating func draw(_ mark: Drawing.Mark, scale: Double) {
        func scaled(_ point: Drawing.Point) -> Drawing.Point { Drawing.Point(x: point.x * scale, y: point.y * scale) }
        switch mark {
        case .line(let points, let width, let color):
            stroke([points.map(scaled)], width: width * scale, color)
        case .disc(let center, let radius, let color):
            stroke([[scaled(center)]], width: 2 * radius * scale, color)
        case .box(let origin, let width, let height, let fill):
            box(scaled(origin), width: width * scale, height: height * scale, fill)
        case .text(let text, let point, let size, let anchor, let isBold, let isUpright, let color):
            // A cap is about 0.72 of a font's size.
            let unit = size * 0.72 / StrokeFont.capHeight * scale
            let (strokes, width) = StrokeFont.strokes(text)
            let shift: Double =
                switch anchor {
                case .start: 0
                case .middle: -width / 2
                case .end: -width
                }
            let origin = scaled(point)
            let placed = strokes.map { stroke in
                stroke.map { spot in
                    let (along, up) = ((spot.x + shift) * unit, spot.y * unit)
                    return isUpright
                        ? Drawing.Point(x: origin.x - up, y: origin.y - along)
                        : Drawing.Point(x: origin.x + along, y: origin.y - up)
                }
            }
            stroke(placed, width: unit * (isBold ? 1.15 : 0.8), color)
        }
    }

    private mutating func box(_ origin: Drawing.Point, width: Double, height: Double, _ color: Drawing.Color) {
        let columns = range(origin.x, origin.x + width, limit: self.width)
        for y in range(origin.y, origin.y + height, limit: self.height) {
            let vertical = min(Double(y) + 1, origin.y + height) - max(Double(y), origin.y)
            for x in columns {
                let horizontal = min(Double(x) + 1, origin.x + width) - max(Double(x), origin.x)
                blend(y * self.width + x, color, share: Float(max(0, vertical) * max(0, horizontal)))
            }
        }
    }

    private mutating func stroke(_ lines: [[Drawing.Point]], width: Double, _ color: Drawing.Color) {
        let radius = width / 2
        let points = lines.joined()
        guard let left = points.map(\.x).min(), let right = points.map(\.x).max(), let top = points.map(\.y).min(),
            let bottom = points.map(\.y).max()
        else { return }
        for line in lines {
            if line.count == 1 { cover(from: line[0], to: line[0], radius: radius) }
            for (start, end) in zip(line, line.dropFirst()) { cover(from: start, to: end, radius: radius) }
        }
        let margin = radius + 1
        let columns = range(left - margin, right + margin, limit: self.width)
        for y in range(top - margin, bottom + margin, limit: height) {
            for x in columns where coverage[y * self.width + x] > 0 {
                blend(y * self.width + x, color, share: coverage[y * self.width + x])
                coverage[y * self.width + x] = 0
            }
        }
    }

    /// Raises the coverage of pixels near a segment: min(1, radius + ½ - distance).
    private mutating func cover(from start: Drawing.Point, to end: Drawing.Point, radius: Double) {
        let margin = radius + 1
        let (dx, dy) = (end.x - start.x, end.y - start.y)
        let square = dx * dx + dy * dy
        for y in range(min(start.y, end.y) - margin, max(start.y, end.y) + margin, limit: height) {
            let py = Double(y) + 0.5 - start.y
            for x in range(min(start.x, end.x) - margin, max(start.x, end.x) + margin, limit: width) {
                let px = Double(x) + 0.5 - start.x
                let along = square == 0 ? 0 : max(0, min(1, (px * dx + py * dy) / square))
                let (ox, oy) = (px - along * dx, py - along * dy)
                // A pen thinner than a pixel leaves its width's share of ink.
                let share = min(1, min(radius * 2, radius + 0.5 - (ox * ox + oy * oy).squareRoot()))
                let place = y * width + x
                if share > 0, Float(share) > coverage[place] { coverage[place] = Float(share) }
            }
        }
    }

    private mutating func blend(_ place: Int, _ color: Drawing.Color, share: Float) {
        let opacity = min(1, share) * color.opacity
        pixels[place * 3] += (color.red - pixels[place * 3]) * opacity
        pixels[place * 3 + 1] += (color.green - pixels[place * 3 + 1]) * opacity
        pixels[place * 3 + 2] += (color.blue - pixels[place * 3 + 2]) * opacity
    }

    private func range(_ low: Double, _ high: Double, limit: Int) -> Range<Int> {
        let start = max(0, min(limit, Int(max(-1e6, min(1e6, low)).rounded(.down))))
        return start..<max(start, min(limit, Int(max(-1e6, min(1e6, high)).rounded(.up))))
    }
}
