/// The fast matcher: the automaton made deterministic before the first text, one table step for each scalar.
///
/// A state holds the ordered threads *before* their conditions are followed, because a condition may ask for the
/// scalar ahead. The step over class c from state S first follows S with c ahead; if that meets `match`, the match
/// ends before c and all threads behind it are dropped (leftmost-first priority); then the rest consumes c.
struct RegexAutomaton: Sendable {
    /// `transitions[state * stride + class]` = next state, with `matchFlag` when a match ends before that class.
    private let transitions: [UInt32]
    private let stride: Int
    private let classOf: ScalarTable
    private let asciiClasses: [UInt8]
    /// The state to start in by the class behind; one entry when that does not matter.
    private let startStates: [UInt32]

    private static let matchFlag: UInt32 = 1 << 31
    private static let dead: UInt32 = 0
    private static let maximumStates = 3000

    private struct Key: Hashable {
        var threads: [Int32]
        var behind: Int32
    }

    /// `nil` when the pattern needs too many states; the simulation then does the work.
    init?(_ program: RegexProgram) {
        stride = program.classCount + 1
        classOf = program.classOf
        asciiClasses = (0..<128).map { program.classOf[$0] }
        var keys = [Key(threads: [], behind: -1)]
        var numbers = [keys[0]: UInt32(0)]
        func number(_ key: Key) -> UInt32 {
            if let known = numbers[key] { return known }
            let new = UInt32(keys.count)
            keys.append(key)
            numbers[key] = new
            return new
        }
        startStates =
            program.looksBehind
            ? (0...program.classCount).map { number(Key(threads: [Int32(program.start)], behind: Int32($0))) }
            : [number(Key(threads: [Int32(program.start)], behind: -1))]
        var transitions: [UInt32] = []
        var state = 0
        while state < keys.count {
            guard keys.count <= Self.maximumStates else { return nil }
            let key = keys[state]
            for ahead in 0...program.classCount {
                let (threads, matched) = Self.step(program, key.threads, behind: Int(key.behind), ahead: ahead)
                var target = Self.dead
                if !threads.isEmpty {
                    target = number(Key(threads: threads, behind: program.looksBehind ? Int32(ahead) : -1))
                }
                transitions.append(target | (matched ? Self.matchFlag : 0))
            }
            state += 1
        }
        self.transitions = transitions
    }

    private static func step(
        _ program: RegexProgram, _ threads: [Int32], behind: Int, ahead: Int
    ) -> (threads: [Int32], matched: Bool) {
        var seen = Set<Int32>()
        var after: [Int32] = []
        for thread in threads {
            var stack = [thread]
            while let instruction = stack.popLast() {
                guard seen.insert(instruction).inserted else { continue }
                switch program.instructions[Int(instruction)] {
                case .jump(let target): stack.append(Int32(target))
                case .split(let first, let second):
                    stack.append(Int32(second))
                    stack.append(Int32(first))
                case .assertion(let isAhead, let members, let target):
                    if program.memberships[members][isAhead ? ahead : behind] { stack.append(Int32(target)) }
                case .set(let members, let target):
                    if ahead != program.boundary, program.memberships[members][ahead], !after.contains(Int32(target)) {
                        after.append(Int32(target))
                    }
                case .match: return (after, true)
                }
            }
        }
        return (after, false)
    }

    /// The end of the match that begins exactly at `from`, or -1; and how far the matcher looked.
    @inline(__always)
    func matchEnd(
        _ bytes: UnsafePointer<UInt8>, in range: Range<Int>, from: Int, classBehind: Int
    ) -> (end: Int, reached: Int) {
        transitions.withUnsafeBufferPointer { transitions in
            asciiClasses.withUnsafeBufferPointer { asciiClasses in
                var state = startStates[startStates.count == 1 ? 0 : classBehind]
                var position = from
                var end = -1
                while position < range.upperBound {
                    let byte = bytes[position]
                    let kind: Int
                    let length: Int
                    if byte < 0x80 {
                        kind = Int(asciiClasses[Int(byte)])
                        length = 1
                    } else {
                        let decoded = UTF8Scan.scalar(bytes, at: position, end: range.upperBound)
                        kind = Int(classOf[decoded.scalar])
                        length = decoded.length
                    }
                    let step = transitions[Int(state) * stride + kind]
                    if step & Self.matchFlag != 0 { end = position }
                    state = step & ~Self.matchFlag
                    if state == Self.dead { return (end, position) }
                    position += length
                }
                if transitions[Int(state) * stride + stride - 1] & Self.matchFlag != 0 { end = position }
                return (end, position)
            }
        }
    }

    /// The next place at which a match could begin, judged by one scalar; for patterns that do not look behind.
    @inline(__always)
    func skip(_ bytes: UnsafePointer<UInt8>, in range: Range<Int>, from: Int) -> Int {
        transitions.withUnsafeBufferPointer { transitions in
            let row = Int(startStates[0]) * stride
            var position = from
            while position < range.upperBound {
                let (scalar, length) = UTF8Scan.scalar(bytes, at: position, end: range.upperBound)
                guard transitions[row + Int(classOf[scalar])] == Self.dead else { break }
                position += length
            }
            return position
        }
    }
}
