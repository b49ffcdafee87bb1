/// Ways to fill fixed lengths with rows.
public enum Packing {
    /// Best fit, longest row first, as TRL's `bfd`: each row goes where the least room that suffices is left, and of
    /// equally full bins into the one that reached that fill first.
    ///
    /// Room left is a small number, so the bins stand in queues by room, and a set of rooms kept as bits finds the
    /// smallest that suffices in a few steps.
    /// - Returns: for each bin the indices of its rows in the order they were put in. Empty rows are left out.
    /// - Precondition: no length exceeds the capacity.
    public static func bestFitDecreasing(lengths: [Int], capacity: Int) -> [[Int]] {
        precondition(lengths.allSatisfy { $0 <= capacity }, "a row is longer than the capacity")
        let order = lengths.indices.filter { lengths[$0] > 0 }
            .sorted { (lengths[$1], $0) < (lengths[$0], $1) }
        var bins: [[Int]] = []
        var waiting = [RoomQueue](repeating: RoomQueue(), count: capacity + 1)
        var rooms = RoomSet(capacity: capacity)
        for row in order {
            let length = lengths[row]
            let room: Int
            let bin: Int
            if let found = rooms.smallest(atLeast: length) {
                (room, bin) = (found, waiting[found].takeFirst())
                if waiting[found].isEmpty { rooms.remove(found) }
            } else {
                (room, bin) = (capacity, bins.count)
                bins.append([])
            }
            bins[bin].append(row)
            let left = room - length
            if left > 0 {
                waiting[left].add(bin)
                rooms.insert(left)
            }
        }
        return bins
    }
}

/// First in, first out.
private struct RoomQueue {
    private var bins: [Int] = []
    private var taken = 0

    var isEmpty: Bool { taken == bins.count }

    mutating func add(_ bin: Int) { bins.append(bin) }

    mutating func takeFirst() -> Int {
        taken += 1
        return bins[taken - 1]
    }
}

/// A set of numbers from 1 to a capacity that finds the smallest member not below a number: bits in words, words
/// summarised in words above.
private struct RoomSet {
    private var levels: [[UInt64]] = []

    init(capacity: Int) {
        var count = capacity + 1
        repeat {
            count = (count + 63) / 64
            levels.append([UInt64](repeating: 0, count: count))
        } while count > 1
    }

    mutating func insert(_ value: Int) {
        var place = value
        for level in levels.indices {
            levels[level][place >> 6] |= 1 << UInt64(place & 63)
            place >>= 6
        }
    }

    mutating func remove(_ value: Int) {
        var place = value
        for level in levels.indices {
            levels[level][place >> 6] &= ~(1 << UInt64(place & 63))
            if levels[level][place >> 6] != 0 { return }
            place >>= 6
        }
    }

    func smallest(atLeast value: Int) -> Int? {
        var place = value
        for level in levels.indices {
            let word = place >> 6
            guard word < levels[level].count else { return nil }
            let rest = levels[level][word] & (UInt64.max << UInt64(place & 63))
            if rest != 0 {
                var found = word << 6 | rest.trailingZeroBitCount
                for below in levels[..<level].indices.reversed() {
                    found = found << 6 | levels[below][found].trailingZeroBitCount
                }
                return found
            }
            place = word + 1
        }
        return nil
    }
}
