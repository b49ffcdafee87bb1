import AttuneJSON

/// Records of comma- or tab-separated values (RFC 4180): quotes, doubled quotes, line breaks inside quotes.
///
/// The first record names the columns. A quote inside an unquoted field stands for itself, as spreadsheet programs
/// write it.
struct TableReader {
    private let separator: UInt8
    private let limit: Int
    private var header: [String]?
    /// Whether the quoting is lost, so that what follows cannot be told apart.
    private(set) var isBroken = false

    init(separator: UInt8, limit: Int) {
        self.separator = separator
        self.limit = limit
    }

    mutating func next(_ bytes: inout ByteCursor) throws(DataError) -> Row? {
        if header == nil {
            guard let (names, place) = try record(&bytes) else { return nil }
            var seen = Set<ByteString>()
            for name in names where !seen.insert(ByteString(name)).inserted {
                isBroken = true
                throw DataError(.badData, "two columns are named '\(name)'; rename one in the header", at: place)
            }
            header = names
        }
        guard let header, let (values, place) = try record(&bytes) else { return nil }
        guard values.count == header.count else {
            throw DataError(
                .badData,
                "the row has \(values.count) fields, the header \(header.count); quote fields that hold separators",
                at: place)
        }
        let fields = zip(header, values).map { (key: $0, value: JSON.string($1)) }
        return Row(fields: JSONObject(fields), source: place)
    }

    /// The next record that is not an empty line.
    private mutating func record(_ bytes: inout ByteCursor) throws(DataError) -> ([String], RowSource)? {
        while let byte = try bytes.peek(), byte == 0x0A || byte == 0x0D { _ = try bytes.next() }
        guard try bytes.peek() != nil else { return nil }
        let place = bytes.place
        var values: [String] = []
        var size = 0
        while true {
            let (field, isLast) = try field(&bytes, at: place)
            size += field.count
            try bytes.check(size, limit: limit, at: place)
            guard let text = String(validating: field, as: UTF8.self) else { throw RowReader.notUTF8(place) }
            values.append(text)
            if isLast { return (values, place) }
        }
    }

    private mutating func field(
        _ bytes: inout ByteCursor, at place: RowSource
    ) throws(DataError) -> (bytes: [UInt8], isLast: Bool) {
        var field: [UInt8] = []
        if try bytes.peek() == UInt8(ascii: "\"") {
            _ = try bytes.next()
            try quoted(&bytes, into: &field, at: place)
        }
        while let byte = try bytes.next() {
            if byte == separator { return (field, false) }
            if byte == 0x0A { return (field, true) }
            if byte == 0x0D, try bytes.peek() == 0x0A { continue }
            field.append(byte)
            try bytes.check(field.count, limit: limit, at: place)
        }
        return (field, true)
    }

    private mutating func quoted(
        _ bytes: inout ByteCursor, into field: inout [UInt8], at place: RowSource
    ) throws(DataError) {
        while let byte = try bytes.next() {
            if byte == UInt8(ascii: "\"") {
                guard try bytes.peek() == UInt8(ascii: "\"") else {
                    let after = try bytes.peek()
                    guard after == nil || after == separator || after == 0x0A || after == 0x0D else {
                        isBroken = true
                        throw DataError(
                            .badData, "text after a closing quote; write a quote inside a field as two quotes",
                            at: bytes.place)
                    }
                    return
                }
                _ = try bytes.next()
            }
            field.append(byte)
            if field.count > limit {
                isBroken = true
                try bytes.check(field.count, limit: limit, at: place)
            }
        }
        isBroken = true
        throw DataError(.badData, "a quote opened in this row is never closed; close it or double it", at: place)
    }
}
