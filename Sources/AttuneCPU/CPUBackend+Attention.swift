import AttuneTensor
import CAttuneKernels
import Synchronization

/// What the kernels need of a segment table, as flat arrays.
final class AttentionPlan: Sendable {
    let table: SegmentTable
    let segments: [attune_segment]
    let ranges: [Int64]
    let keyRowCount: Int
    private let parts = Mutex<[PartsKey: AttentionParts]>([:])
    private let runs = Mutex<[RunKey: [attune_byte_run]]>([:])

    init(_ table: SegmentTable) {
        self.table = table
        var segments: [attune_segment] = []
        var ranges: [Int64] = []
        var keyRowCount = 0
        for segment in table.segments {
            segments.append(
                attune_segment(
                    query_start: Int64(segment.queries.lowerBound), query_count: Int64(segment.queries.count),
                    range_start: Int64(ranges.count / 2), range_count: Int64(segment.keys.count),
                    key_count: Int64(segment.keyCount)))
            for range in segment.keys {
                ranges.append(Int64(range.lowerBound))
                ranges.append(Int64(range.count))
                keyRowCount = max(keyRowCount, range.upperBound)
            }
        }
        self.segments = segments
        self.ranges = ranges
        self.keyRowCount = keyRowCount
    }

    private struct PartsKey: Hashable {
        let group: Int
        let window: Int
        let keyWidth: Int
    }

    /// How the backward pass is cut, made once for all layers of a shape.
    func backwardParts(_ shape: AttentionShape) -> AttentionParts {
        parts.withLock { kept in
            let key = PartsKey(
                group: shape.headCount / shape.kvHeadCount, window: shape.window,
                keyWidth: shape.kvHeadCount * shape.headDimension)
            if let known = kept[key] { return known }
            let parts = AttentionParts(
                table, keyRowCount: keyRowCount, group: key.group, window: key.window, keyWidth: key.keyWidth)
            kept[key] = parts
            return parts
        }
    }

    private struct RunKey: Hashable {
        let rowBytes: Int
        let window: Int
    }

    /// More than this would leave the caches again before it is read.
    private static let mostExpectedBytes = 8 << 20

    /// Where the rows lie that queries may see, in pieces short enough for a tile to fetch.
    func visibleRuns(rowBytes: Int, window: Int) -> [attune_byte_run] {
        runs.withLock { kept in
            let key = RunKey(rowBytes: rowBytes, window: window)
            if let known = kept[key] { return known }
            let runs = cutRuns(rowBytes: rowBytes, window: window)
            kept[key] = runs
            return runs
        }
    }

    private func cutRuns(rowBytes: Int, window: Int) -> [attune_byte_run] {
        let piece = Int(ATTUNE_EXPECTED_RUN)
        var runs: [attune_byte_run] = []
        for rows in table.visibleKeys(window: window) {
            let end = rows.upperBound * rowBytes
            for start in stride(from: rows.lowerBound * rowBytes, to: end, by: piece) {
                runs.append(attune_byte_run(offset: Int64(start), bytes: Int64(min(piece, end - start))))
            }
            if runs.count * piece >= Self.mostExpectedBytes { break }
        }
        return runs
    }

    /// Calls `body` with the C view.
    func withView(_ shape: AttentionShape, _ body: (inout attune_attention_plan) -> Void) {
        segments.withUnsafeBufferPointer { segments in
            ranges.withUnsafeBufferPointer { ranges in
                var view = attune_attention_plan()
                view.segments = segments.baseAddress
                view.segment_count = Int64(segments.count)
                view.ranges = ranges.baseAddress
                view.head_count = Int32(shape.headCount)
                view.kv_head_count = Int32(shape.kvHeadCount)
                view.head_dimension = Int32(shape.headDimension)
                view.window = Int32(shape.window)
                view.scale = shape.scale
                view.softcap = shape.softcap
                body(&view)
            }
        }
    }

