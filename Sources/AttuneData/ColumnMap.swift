import AttuneJSON

/// The parts a column can play in an example.
public enum ColumnRole: String, Sendable, CaseIterable {
    /// What is asked, in Alpaca rows.
    case instruction
    /// What it is asked about; may be missing.
    case input
    /// The answer, in Alpaca rows.
    case output
    /// System text of an Alpaca row.
    case system
    /// What comes before the completion: text or messages.
    case prompt
    /// What is to be produced: text or messages.
    case completion
    /// A conversation in `role`/`content` form.
    case messages
    /// A conversation in ShareGPT form (`from`/`value`).
    case conversations
    /// Tools the assistant of a conversation may call.
    case tools
    /// Plain text to be modelled.
    case text
}

/// Which column plays which part, when the names in a file are not the usual ones.
public struct ColumnMap: Sendable, Equatable {
    private var names: [ColumnRole: String] = [:]

    /// Every part is played by the column of its own name.
    public init() {}

    /// Reads a recipe's map. Both directions are understood: `{"output": "label"}` (part to column) and
    /// `{"label": "output"}` (column to part).
    /// - Throws: `DataError` when neither side names known parts only, or two columns play one part.
    public init(_ map: [String: String]) throws(DataError) {
        let pairs = map.sorted { $0.key < $1.key }
        let byRole = pairs.compactMap { pair in ColumnRole(rawValue: pair.key).map { ($0, pair.value) } }
        let byColumn = pairs.compactMap { pair in ColumnRole(rawValue: pair.value).map { ($0, pair.key) } }
        let known = ColumnRole.allCases.map(\.rawValue).joined(separator: ", ")
        guard let chosen = [byRole, byColumn].first(where: { $0.count == pairs.count }) else {
            throw DataError(.usage, "columns: cannot tell which side names the parts; the parts are \(known)")
        }
        for (role, column) in chosen {
            guard names.updateValue(column, forKey: role) == nil else {
                throw DataError(.usage, "columns: two columns play '\(role.rawValue)'; name one")
            }
        }
    }

    /// The parts whose columns have other names, as a recipe may write them.
    public var map: [String: String] { Dictionary(uniqueKeysWithValues: names.map { ($0.key.rawValue, $0.value) }) }

    /// The column for a part: its own name unless mapped. A column mapped to one part does not play another.
    func column(_ role: ColumnRole) -> String? {
        if let name = names[role] { return name }
        return names.values.contains(role.rawValue) ? nil : role.rawValue
    }

    /// Whether the user named the column for a part.
    func isMapped(_ role: ColumnRole) -> Bool { names[role] != nil }
}
