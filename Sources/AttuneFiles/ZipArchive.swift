import AttuneJSON

/// The entries of a zip file, as PyTorch writes them: stored, never compressed.
///
/// Scanners have been fooled by zip files that say different things in different places, so everything said twice must
/// agree: the directory at the end and the header before each entry, both end records, and the end of the file. Entries
/// may not overlap; a name may not leave the archive.
struct ZipArchive {
    struct Entry {
        var name: String
        /// Offset of the header before the data.
        var headerOffset: Int
        var dataOffset: Int
        var byteCount: Int
        var checksum: UInt32
    }

    static let maximumEntryCount = 200_000

    let file: MappedFile
    private(set) var entries: [Entry] = []
    private var index: [ByteString: Int] = [:]

    /// Whether a file begins like a zip archive.
    static func isZip(_ file: MappedFile) -> Bool { file.integer(at: 0, width: 4) == 0x0403_4B50 }

    init(_ file: MappedFile) throws(FilesError) {
        self.file = file
        let end = try endRecord()
        var place = end.directoryOffset
        for _ in 0..<end.entryCount {
            let (entry, next) = try directoryEntry(at: place, limit: end.directoryEnd)
            guard index.updateValue(entries.count, forKey: ByteString(entry.name)) == nil else {
                throw invalid("two entries named '\(entry.name)'")
            }
            entries.append(entry)
            place = next
        }
        guard place == end.directoryEnd else { throw invalid("the directory is longer than its entries") }
        try checkOverlap(directoryOffset: end.directoryOffset)
    }

    func entry(named name: String) -> Entry? { index[ByteString(name)].map { entries[$0] } }

    /// The bytes of an entry, its check sum not compared.
    func bytes(of entry: Entry) -> UnsafeBufferPointer<UInt8> {
        file.bytes(entry.dataOffset..<(entry.dataOffset + entry.byteCount))
    }

    /// Compares the check sum of an entry's bytes.
    func verify(_ entry: Entry) throws(FilesError) {
        guard CRC32.sum(bytes(of: entry)) == entry.checksum else {
            throw invalid("entry '\(entry.name)' does not match its check sum; download it again")
        }
    }

    func invalid(_ problem: String) -> FilesError {
        .invalid(path: file.path, problem: "not a valid PyTorch archive: \(problem)")
    }

    // MARK: Reading

    private func number(_ offset: Int, _ width: Int) throws(FilesError) -> Int {
        guard let value = file.integer(at: offset, width: width), let number = Int(exactly: value) else {
            throw invalid("a record reaches past the end of the file")
        }
        return number
    }

    private struct EndRecord {
        var entryCount: Int
        var directoryOffset: Int
        var directoryEnd: Int
    }

    private func endRecord() throws(FilesError) -> EndRecord {
        // The record is 22 bytes and a comment of at most 65535; the comment must end where the file does.
        var place = file.byteCount - 22
        let lowest = max(0, file.byteCount - 22 - 65535)
        while place >= lowest {
            if file.integer(at: place, width: 4) == 0x0605_4B50,
                let comment = file.integer(at: place + 20, width: 2), place + 22 + Int(comment) == file.byteCount
            {
                break
            }
            place -= 1
        }
        guard place >= lowest else { throw invalid("no end record; the download may be incomplete") }
        guard try number(place + 4, 4) == 0, try number(place + 8, 2) == number(place + 10, 2) else {
            throw invalid("spread over several disks")
        }
        var count = try number(place + 10, 2)
        var size = try number(place + 12, 4)
        var offset = try number(place + 16, 4)
        var directoryEnd = place
        if file.integer(at: place - 20, width: 4) == 0x0706_4B50 {
            let wide = try number(place - 12, 8)
            guard wide <= place - 20 - 56, try number(wide, 4) == 0x0606_4B50,
                try number(wide + 4, 8) == place - 20 - wide - 12
            else { throw invalid("the 64-bit end record is not where it should be") }
            func agreed(_ narrow: Int, _ value: Int, saturated: Int) throws(FilesError) -> Int {
                guard narrow == value || narrow == saturated else { throw invalid("its two end records disagree") }
                return value
            }
            count = try agreed(count, number(wide + 32, 8), saturated: 0xFFFF)
            size = try agreed(size, number(wide + 40, 8), saturated: 0xFFFF_FFFF)
            offset = try agreed(offset, number(wide + 48, 8), saturated: 0xFFFF_FFFF)
            directoryEnd = wide
        }
        let (reach, overflow) = offset.addingReportingOverflow(size)
        guard !overflow, reach == directoryEnd else { throw invalid("the directory does not end at the end record") }
        guard count <= Self.maximumEntryCount else { throw invalid("\(count) entries, the limit is 200000") }
        return EndRecord(entryCount: count, directoryOffset: offset, directoryEnd: directoryEnd)
    }