    /// The same for the backward pass.
    func withBackwardView(_ shape: AttentionShape, _ body: (inout attune_attention_plan) -> Void) {
        let cut = backwardParts(shape)
        withView(shape) { view in
            cut.order.withUnsafeBufferPointer { order in
                cut.parts.withUnsafeBufferPointer { parts in
                    cut.slots.withUnsafeBufferPointer { slots in
                        cut.shared.withUnsafeBufferPointer { shared in
                            view.order = order.baseAddress
                            view.parts = parts.baseAddress
                            view.part_count = Int64(parts.count)
                            view.slots = slots.baseAddress
                            view.shared = shared.baseAddress
                            view.shared_count = Int64(shared.count)
                            view.slot_count = Int64(cut.slotCount)
                            body(&view)
                        }
                    }
                }
            }
        }
    }
}

extension CPUBackend {
    /// Causal attention of segments.
    public func attention(
        _ out: Tensor, logSumExp: Tensor?, q: Tensor, k: Tensor, v: Tensor, _ segments: SegmentTable,
        _ shape: AttentionShape
    ) {
        let plan = plan(segments)
        check(plan, shape, q: q, k: k, v: v)
        checkSame(out, q)
        if let logSumExp { check(logSumExp, rows: q.rows, heads: shape.headCount) }
        var out = matrix(out)
        var q = matrix(q)
        var k = matrix(k)
        var v = matrix(v)
        withMatrix(logSumExp) { lse in
            plan.withView(shape) { attune_attention(machine.pool, &out, lse, &q, &k, &v, &$0) }
        }
    }

    /// Lets products of few rows fetch what attention will read.
    public func expectAttention(k: Tensor, v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape) {
        let plan = plan(segments)
        precondition(k.rows >= plan.keyRowCount && v.rows >= plan.keyRowCount, "keys \(k.shape) of other segments")
        precondition(k.rowStride == v.rowStride && k.dtype == v.dtype, "keys and values of different form")
        let runs = plan.visibleRuns(rowBytes: k.rowStride * k.dtype.byteWidth, window: shape.window)
        let bases: [UnsafeRawPointer?] = [UnsafeRawPointer(k.address), UnsafeRawPointer(v.address)]
        attune_expect(machine.pool, bases, Int64(bases.count), runs, Int64(runs.count))
    }

    /// Gradients of attention.
    public func attentionBackward(
        dq: Tensor, dk: Tensor, dv: Tensor, _ dout: Tensor, out: Tensor, logSumExp: Tensor, q: Tensor, k: Tensor,
        v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape
    ) {
        let plan = plan(segments)
        check(plan, shape, q: q, k: k, v: v)
        for tensor in [dq, dout, out] { checkSame(tensor, q) }
        checkSame(dk, k)
        checkSame(dv, v)
        check(logSumExp, rows: q.rows, heads: shape.headCount)
        var dq = matrix(dq)
        var dk = matrix(dk)
        var dv = matrix(dv)
        var dout = matrix(dout)
        var out = matrix(out)
        var lse = matrix(logSumExp)
        var q = matrix(q)
        var k = matrix(k)
        var v = matrix(v)
        plan.withBackwardView(shape) {
            attune_attention_backward(machine.pool, &dq, &dk, &dv, &dout, &out, &lse, &q, &k, &v, &$0)
        }
    }

    /// The plan of a table, made once for all layers of a batch.
    private func plan(_ table: SegmentTable) -> AttentionPlan {
        attentionPlans.withLock { kept in
            if let kept, kept.table === table { return kept }
            let plan = AttentionPlan(table)
            kept = plan
            return plan
        }
    }

    private func check(_ plan: AttentionPlan, _ shape: AttentionShape, q: Tensor, k: Tensor, v: Tensor) {
        precondition(
            shape.kvHeadCount > 0 && shape.headCount % shape.kvHeadCount == 0,
            "\(shape.kvHeadCount) key heads do not divide \(shape.headCount) heads")
        precondition(
            q.rows == plan.table.tokenCount && q.columns == shape.headCount * shape.headDimension
                && k.columns == shape.kvHeadCount * shape.headDimension && v.columns == k.columns
                && k.rows >= plan.keyRowCount && v.rows >= plan.keyRowCount,
            "attention of \(q.shape), \(k.shape), \(v.shape) with \(shape)")
    }

    private func check(_ lse: Tensor, rows: Int, heads: Int) {
        precondition(
            lse.dtype == .float32 && lse.rows == rows && lse.columns == heads, "logSumExp of shape \(lse.shape)")
    }
}
