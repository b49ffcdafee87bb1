/// The plain matcher: runs all threads of the automaton side by side (Pike's machine), in time proportional to the
/// text times the pattern. It explains the compiled matcher, checks it in tests, and does what that one cannot.
struct RegexSimulation: Sendable {
    let program: RegexProgram

    /// The leftmost match that begins at or behind `from`, with the priorities of a backtracking matcher.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8.
    ///   - range: what the matcher sees as the whole text.
    ///   - from: where the search begins, on a character.
    ///   - anchored: whether the match must begin exactly at `from`.
    func search(
        _ bytes: UnsafePointer<UInt8>, in range: Range<Int>, from: Int, anchored: Bool
    ) -> Range<Int>? {
        var threads: [(instruction: Int, start: Int)] = []
        var consuming: [(instruction: Int, start: Int)] = []
        var seen = [Int](repeating: -1, count: program.instructions.count)
        var stack: [Int] = []
        var best: Range<Int>?
        var position = from
        var behind = program.classBehind(from, in: range, bytes)
        while true {
            let (ahead, length) = program.classAhead(position, in: range, bytes)
            // Threads of earlier starts come first; a new one starts only while nothing has matched.
            if best == nil, !anchored || position == from { threads.append((program.start, position)) }
            consuming.removeAll(keepingCapacity: true)
            following: for thread in threads {
                stack.append(thread.instruction)
                while let instruction = stack.popLast() {
                    guard seen[instruction] != position else { continue }
                    seen[instruction] = position
                    switch program.instructions[instruction] {
                    case .jump(let target): stack.append(target)
                    case .split(let first, let second):
                        stack.append(second)
                        stack.append(first)
                    case .assertion(let isAhead, let members, let target):
                        if program.memberships[members][isAhead ? ahead : behind] { stack.append(target) }
                    case .set: consuming.append((instruction, thread.start))
                    case .match:
                        best = thread.start..<position
                        stack.removeAll(keepingCapacity: true)
                        break following
                    }
                }
            }
            guard ahead != program.boundary else { return best }
            threads.removeAll(keepingCapacity: true)
            for thread in consuming {
                if case .set(let members, let target) = program.instructions[thread.instruction],
                    program.memberships[members][ahead]
                {
                    threads.append((target, thread.start))
                }
            }
            if threads.isEmpty, best != nil || anchored { return best }
            position += length
            behind = ahead
        }
    }

    /// Whether some way through the pattern ends exactly at the end of the text.
    func matchesAll(_ bytes: UnsafePointer<UInt8>, in range: Range<Int>) -> Bool {
        var states = [program.start]
        var position = range.lowerBound
        var behind = program.boundary
        var seen = [Int](repeating: -1, count: program.instructions.count)
        var stack: [Int] = []
        while true {
            let (ahead, length) = program.classAhead(position, in: range, bytes)
            var after: [Int] = []
            stack.append(contentsOf: states)
            while let instruction = stack.popLast() {
                guard seen[instruction] != position else { continue }
                seen[instruction] = position
                switch program.instructions[instruction] {
                case .jump(let target): stack.append(target)
                case .split(let first, let second):
                    stack.append(first)
                    stack.append(second)
                case .assertion(let isAhead, let members, let target):
                    if program.memberships[members][isAhead ? ahead : behind] { stack.append(target) }
                case .set(let members, let target):
                    if ahead != program.boundary, program.memberships[members][ahead] { after.append(target) }
                case .match:
                    if ahead == program.boundary { return true }
                }
            }
            if ahead == program.boundary || after.isEmpty { return false }
            states = after
            position += length
            behind = ahead
        }
    }
}

extension RegexProgram {
    /// The class of the scalar at a position and its length in bytes; `boundary` at the end.
    @inline(__always)
    func classAhead(_ position: Int, in range: Range<Int>, _ bytes: UnsafePointer<UInt8>) -> (class: Int, length: Int) {
        guard position < range.upperBound else { return (boundary, 0) }
        let (scalar, length) = UTF8Scan.scalar(bytes, at: position, end: range.upperBound)
        return (Int(classOf[scalar]), length)
    }

    /// The class of the scalar before a position; `boundary` at the start.
    func classBehind(_ position: Int, in range: Range<Int>, _ bytes: UnsafePointer<UInt8>) -> Int {
        guard position > range.lowerBound else { return boundary }
        var start = position - 1
        while start > range.lowerBound, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return Int(classOf[UTF8Scan.scalar(bytes, at: start, end: range.upperBound).scalar])
    }
}

/// Decoding of UTF-8 that is known to be valid, as `String` guarantees.
enum UTF8Scan {
    /// The scalar at a position and its length. Bytes that are no character count as one scalar each.
    @inline(__always)
    static func scalar(_ bytes: UnsafePointer<UInt8>, at place: Int, end: Int) -> (scalar: UInt32, length: Int) {
        let first = UInt32(bytes[place])
        if first < 0x80 { return (first, 1) }
        if first < 0xE0, place + 1 < end {
            return ((first & 0x1F) << 6 | UInt32(bytes[place + 1] & 0x3F), 2)
        }
        if first < 0xF0, place + 2 < end {
            return (
                (first & 0x0F) << 12 | UInt32(bytes[place + 1] & 0x3F) << 6 | UInt32(bytes[place + 2] & 0x3F), 3
            )
        }
        if place + 3 < end {
            let high = (first & 0x07) << 18 | UInt32(bytes[place + 1] & 0x3F) << 12
            let low = UInt32(bytes[place + 2] & 0x3F) << 6 | UInt32(bytes[place + 3] & 0x3F)
            return (min(high | low, ScalarSet.lastScalar), 4)
        }
        return (0xFFFD, 1)
    }

    /// How many scalars begin in a stretch of UTF-8.
    static func scalarCount(_ bytes: some Sequence<UInt8>) -> Int {
        bytes.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }
}