    private func directoryEntry(at place: Int, limit: Int) throws(FilesError) -> (entry: Entry, next: Int) {
        guard place + 46 <= limit, try number(place, 4) == 0x0201_4B50 else {
            throw invalid("the directory is damaged")
        }
        let (nameLength, extraLength) = (try number(place + 28, 2), try number(place + 30, 2))
        let next = place + 46 + nameLength + extraLength + (try number(place + 32, 2))
        guard next <= limit else { throw invalid("the directory is damaged") }
        let name = try name(at: place + 46, length: nameLength)
        let extra = (place + 46 + nameLength)..<(place + 46 + nameLength + extraLength)
        // Order in the 64-bit field: size, compressed size, offset; each only where the narrow one is full.
        let wide = try wideValues(
            in: extra,
            narrow: [try number(place + 24, 4), try number(place + 20, 4), try number(place + 42, 4)], name: name)
        guard try number(place + 10, 2) == 0, wide[0] == wide[1] else {
            throw FilesError.unsupported(
                path: file.path, problem: "entry '\(name)' is compressed; save the file again with torch.save")
        }
        let entry = try localEntry(
            Entry(
                name: name, headerOffset: wide[2], dataOffset: 0, byteCount: wide[0],
                checksum: UInt32(truncatingIfNeeded: try number(place + 16, 4))),
            flags: try number(place + 8, 2))
        return (entry, next)
    }

    /// Finds the data of an entry behind its own header, which must say what the directory says.
    private func localEntry(_ entry: Entry, flags: Int) throws(FilesError) -> Entry {
        let place = entry.headerOffset
        let disagreement = invalid("entry '\(entry.name)': its header and the directory disagree")
        guard place <= file.byteCount - 30, try number(place, 4) == 0x0403_4B50 else { throw disagreement }
        guard flags & 0x2041 == 0 else { throw invalid("entry '\(entry.name)' is encrypted") }
        let nameLength = try number(place + 26, 2)
        let extraLength = try number(place + 28, 2)
        guard try number(place + 6, 2) == flags, try number(place + 8, 2) == 0,
            try name(at: place + 30, length: nameLength).utf8.elementsEqual(entry.name.utf8)
        else { throw disagreement }
        var entry = entry
        entry.dataOffset = place + 30 + nameLength + extraLength
        let extra = (place + 30 + nameLength)..<entry.dataOffset
        let checksum = try number(place + 14, 4)
        let narrow = [try number(place + 22, 4), try number(place + 18, 4)]
        // Bit 3: sizes and sum follow the data, and the header may leave them zero.
        let isDeferred = flags & 8 != 0 && checksum == 0 && narrow == [0, 0]
        if !isDeferred {
            let wide = try wideValues(in: extra, narrow: narrow, name: entry.name)
            guard wide[0] == entry.byteCount, wide[1] == entry.byteCount, checksum == Int(entry.checksum) else {
                throw disagreement
            }
        }
        guard entry.dataOffset <= file.byteCount, entry.byteCount <= file.byteCount - entry.dataOffset else {
            throw invalid("entry '\(entry.name)' reaches past the end of the file")
        }
        return entry
    }

    /// The values of the 64-bit extra field (id 1) in place of those that are full in their narrow form.
    private func wideValues(in extra: Range<Int>, narrow: [Int], name: String) throws(FilesError) -> [Int] {
        guard narrow.contains(0xFFFF_FFFF) else { return narrow }
        var place = extra.lowerBound
        while place + 4 <= extra.upperBound {
            let length = try number(place + 2, 2)
            guard place + 4 + length <= extra.upperBound else { break }
            if try number(place, 2) == 1 {
                var values = narrow
                var source = place + 4
                for which in values.indices where narrow[which] == 0xFFFF_FFFF {
                    guard source + 8 <= place + 4 + length else { throw invalid("entry '\(name)' lacks its size") }
                    values[which] = try number(source, 8)
                    source += 8
                }
                return values
            }
            place += 4 + length
        }
        throw invalid("entry '\(name)' lacks its size")
    }

    private func name(at offset: Int, length: Int) throws(FilesError) -> String {
        guard offset + length <= file.byteCount,
            let name = String(validating: file.bytes(offset..<(offset + length)), as: UTF8.self)
        else { throw invalid("an entry's name is not UTF-8") }
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard !name.isEmpty, !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "\\")),
            parts.first?.isEmpty == false,
            !parts.contains(where: { $0.elementsEqual("..".utf8) })
        else { throw invalid("entry '\(name)' names a place outside the archive") }
        return name
    }

    private func checkOverlap(directoryOffset: Int) throws(FilesError) {
        let order = entries.sorted { $0.headerOffset < $1.headerOffset }
        for (place, entry) in order.enumerated() {
            let limit = place + 1 < order.count ? order[place + 1].headerOffset : directoryOffset
            guard entry.dataOffset + entry.byteCount <= limit else {
                throw invalid("entry '\(entry.name)' overlaps what follows it")
            }
        }
    }
}
