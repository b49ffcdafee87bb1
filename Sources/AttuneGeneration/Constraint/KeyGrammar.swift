import AttuneJSON

/// Keys of objects that must differ from the listed ones.
enum KeyGrammar {
    /// A JSON string equal to none of `names`. Up to the first difference it is written without escapes, so that no escape
    /// spells a listed name; `rest` is a whole string, whose inside may follow the difference.
    static func excluding(_ names: [String], rest: GrammarNode) -> GrammarNode {
        // Places of the graph: 0 before the quote, 1 after it, then one for each beginning of a name, the end last.
        var children: [[UInt32: Int]] = [[:], [:]]
        var isName = [false, false]
        for name in names {
            var place = 1
            for scalar in name.unicodeScalars {
                if let next = children[place][scalar.value] {
                    place = next
                } else {
                    children.append([:])
                    isName.append(false)
                    children[place][scalar.value] = children.count - 1
                    place = children.count - 1
                }
            }
            isName[place] = true
        }
        let free = children.count
        let end = free + 1
        var edges: [(from: Int, to: Int, node: GrammarNode)] = [(0, 1, .text("\""))]
        let plain = CodePoints.all.subtracting(.jsonEscaped)
        for place in 1..<free {
            let taken = CodePoints(children[place].keys.map { $0...$0 })
            let different = plain.subtracting(taken)
            edges.append((place, free, different.utf8))
            for (scalar, next) in children[place].sorted(by: { $0.key < $1.key }) {
                let same = plain.intersection(CodePoints(scalar))
                if !same.isEmpty { edges.append((place, next, same.utf8)) }
            }
            if !isName[place] { edges.append((place, end, .text("\""))) }
        }
        if case .sequence(let parts) = rest { edges.append((free, end, .sequence(Array(parts.dropFirst())))) }
        return .graph(count: end + 1, edges: edges)
    }
}

/// Patterns for the values of `format`.
enum StringFormat {
    /// The anchored expression of a format; `nil` for formats that only annotate.
    static func pattern(of format: String) -> String? {
        let date = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
        let time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
        let label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        let host = "\(label)(\\.\(label)){0,4}"
        let octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
        return switch format {
        case "date": "^\(date)$"
        case "time": "^\(time)$"
        case "date-time": "^\(date)T\(time)$"
        case "duration": "^P([0-9]{1,4}D(T[0-9]{1,3}H)?|T[0-9]{1,4}(H([0-9]{1,2}M)?|M|S)|[0-9]{1,4}[YMW])$"
        case "email": "^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,32}){0,2}@\(label)(\\.\(label)){1,3}$"
        case "hostname": "^\(host)$"
        case "ipv4": "^\(octet)(\\.\(octet)){3}$"
        case "ipv6": "^([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}$"
        case "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
        case "uri": "^https?://\(host)(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]{0,64}){0,16}(\\?[A-Za-z0-9._~&=-]{0,128})?$"
        default: nil
        }
    }
}
