import AttuneData
import AttuneJSON
import Foundation
import Testing

@Suite struct RowReaderTests {
    private func rows(_ text: String, _ file: String) throws -> [Row] {
        var reader = try RowReader(bytes: Array(text.utf8), file: file)
        var rows: [Row] = []
        while let row = try reader.next() { rows.append(row) }
        return rows
    }

    private func error(_ text: String, _ file: String) -> String {
        do {
            _ = try rows(text, file)
            return "no error"
        } catch { return "\(error)" }
    }

    @Test func linesOfJSONKnowTheirPlace() throws {
        let read = try rows("\u{FEFF}{\"a\":1}\r\n\n  \n{\"a\":\"x\\ny\"}\n{\"a\":3}", "f.jsonl")
        #expect(read.map(\.source.line) == [1, 4, 5])
        #expect(read[1].fields["a"]?.stringValue == "x\ny")
    }

    @Test func arraysAndSequencesOfObjects() throws {
        let array = try rows("[\n {\"a\": \"]}\\\"\"},\n\n {\"a\": {\"b\": [1]}}\n]\n", "f.json")
        #expect(array.map(\.source.line) == [2, 4])
        #expect(array[0].fields["a"]?.stringValue == "]}\"")
        #expect(try rows("{\"a\":1}\n{\n\"a\":2}", "f.json").map(\.source.line) == [1, 2])
        #expect(try rows(" [{\"a\":1}]", "f.jsonl").count == 1)
        #expect(error("[{\"a\":1}", "f.json").contains("does not end"))
        #expect(error("[{\"a\":1} {\"a\":1}]", "f.json").contains("expected ','"))
        #expect(error("[{\"a\":1}] x", "f.json").contains("after the end"))
        #expect(error("[1]", "f.json").contains("expected an object"))
    }

    @Test func tablesFollowRFC4180() throws {
        let read = try rows("\u{FEFF}a,b\r\n\"x, \"\"y\"\"\r\nz\",\r\n1,2\" tall\r\n\"\",\"q\"", "f.csv")
        #expect(read.map(\.source.line) == [2, 4, 5])
        #expect(read[0].fields["a"]?.stringValue == "x, \"y\"\r\nz")
        #expect(read[0].fields["b"]?.stringValue?.isEmpty == true)
        #expect(read[1].fields["b"]?.stringValue == "2\" tall")
        #expect(read[2].fields["b"]?.stringValue == "q")
        #expect(try rows("a\tb\n1,5\t2\n", "f.tsv")[0].fields["a"]?.stringValue == "1,5")
        #expect(error("a,b\n1,2\n1,2,3\n", "f.csv").hasPrefix("f.csv:3: the row has 3 fields, the header 2"))
        #expect(error("a,b\n1,\"2\n", "f.csv").hasPrefix("f.csv:2: a quote"))
        #expect(error("a,b\n1,\"2\"x\n", "f.csv").contains("after a closing quote"))
        #expect(error("a,a\n1,2\n", "f.csv").contains("two columns"))
    }

    @Test func plainText() throws {
        let read = try rows("one\n\n  two \n", "f.txt")
        #expect(read.map { $0.fields["text"]?.stringValue } == ["one", "  two "])
        #expect(read.map(\.source.line) == [1, 3])
    }

