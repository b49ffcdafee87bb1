import AttuneTensor

/// The rows an embedding looks up.
enum EmbeddingTable {
    /// The file's own, or the master when the embedding is trained.
    case rows(Tensor)
    /// Those of a tied head's matrix, so that a small model does not hold its largest matrix twice.
    case packed(any PackedWeight)

    /// Bytes that are not the head's.
    var byteCount: Int {
        if case .rows(let table) = self { return table.byteCount }
        return 0
    }

    /// Writes all rows in the type of `out`.
    func copy(to out: Tensor, on backend: any Backend) {
        switch self {
        case .rows(let table): backend.copy(out, table)
        case .packed(let weight): backend.unpack(out, weight)
        }
    }
}
