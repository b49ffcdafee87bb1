import Foundation

/// The keys that open the server. An empty ring is an open door.
struct KeyRing: Sendable {
    private let keys: [[UInt8]]

    init(_ keys: [String]) { self.keys = keys.map { Array($0.utf8) } }

    /// How many keys there are.
    var count: Int { keys.count }

    /// The place of the key an `Authorization` header carries, `nil` when none fits; 0 on an empty ring.
    ///
    /// `Bearer KEY` is what programs send; `Basic` with the key as password is what a browser sends after asking its user.
    func open(authorization header: String?) -> Int? {
        guard !keys.isEmpty else { return 0 }
        guard let header, let space = header.firstIndex(of: " ") else { return nil }
        let rest = header[header.index(after: space)...].trimmingCharacters(in: .whitespaces)
        switch header[..<space].lowercased() {
        case "bearer": return place(of: Array(rest.utf8))
        case "basic":
            guard let decoded = Data(base64Encoded: rest), let colon = decoded.firstIndex(of: UInt8(ascii: ":")) else {
                return nil
            }
            return place(of: Array(decoded[(colon + 1)...]))
        default: return nil
        }
    }

    /// Looks at every byte of the candidate against every key, so the time tells nothing of where they differ.
    private func place(of candidate: [UInt8]) -> Int? {
        var found = -1
        for (place, key) in keys.enumerated() {
            var difference = candidate.count ^ key.count
            for (offset, byte) in candidate.enumerated() {
                difference |= Int(byte ^ key[offset % max(1, key.count)])
            }
            if difference == 0, !key.isEmpty { found = place }
        }
        return found >= 0 ? found : nil
    }
}
