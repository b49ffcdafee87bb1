/// Merges long words: symbols in a linked list, candidate merges in one list of places per rank.
///
/// A long word holds few different pairs but each many times, so the places of one rank are taken left to right from a
/// plain list and only the ranks themselves need a heap. The order of merges is that of the textbook loop: lowest rank
/// first, leftmost among equals.
struct MergeLinks: Sendable {
    private var previous: [Int32] = []
    private var next: [Int32] = []
    /// The bucket of every rank, -1 for none.
    private var bucketOfRank: [Int32] = []
    private var buckets: [Bucket] = []
    private var freeBuckets: [Int32] = []
    /// Ranks with a bucket, as a binary heap.
    private var heap: [UInt32] = []

    private struct Bucket: Sendable {
        var places: [Int32] = []
        var done = 0
        var isSorted = true
    }

    /// Joins symbols until no merge applies.
    mutating func merge(_ symbols: inout [Int32], _ lengths: inout [Int32], by table: MergeTable) {
        let count = symbols.count
        previous.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        for place in 0..<count {
            previous.append(Int32(place) - 1)
            next.append(place + 1 < count ? Int32(place) + 1 : -1)
        }
        for place in 0..<(count - 1) {
            let found = table.find(symbols[place], symbols[place + 1])
            if found != MergeTable.none { add(rank: UInt32(found >> 32), place: Int32(place)) }
        }
        while let rank = heap.first {
            let number = Int(bucketOfRank[Int(rank)])
            sort(number)
            guard buckets[number].done < buckets[number].places.count else {
                close(rank, number)
                continue
            }
            let place = Int(buckets[number].places[buckets[number].done])
            buckets[number].done += 1
            // Length 0 marks a symbol that was joined to its left neighbour.
            guard lengths[place] > 0, next[place] >= 0 else { continue }
            let right = Int(next[place])
            let found = table.find(symbols[place], symbols[right])
            guard found != MergeTable.none, UInt32(found >> 32) == rank else { continue }
            symbols[place] = Int32(truncatingIfNeeded: found & 0xFFFF_FFFF)
            lengths[place] &+= lengths[right]
            lengths[right] = 0
            let behind = next[right]
            next[place] = behind
            let before = previous[place]
            if before >= 0 {
                let found = table.find(symbols[Int(before)], symbols[place])
                if found != MergeTable.none { add(rank: UInt32(found >> 32), place: before) }
            }
            if behind >= 0 {
                previous[Int(behind)] = Int32(place)
                let found = table.find(symbols[place], symbols[Int(behind)])
                if found != MergeTable.none { add(rank: UInt32(found >> 32), place: Int32(place)) }
            }
        }
        var kept = 0
        for place in 0..<count where lengths[place] > 0 {
            symbols[kept] = symbols[place]
            lengths[kept] = lengths[place]
            kept += 1
        }
        symbols.removeLast(count - kept)
        lengths.removeLast(count - kept)
    }

    private mutating func add(rank: UInt32, place: Int32) {
        while bucketOfRank.count <= Int(rank) {
            bucketOfRank.append(contentsOf: repeatElement(-1, count: max(1024, bucketOfRank.count)))
        }
        var number = Int(bucketOfRank[Int(rank)])
        if number < 0 {
            if let free = freeBuckets.popLast() {
                number = Int(free)
            } else {
                number = buckets.count
                buckets.append(Bucket())
            }
            bucketOfRank[Int(rank)] = Int32(number)
            push(rank)
        }
        if let last = buckets[number].places.last, last > place { buckets[number].isSorted = false }
        buckets[number].places.append(place)
    }

    private mutating func sort(_ number: Int) {
        guard !buckets[number].isSorted else { return }
        buckets[number].places[buckets[number].done...].sort()
        buckets[number].isSorted = true
    }

    private mutating func close(_ rank: UInt32, _ number: Int) {
        bucketOfRank[Int(rank)] = -1
        buckets[number].places.removeAll(keepingCapacity: true)
        buckets[number].done = 0
        freeBuckets.append(Int32(number))
        pop()
    }

    private mutating func push(_ rank: UInt32) {
        heap.append(rank)
        var child = heap.count - 1
        while child > 0, case let parent = (child - 1) / 2, heap[parent] > heap[child] {
            heap.swapAt(parent, child)
            child = parent
        }
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var best = parent
            for child in [parent * 2 + 1, parent * 2 + 2] where child < heap.count && heap[child] < heap[best] {
                best = child
            }
            guard best != parent else { return }
            heap.swapAt(parent, best)
            parent = best
        }
    }
}
