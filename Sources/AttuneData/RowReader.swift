import AttuneJSON

/// One row of a data file as it stands there: named fields and its place.
public struct Row: Sendable {
    /// Columns and values; every value of CSV and text is a string.
    public var fields: JSONObject
    /// The file and the line on which the row begins.
    public var source: RowSource

    /// A row.
    public init(fields: JSONObject, source: RowSource) {
        self.fields = fields
        self.source = source
    }
}

/// Reads the rows of a local file one after the other; memory holds one row at a time, however large the file is.
///
/// Gzip is recognised by its first two bytes. After an error on a line of JSONL or on the width of a CSV record the
/// next call goes on with the next row; after any other error there are no more rows.
public struct RowReader {
    private let format: DataFormat
    private let limits: ReadLimits
    private var bytes: ByteCursor
    private var table: TableReader?
    private var objects: ObjectScanner?
    private var rowCount = 0
    private var hasFinished = false

    /// Opens a file.
    /// - Parameters:
    ///   - path: a local file.
    ///   - format: the form, where the name does not tell it.
    /// - Throws: `DataError`.
    public init(path: String, format: DataFormat? = nil, limits: ReadLimits = ReadLimits()) throws(DataError) {
        let raw = try FileBytes(path: path)
        try self.init(file: path, source: raw, format: format ?? DataFormat(path: path), limits: limits)
    }

    /// Reads rows from bytes in memory, named `file` in errors.
    /// - Throws: `DataError`.
    public init(
        bytes: [UInt8], file: String, format: DataFormat? = nil, limits: ReadLimits = ReadLimits()
    ) throws(DataError) {
        try self.init(
            file: file, source: MemoryBytes(bytes), format: format ?? DataFormat(path: file), limits: limits)
    }

    private init(
        file: String, source: any ByteSource, format: DataFormat?, limits: ReadLimits
    ) throws(DataError) {
        self.limits = limits
        var head: [UInt8] = []
        while head.count < 2, try source.read(into: &head) {}
        var whole: any ByteSource = JoinedBytes(head: head, rest: source)
        if head.starts(with: [0x1F, 0x8B]) {
            whole = GzipBytes(path: file, source: whole, limit: limits.expandedBytes)
        }
        bytes = ByteCursor(file: file, source: whole)
        guard let format else {
            throw DataError(
                .badData,
                "\(file): the name does not tell the format; use .jsonl, .json, .csv, .tsv or .txt (also with .gz)")
        }
        self.format = format
        switch format {
        case .csv: table = TableReader(separator: UInt8(ascii: ","), limit: limits.rowBytes)
        case .tsv: table = TableReader(separator: 0x09, limit: limits.rowBytes)
        case .json: objects = ObjectScanner(limit: limits.rowBytes)
        case .jsonl, .text: break
        }
    }

    /// The next row; `nil` after the last.
    /// - Throws: `DataError` naming file and line; also when the file holds no row at all.
    public mutating func next() throws(DataError) -> Row? {
        guard !hasFinished else { return nil }
        do throws(DataError) {
            guard let row = try nextRow() else {
                hasFinished = true
                guard rowCount > 0 else {
                    throw DataError(.badData, "\(bytes.file): holds no rows; check that it is the right file")
                }
                return nil
            }
            rowCount += 1
            return row
        } catch {
            rowCount += 1
            if objects != nil || table?.isBroken == true { hasFinished = true }
            throw error
        }
    }

    private mutating func nextRow() throws(DataError) -> Row? {
        if table != nil { return try table?.next(&bytes) }
        if format == .jsonl, rowCount == 0, objects == nil {
            try bytes.skipWhitespace()
            // A row of JSONL is an object, so a bracket can only open an array of rows.
            if try bytes.peek() == UInt8(ascii: "[") { objects = ObjectScanner(limit: limits.rowBytes) }
        }
        if objects != nil { return try objects?.next(&bytes) }
        while true {
            let place = bytes.place
            guard let line = try bytes.nextLine(limit: limits.rowBytes) else { return nil }
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            guard format == .text else { return try Self.row(parsing: line[...], at: place) }
            guard let text = String(validating: line, as: UTF8.self) else { throw Self.notUTF8(place) }
            return Row(fields: JSONObject([(key: "text", value: .string(text))]), source: place)
        }
    }

    static func notUTF8(_ place: RowSource) -> DataError {
        DataError(.badData, "not valid UTF-8; save the file as UTF-8", at: place)
    }

