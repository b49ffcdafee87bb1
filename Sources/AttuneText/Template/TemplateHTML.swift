/// Escaping as markupsafe does it.
enum TemplateHTML {
    static func escaped(_ text: TemplateText) -> TemplateText {
        if text.isMarkup { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.bytes.count)
        for byte in text.bytes {
            switch byte {
            case UInt8(ascii: "&"): bytes.append(contentsOf: "&amp;".utf8)
            case UInt8(ascii: "<"): bytes.append(contentsOf: "&lt;".utf8)
            case UInt8(ascii: ">"): bytes.append(contentsOf: "&gt;".utf8)
            case UInt8(ascii: "'"): bytes.append(contentsOf: "&#39;".utf8)
            case UInt8(ascii: "\""): bytes.append(contentsOf: "&#34;".utf8)
            default: bytes.append(byte)
            }
        }
        var result = TemplateText(bytes, isMarkup: true)
        if bytes.count == text.bytes.count {
            result.marks = text.marks
        } else {
            result = result.attributed(to: text.origin)
        }
        return result
    }
}
