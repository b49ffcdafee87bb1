/// A picture as marks in points, origin at the top left: what both the SVG and the PNG are made of.
struct Drawing {
    /// Red, green, blue from 0 to 1, and opacity.
    struct Color: Equatable {
        var red: Float
        var green: Float
        var blue: Float
        var opacity: Float = 1

        /// A colour of 0xRRGGBB.
        init(_ hex: UInt32, opacity: Float = 1) {
            red = Float(hex >> 16 & 0xFF) / 255
            green = Float(hex >> 8 & 0xFF) / 255
            blue = Float(hex & 0xFF) / 255
            self.opacity = opacity
        }
    }

    /// Where a text stands relative to its point.
    enum Anchor: String { case start, middle, end }

    /// One mark.
    enum Mark {
        case line(points: [Point], width: Double, color: Color)
        case disc(center: Point, radius: Double, color: Color)
        case box(origin: Point, width: Double, height: Double, fill: Color)
        case text(String, at: Point, size: Double, anchor: Anchor, isBold: Bool, isUpright: Bool, color: Color)
    }

    /// A place in points.
    struct Point: Equatable {
        var x: Double
        var y: Double
    }

    /// Width and height in points.
    let width: Double
    let height: Double
    /// Marks in the order in which they are drawn.
    var marks: [Mark] = []

    /// The picture as SVG.
    var svg: String {
        let font = "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\""
        var text =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Self.number(width)) \(Self.number(height))\" "
        text += "width=\"\(Self.number(width))\" height=\"\(Self.number(height))\" \(font)>\n"
        for mark in marks { text += Self.element(mark) + "\n" }
        return text + "</svg>\n"
    }

    private static func element(_ mark: Mark) -> String {
        switch mark {
        case .line(let points, let width, let color):
            let path = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
            return
                "<polyline points=\"\(path)\" fill=\"none\" \(paint("stroke", color)) stroke-width=\"\(number(width))\" "
                + "stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        case .disc(let center, let radius, let color):
            return "<circle cx=\"\(number(center.x))\" cy=\"\(number(center.y))\" r=\"\(number(radius))\" "
                + "\(paint("fill", color))/>"
        case .box(let origin, let width, let height, let fill):
            return "<rect x=\"\(number(origin.x))\" y=\"\(number(origin.y))\" width=\"\(number(width))\" "
                + "height=\"\(number(height))\" \(paint("fill", fill))/>"
        case .text(let text, let point, let size, let anchor, let isBold, let isUpright, let color):
            let turn = isUpright ? " transform=\"rotate(-90 \(number(point.x)) \(number(point.y)))\"" : ""
            let weight = isBold ? " font-weight=\"bold\"" : ""
            return "<text x=\"\(number(point.x))\" y=\"\(number(point.y))\" font-size=\"\(number(size))\"\(weight) "
                + "text-anchor=\"\(anchor.rawValue)\" \(paint("fill", color))\(turn)>\(escaped(text))</text>"
        }
    }

    private static func paint(_ what: String, _ color: Color) -> String {
        let digits = [color.red, color.green, color.blue].map { channel -> String in
            let hex = String(Int((channel * 255).rounded()), radix: 16)
            return hex.count == 1 ? "0" + hex : hex
        }.joined()
        let opacity = color.opacity < 1 ? " \(what)-opacity=\"\(number(Double(color.opacity)))\"" : ""
        return "\(what)=\"#\(digits)\"\(opacity)"
    }

    private static func number(_ value: Double) -> String {
        let text = rounded(value, 2)
        guard text.contains(".") else { return text }
        var short = Substring(text)
        while short.last == "0" { short.removeLast() }
        if short.last == "." { short.removeLast() }
        return String(short)
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default:
                // Control characters may not stand in XML.
                if scalar.value >= 0x20 { result.unicodeScalars.append(scalar) }
            }
        }
        return result
    }
}