    @Test func errorsSayWhereAndWhatNext() throws {
        #expect(error("{\"a\":1}\n{\"a\":", "f.jsonl").hasPrefix("f.jsonl:2: not valid JSON"))
        #expect(error("{\"a\":1}\n7\n", "f.jsonl").hasPrefix("f.jsonl:2: the row is not an object"))
        #expect(error("", "f.jsonl").contains("holds no rows"))
        #expect(error("a,b\n", "f.csv").contains("holds no rows"))
        #expect(error("[]", "f.json").contains("holds no rows"))
        #expect(error("x", "f.parquet").contains("does not tell the format"))
        var wide = try RowReader(bytes: [0xFF, 0xFE, 0x41, 0], file: "f.txt")
        #expect(throws: DataError.self) { try wide.next() }
        var broken = try RowReader(bytes: [0x41, 0xFF], file: "f.txt")
        #expect(throws: DataError.self) { try broken.next() }
        #expect(throws: DataError.self) { try RowReader(path: "/nonexistent/rows.jsonl") }
        do { _ = try RowReader(path: "/") } catch { #expect(error.kind == .missingInput) }
    }

    @Test func goesOnAfterABadLine() throws {
        var reader = try RowReader(bytes: Array("{\"a\":1}\nbad\n{\"a\":2}\n".utf8), file: "f.jsonl")
        #expect(try reader.next()?.source.line == 1)
        #expect(throws: DataError.self) { try reader.next() }
        #expect(try reader.next()?.source.line == 3)
        #expect(try reader.next() == nil)
    }

    @Test func longRowsAreRefused() throws {
        let text = Array("{\"a\":\"\(String(repeating: "x", count: 5000))\"}".utf8)
        for file in ["f.jsonl", "f.json", "f.txt", "f.csv"] {
            var reader = try RowReader(bytes: text, file: file, limits: ReadLimits(rowBytes: 1000))
            #expect(throws: DataError.self) { while try reader.next() != nil {} }
        }
        var reader = try RowReader(bytes: text, file: "f.jsonl", limits: ReadLimits(rowBytes: 6000))
        #expect(try reader.next() != nil)
    }

    @Test func gzipOfEveryKind() throws {
        let all = GzipSamples.dynamic + GzipSamples.fixed + GzipSamples.stored
        var reader = try RowReader(bytes: all, file: "rows.jsonl.gz")
        var read: [Row] = []
        while let row = try reader.next() { read.append(row) }
        #expect(read.count == 302)
        for (place, row) in read.prefix(300).enumerated() {
            let other = place * place % 97
            #expect(row.fields["instruction"]?.stringValue == "Add \(place) and \(other)")
            #expect(row.fields["output"]?.stringValue == "\(place + other)")
        }
        #expect(read[300].fields["output"]?.stringValue == "0")
        #expect(read[301].fields["instruction"]?.stringValue == "stored")
    }

    @Test func damagedGzipIsRefused() throws {
        let good = GzipSamples.dynamic
        func reads(_ bytes: [UInt8], limit: Int = 1 << 30) -> Bool {
            guard
                var reader = try? RowReader(bytes: bytes, file: "r.jsonl.gz", limits: ReadLimits(expandedBytes: limit))
            else { return false }
            do { while try reader.next() != nil {} } catch { return false }
            return true
        }
        #expect(reads(good))
        #expect(reads(good + [0, 0, 0]))
        #expect(!reads(good + [1]))
        #expect(!reads(good, limit: 1000))
        for count in stride(from: 3, to: good.count - 1, by: 37) { #expect(!reads(Array(good.prefix(count)))) }
        // Any single flipped bit after the header is caught: by the code, the row, the checksum or the length.
        for place in stride(from: 25, to: good.count, by: 11) {
            var bad = good
            bad[place] ^= 1 << UInt8(place & 7)
            #expect(!reads(bad), "byte \(place)")
        }
    }

    @Test func readsFilesAndReferenceData() throws {
        let path = NSTemporaryDirectory() + "attune-rows-\(UInt64.random(in: 0 ... .max)).jsonl"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let line = "{\"text\": \"\(String(repeating: "word ", count: 300))\"}\n"
        try String(repeating: line, count: 2000).write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try RowReader.rows(of: [path]).count == 2000)

        guard let reference = Reference.folder else { return }
        #expect(try RowReader.rows(of: [reference + "/data/gsm8k/train.jsonl.gz"]).count == 7473)
        #expect(try RowReader.rows(of: [reference + "/data/banking77/train.csv"]).count == 10003)
        #expect(try RowReader.rows(of: [reference + "/data/banking77/test.csv"]).count == 3080)
    }
}

/// Where the large reference data lie, when they are there.
enum Reference {
    static let folder: String? = {
        var path = ProcessInfo.processInfo.environment["ATTUNE_REFERENCE"]
        if path == nil {
            let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            path = root.deletingLastPathComponent().appending(path: "shared/reference").path
        }
        guard let path, FileManager.default.fileExists(atPath: path + "/data/gsm8k/train.jsonl.gz") else {
            print("reference data not found; set ATTUNE_REFERENCE to read it in tests")
            return nil
        }
        return path
    }()
}