    static func row(parsing text: ArraySlice<UInt8>, at place: RowSource) throws(DataError) -> Row {
        let value: JSON
        do { value = try JSON(parsing: text) } catch {
            throw DataError(.badData, "not valid JSON (\(error)); correct or remove the row", at: place)
        }
        guard let fields = value.objectValue else {
            throw DataError(.badData, "the row is not an object; write it as {\"column\": value, …}", at: place)
        }
        return Row(fields: fields, source: place)
    }

    /// All rows of some files, in order.
    /// - Throws: `DataError` at the first bad row.
    public static func rows(
        of paths: [String], format: DataFormat? = nil, limits: ReadLimits = ReadLimits()
    ) throws(DataError) -> [Row] {
        var rows: [Row] = []
        for path in paths {
            var reader = try RowReader(path: path, format: format, limits: limits)
            while let row = try reader.next() { rows.append(row) }
        }
        return rows
    }

    /// All rows of some files that can be read, and what is wrong with the others: for reports.
    public static func survey(of paths: [String]) -> (rows: [Row], errors: [DataError]) {
        var rows: [Row] = []
        var errors: [DataError] = []
        for path in paths {
            do throws(DataError) {
                var reader = try RowReader(path: path)
                var isOpen = true
                while isOpen {
                    do throws(DataError) {
                        if let row = try reader.next() { rows.append(row) } else { isOpen = false }
                    } catch {
                        errors.append(error)
                    }
                }
            } catch {
                errors.append(error)
            }
        }
        return (rows, errors)
    }

    /// Rows as JSONL, each on a line of its own.
    public static func jsonLines(_ rows: some Sequence<Row>) -> [UInt8] {
        var bytes: [UInt8] = []
        for row in rows {
            bytes += JSON.object(row.fields).utf8(.spaced)
            bytes.append(0x0A)
        }
        return bytes
    }
}

/// Bytes already taken for a look, then the rest.
private final class JoinedBytes: ByteSource {
    private var head: [UInt8]?
    private let rest: any ByteSource

    init(head: [UInt8], rest: any ByteSource) {
        self.head = head
        self.rest = rest
    }

    func read(into buffer: inout [UInt8]) throws(DataError) -> Bool {
        if let head, !head.isEmpty {
            self.head = nil
            buffer.append(contentsOf: head)
            return true
        }
        return try rest.read(into: &buffer)
    }
}

/// Finds the objects of a JSON array, or of a sequence of objects, without parsing the whole.
struct ObjectScanner {
    private enum Stage { case start, first, following, sequence, end }
    private let limit: Int
    private var stage = Stage.start

    init(limit: Int) { self.limit = limit }

    mutating func next(_ bytes: inout ByteCursor) throws(DataError) -> Row? {
        try bytes.skipWhitespace()
        if stage == .start {
            stage = .sequence
            if try bytes.peek() == UInt8(ascii: "[") {
                _ = try bytes.next()
                stage = .first
                try bytes.skipWhitespace()
            }
        }
        let place = bytes.place
        guard let byte = try bytes.peek() else {
            guard stage == .sequence || stage == .end else {
                throw DataError(.badData, "the array does not end; the file may be cut off", at: place)
            }
            return nil
        }
        switch stage {
        case .end:
            throw DataError(.badData, "text after the end of the array; remove it", at: place)
        case .first, .following:
            if byte == UInt8(ascii: "]") {
                _ = try bytes.next()
                stage = .end
                return try next(&bytes)
            }
            if stage == .following {
                guard byte == UInt8(ascii: ",") else {
                    throw DataError(.badData, "expected ',' or ']' after a row", at: place)
                }
                _ = try bytes.next()
                try bytes.skipWhitespace()
            }
            stage = .following
        case .start, .sequence:
            break
        }
        return try object(&bytes)
    }

    private func object(_ bytes: inout ByteCursor) throws(DataError) -> Row {
        let place = bytes.place
        guard try bytes.peek() == UInt8(ascii: "{") else {
            throw DataError(
                .badData, "expected an object; a data file is a list of rows like {\"column\": value, …}", at: place)
        }
        var text: [UInt8] = []
        var depth = 0
        var isInString = false
        while let byte = try bytes.next() {
            text.append(byte)
            try bytes.check(text.count, limit: limit, at: place)
            if isInString {
                if byte == UInt8(ascii: "\\") {
                    if let escaped = try bytes.next() { text.append(escaped) }
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 { return try RowReader.row(parsing: text[...], at: place) }
            default: break
            }
        }
        throw DataError(.badData, "the row does not end; the file may be cut off", at: place)
    }
}
