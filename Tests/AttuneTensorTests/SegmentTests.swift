import AttuneTensor
import Testing

@Suite struct SegmentTests {
    /// By definition: query i of n sees the first `keyCount − n + i + 1` keys, of them the last `window`.
    private func seen(_ table: SegmentTable, window: Int) -> [Int] {
        table.segments.flatMap { segment in
            let keys = segment.keys.flatMap { Array($0) }
            var rows: Set<Int> = []
            for query in 0..<segment.queries.count {
                let all = keys.prefix(keys.count - segment.queries.count + query + 1)
                rows.formUnion(window > 0 ? all.suffix(window) : all)
            }
            return rows.sorted()
        }
    }

    @Test(arguments: [0, 1, 2, 16, 17, 40, 1000]) func visibleKeysAreThoseOfTheDefinition(window: Int) {
        let table = SegmentTable([
            Segment(queries: 0..<1, keys: [32..<48, 64..<80, 0..<5].sorted { $0.lowerBound < $1.lowerBound }),
            Segment(queries: 1..<4, keys: [100..<116, 116..<119]),
            Segment(rows: 4..<9),
            Segment(queries: 9..<10, keys: [200..<201]),
        ])
        let visible = table.visibleKeys(window: window)
        #expect(visible.allSatisfy { !$0.isEmpty })
        #expect(visible.flatMap { Array($0) } == seen(table, window: window))
        if window == 1 { #expect(visible.count == 4) }
    }
}
