import AttuneTracking
import Foundation
import Testing

@Suite struct LossPlotTests {
    @Test func imageDecodesToItsPixels() throws {
        let plot = LossPlot(SampleRun.history())
        let png = plot.png
        if let folder = ProcessInfo.processInfo.environment["ATTUNE_PLOTS"] {
            // To be looked at.
            try Data(png).write(to: URL(filePath: folder + "/training_loss.png"))
            try Data(plot.svg.utf8).write(to: URL(filePath: folder + "/training_loss.svg"))
            print(plot.terminalText(width: 90))
        }
        let image = try #require(PNGImage(png))
        #expect(image.width == 1600 && image.height == 960)
        #expect(png.count < 400_000)
        // White corners, and both curves' colours somewhere.
        #expect(image.pixel(0, 0) == [255, 255, 255])
        #expect(image.pixel(1599, 959) == [255, 255, 255])
        func count(_ color: [UInt8], _ image: PNGImage) -> Int {
            stride(from: 0, to: image.pixels.count, by: 3).count { image.pixels[$0..<($0 + 3)].elementsEqual(color) }
        }
        #expect(count([0x1F, 0x77, 0xB4], image) > 2000)
        #expect(count([0xE8, 0x59, 0x0C], image) > 1500)
        // Control: without evaluations their colour is absent.
        let bare = try #require(PNGImage(LossPlot(SampleRun.history().filter { $0.evaluationLoss == nil }).png))
        #expect(count([0xE8, 0x59, 0x0C], bare) == 0)
    }

    @Test func damagedImagesAreNoticed() {
        var png = LossPlot(SampleRun.history()).png
        png[png.count / 2] ^= 4
        #expect(PNGImage(png) == nil)
    }

    @Test func vectorPictureHasEverything() {
        let plot = LossPlot(SampleRun.history(), title: "Loss of <a & b>")
        let svg = plot.svg
        for part in [
            "Loss of &lt;a &amp; b&gt;", ">step<", ">loss<", ">train<", ">train, smoothed<", ">evaluation, lowest",
            ">400<", ">2.0<", "<circle", "</svg>",
        ] { #expect(svg.contains(part), "\(part)") }
        #expect(svg.utf8.count { $0 == UInt8(ascii: "<") } == svg.utf8.count { $0 == UInt8(ascii: ">") })
        #expect(!svg.contains("nan") && !svg.contains("inf"))
    }

    @Test func oddHistoriesAreDrawn() {
        let one = LogEntry.training(step: 1, epoch: 0, loss: 2, learningRate: 1, gradientNorm: nil)
        let none = LogEntry.training(step: 2, epoch: 0, loss: .nan, learningRate: 1, gradientNorm: nil)
        let huge = LogEntry.training(step: 1_000_000, epoch: 0, loss: 1e30, learningRate: 1, gradientNorm: nil)
        let tiny = LogEntry.training(step: 3, epoch: 0, loss: 1e-9, learningRate: 1, gradientNorm: nil)
        for history in [[], [one], [none], [one, none], [one, huge], [tiny, tiny], [one, one]] {
            let plot = LossPlot(history)
            #expect(PNGImage(plot.png) != nil)
            #expect(plot.svg.hasSuffix("</svg>\n") && !plot.svg.contains("nan"))
            #expect(!plot.terminalText().isEmpty)
        }
        #expect(LossPlot([none]).isEmpty)
    }

    @Test func terminalChartFitsItsWidth() {
        let plot = LossPlot(SampleRun.history())
        for width in [40, 80, 133] {
            let lines = plot.terminalText(width: width, height: 10).split(separator: "\n").dropLast()
            #expect(lines.allSatisfy { $0.count <= width })
            #expect(lines.contains { $0.count == width })
            #expect(lines.contains { $0.contains("●") })
            #expect(lines.contains { $0.contains("┤") })
        }
        #expect(plot.terminalText(usesColor: true).contains("\u{1B}[34m"))
        #expect(!plot.terminalText().contains("\u{1B}"))
    }
}

/// A second reading of PNG, only for what the encoder may write: checks every checksum, expands fixed codes, undoes Up.
private struct PNGImage {
    var width = 0
    var height = 0
    var pixels: [UInt8] = []

