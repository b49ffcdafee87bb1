/// Walks over the bytes of a source, counting lines; drops a UTF-8 byte order mark at the start.
struct ByteCursor {
    let file: String
    private let source: any ByteSource
    private var buffer: [UInt8] = []
    private var position = 0
    private var hasStarted = false
    /// The line of the next byte, counted from 1.
    private(set) var line = 1

    init(file: String, source: any ByteSource) {
        self.file = file
        self.source = source
    }

    /// The place of the next byte.
    var place: RowSource { RowSource(file: file, line: line) }

    private mutating func refill() throws(DataError) -> Bool {
        buffer.removeFirst(position)
        position = 0
        guard hasStarted else {
            hasStarted = true
            while buffer.count < 3, try source.read(into: &buffer) {}
            if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
            if buffer.starts(with: [0xFF, 0xFE]) || buffer.starts(with: [0xFE, 0xFF]) {
                throw DataError(.badData, "\(file): is UTF-16 text; save it as UTF-8")
            }
            return position < buffer.count ? true : try refill()
        }
        return try source.read(into: &buffer)
    }

    /// The next byte without passing it.
    mutating func peek() throws(DataError) -> UInt8? {
        if position == buffer.count {
            guard try refill() else { return nil }
        }
        return buffer[position]
    }

    /// The next byte.
    mutating func next() throws(DataError) -> UInt8? {
        guard let byte = try peek() else { return nil }
        position += 1
        if byte == 0x0A { line += 1 }
        return byte
    }

    /// The bytes up to the next line feed, without it and without a carriage return before it; `nil` at the end.
    mutating func nextLine(limit: Int) throws(DataError) -> [UInt8]? {
        guard try peek() != nil else { return nil }
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                let text = trimmed(position..<end)
                try check(end - position, limit: limit)
                position = end + 1
                line += 1
                return text
            }
            try check(buffer.count - position, limit: limit)
            let seen = buffer.count - position
            guard try refill() else {
                let text = trimmed(position..<buffer.count)
                position = buffer.count
                return text
            }
            searched = position + seen
        }
    }

    private func trimmed(_ range: Range<Int>) -> [UInt8] {
        let end = range.isEmpty || buffer[range.upperBound - 1] != 0x0D ? range.upperBound : range.upperBound - 1
        return Array(buffer[range.lowerBound..<end])
    }

    /// Refuses a row that has grown past the limit.
    func check(_ count: Int, limit: Int, at source: RowSource? = nil) throws(DataError) {
        guard count <= limit else {
            throw DataError(
                .badData, "the row is longer than \(limit) bytes; check that the file has one row a line",
                at: source ?? place)
        }
    }

    /// Passes white space.
    mutating func skipWhitespace() throws(DataError) {
        while let byte = try peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { _ = try next() }
    }
}