    func pixel(_ x: Int, _ y: Int) -> [UInt8] { Array(pixels[((y * width + x) * 3)..<((y * width + x) * 3 + 3)]) }

    init?(_ file: [UInt8]) {
        guard file.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) else { return nil }
        func number(_ place: Int) -> Int { file[place..<(place + 4)].reduce(0) { $0 << 8 | Int($1) } }
        var place = 8
        var data: [UInt8] = []
        var hasEnded = false
        while place + 12 <= file.count {
            let count = number(place)
            guard place + 12 + count <= file.count else { return nil }
            let body = file[(place + 4)..<(place + 8 + count)]
            var crc: UInt32 = 0xFFFF_FFFF
            for byte in body {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            }
            guard ~crc == UInt32(number(place + 8 + count)) else { return nil }
            switch String(decoding: body.prefix(4), as: UTF8.self) {
            case "IHDR": (width, height) = (number(place + 8), number(place + 12))
            case "IDAT": data += body.dropFirst(4)
            case "IEND": hasEnded = true
            default: break
            }
            place += 12 + count
        }
        guard hasEnded, let filtered = Self.inflate(data), filtered.count == height * (width * 3 + 1) else {
            return nil
        }
        var (a, b) = (1, 0)
        for byte in filtered {
            a = (a + Int(byte)) % 65521
            b = (b + a) % 65521
        }
        guard data.suffix(4).reduce(0, { $0 << 8 | Int($1) }) == b << 16 | a else { return nil }
        var above = [UInt8](repeating: 0, count: width * 3)
        for row in 0..<height {
            let start = row * (width * 3 + 1)
            guard filtered[start] == 2 else { return nil }
            for column in above.indices { above[column] &+= filtered[start + 1 + column] }
            pixels += above
        }
    }

    private static func inflate(_ zlib: [UInt8]) -> [UInt8]? {
        guard zlib.count > 6, (Int(zlib[0]) << 8 | Int(zlib[1])) % 31 == 0 else { return nil }
        var bit = 16
        func take(_ count: Int) -> Int {
            var value = 0
            for place in 0..<count where bit + place < zlib.count * 8 {
                value |= Int(zlib[(bit + place) >> 3] >> UInt8((bit + place) & 7) & 1) << place
            }
            bit += count
            return value
        }
        func code(_ count: Int) -> Int { (0..<count).reduce(0) { value, _ in value << 1 | take(1) } }
        guard take(3) == 3 else { return nil }
        var out: [UInt8] = []
        while bit < zlib.count * 8 {
            var symbol = code(7)
            if symbol < 24 {
                symbol += 256
            } else {
                symbol = symbol << 1 | code(1)
                if symbol < 0xC0 {
                    symbol -= 0x30
                } else if symbol < 0xC8 {
                    symbol += 280 - 0xC0
                } else {
                    symbol = (symbol << 1 | code(1)) - 0x190 + 144
                }
            }
            if symbol < 256 {
                out.append(UInt8(symbol))
                continue
            }
            if symbol == 256 { return out }
            var length = symbol - 254
            if symbol == 285 {
                length = 258
            } else if symbol > 264 {
                let extra = (symbol - 261) >> 2
                length = 3 + (4 + (symbol - 261) & 3) << extra + take(extra)
            }
            var distance = code(5) + 1
            if distance > 4 {
                let extra = (distance - 3) >> 1
                distance = 1 + (2 + (distance - 1) & 1) << extra + take(extra)
            }
            guard distance <= out.count else { return nil }
            for _ in 0..<length { out.append(out[out.count - distance]) }
        }
        return nil
    }
}
