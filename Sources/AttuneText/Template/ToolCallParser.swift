import AttuneJSON

/// Cuts generated text, as it comes, into content and tool calls.
///
/// No part of a marker and no white space before one ever becomes content; text that only began like a call and turns
/// out to be none is handed on unchanged. Feed pieces of any size with `consume`, then call `finish` once.
public struct ToolCallParser: Sendable {
    private enum State: Sendable {
        /// Nothing but white space so far, where a call may begin without a marker.
        case beginning
        /// Ordinary text.
        case content
        /// After a marker or a call: what comes next decides.
        case betweenCalls
        /// Inside a Mistral call, reading the name before its arguments.
        case name
        /// Inside the object of a call.
        case object
    }

    private let format: ToolCallFormat
    private let makeID: @Sendable () -> String
    private var state: State
    /// Bytes not yet decided on.
    private var pending: [UInt8] = []
    /// All bytes since the opening of the call under way; they become content if it is none.
    private var raw: [UInt8] = []
    private var object = ToolCallObject()
    private var nextIndex = 0
    private var isInList = false
    private var hasStarted = false

    /// A parser for one answer.
    ///
    /// - Parameters:
    ///   - format: the model's way of writing calls.
    ///   - makeID: makes the id of a call; ids must differ within a conversation.
    public init(format: ToolCallFormat, makeID: @escaping @Sendable () -> String = ToolCallParser.randomID) {
        self.format = format
        self.makeID = makeID
        state = format.opening == nil ? .beginning : .content
    }

    /// Nine letters and digits, which every format accepts (Mistral's templates demand just that).
    @Sendable public static func randomID() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        return String((0..<9).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }

    /// Whether a call has begun, so that the answer ends because of tool calls.
    public var hasCalls: Bool { nextIndex > 0 }

    /// Takes the next piece of text.
    public mutating func consume(_ text: String) -> [ToolCallEvent] {
        var events: [ToolCallEvent] = []
        for byte in text.utf8 { step(byte, &events) }
        if state == .content { flushContent(&events, isEnd: false) }
        if state == .object { flushArguments(&events) }
        return Self.merged(events)
    }

    /// Ends the answer; whatever was held back is decided now.
    public mutating func finish() -> [ToolCallEvent] {
        var events: [ToolCallEvent] = []
        switch state {
        case .beginning, .content: flushContent(&events, isEnd: true)
        case .object where hasStarted: flushArguments(&events)
        case .betweenCalls where nextIndex > 0: break
        case .betweenCalls, .name, .object:
            pending = raw
            flushContent(&events, isEnd: true)
        }
        pending = []
        raw = []
        return Self.merged(events)
    }

    private mutating func step(_ byte: UInt8, _ events: inout [ToolCallEvent]) {
        switch state {
        case .beginning: stepBeginning(byte, &events)
        case .content:
            pending.append(byte)
            guard let opening = format.opening, pending.suffix(opening.utf8.count).elementsEqual(opening.utf8) else {
                return
            }
            pending.removeLast(opening.utf8.count)
            let kept = TemplateText(pending).strippedRange(nil, leading: false).upperBound
            raw = Array(pending[kept...]) + Array(opening.utf8)
            pending.removeLast(pending.count - kept)
            flushContent(&events, isEnd: true)
            state = .betweenCalls
        case .betweenCalls: stepBetweenCalls(byte, &events)
        case .name:
            raw.append(byte)
            pending.append(byte)
            guard byte == UInt8(ascii: "{") else {
                if pending.count > 512 { abandon() }
                return
            }
            // name, name[ARGS] or name[CALL_ID]id[ARGS]
            let parts = String(decoding: pending.dropLast(), as: UTF8.self)
            let name = parts.prefix { $0 != "[" }.trimmingSpaces()
            object = ToolCallObject()
            object.name = name
            if let mark = parts.range(of: "[CALL_ID]", end: "[ARGS]") { object.id = mark }
            object.isArgumentsOnly = true
            pending = []
            state = .object
            stepObject(byte, &events)
        case .object:
            raw.append(byte)
            stepObject(byte, &events)
        }
    }

    private mutating func stepBeginning(_ byte: UInt8, _ events: inout [ToolCallEvent]) {
        pending.append(byte)
        let start = TemplateText(pending).strippedRange(nil, trailing: false).lowerBound
        let head = pending[start...]
        let tag = Array("<|python_tag|>".utf8)
        if head.isEmpty || (format == .llama3 && head.count < tag.count && tag.starts(with: head)) { return }
        if format == .llama3, head.elementsEqual(tag) {
            raw = pending
            pending = []
            state = .betweenCalls
        } else if byte == UInt8(ascii: "{") || (byte == UInt8(ascii: "[") && format == .json), head.count == 1 {
            raw = Array(pending.dropLast())
            pending = []
            state = .betweenCalls
            stepBetweenCalls(byte, &events)
        } else {
            state = .content
        }
    }

    private mutating func stepBetweenCalls(_ byte: UInt8, _ events: inout [ToolCallEvent]) {
        raw.append(byte)
        if Unicode.Scalar(byte).isPythonSpace, byte < 0x80, pending.isEmpty { return }
        if !pending.isEmpty || byte == UInt8(ascii: "<") || (byte == UInt8(ascii: "[") && nextIndex > 0 && !isInList) {
            stepMarker(byte)
            return
        }
        switch byte {
        case UInt8(ascii: "{"):
            object = ToolCallObject()
            hasStarted = false
            state = .object
            stepObject(byte, &events)
        case UInt8(ascii: "[") where format != .hermes && format != .llama3 && !isInList: isInList = true
        case UInt8(ascii: ",") where isInList: break
        case UInt8(ascii: ";") where format == .llama3: break
        case UInt8(ascii: "]") where isInList: isInList = false
        default:
            if format == .mistral, !isInList {
                pending = [byte]
                hasStarted = false
                state = .name
            } else {
                abandon()
            }
        }
    }

    /// Between calls: the closing of the last call or the opening of the next.
    private mutating func stepMarker(_ byte: UInt8) {
        pending.append(byte)
        let markers = [format.opening ?? "<|python_tag|>", "</tool_call>"]
        if markers.contains(where: { pending.elementsEqual($0.utf8) }) {
            pending = []
        } else if !markers.contains(where: { $0.utf8.starts(with: pending) }) {
            abandon()
        }
    }

    private mutating func stepObject(_ byte: UInt8, _ events: inout [ToolCallEvent]) {
        object.append(byte)
        if object.isBroken {
            // What was already told of the call stays told; the rest is no JSON and is dropped with it.
            if hasStarted { state = .betweenCalls } else { abandon() }
            return
        }
        if !hasStarted, let name = object.name, object.hasArguments || object.isComplete {
            hasStarted = true
            events.append(.call(index: nextIndex, id: object.id ?? makeID(), name: name))
            nextIndex += 1
        }
        guard object.isComplete else { return }
        guard hasStarted else {
            abandon()
            return
        }
        flushArguments(&events)
        raw = []
        hasStarted = false
        state = .betweenCalls
    }

    /// What looked like a call is none: its text is content.
    private mutating func abandon() {
        pending = nextIndex > 0 && raw.allSatisfy { Unicode.Scalar($0).isPythonSpace } ? [] : raw
        raw = []
        isInList = false
        hasStarted = false
        state = .content
    }

    private mutating func flushArguments(_ events: inout [ToolCallEvent]) {
        guard hasStarted else { return }
        let piece = object.takeArguments()
        if !piece.isEmpty {
            events.append(.arguments(index: nextIndex - 1, text: String(decoding: piece, as: UTF8.self)))
        }
    }

    /// Hands on what cannot be the beginning of a marker, nor white space before one, nor half a character.
    private mutating func flushContent(_ events: inout [ToolCallEvent], isEnd: Bool) {
        var end = pending.count
        if !isEnd {
            if let opening = format.opening {
                let marker = Array(opening.utf8)
                var overlap = min(marker.count - 1, pending.count)
                while overlap > 0, !pending.suffix(overlap).elementsEqual(marker.prefix(overlap)) { overlap -= 1 }
                end -= overlap
                end = TemplateText(Array(pending[..<end])).strippedRange(nil, leading: false).upperBound
            }
        }
        guard end > 0 else { return }
        events.append(.content(String(decoding: pending[..<end], as: UTF8.self)))
        pending.removeFirst(end)
    }

    private static func merged(_ events: [ToolCallEvent]) -> [ToolCallEvent] {
        var merged: [ToolCallEvent] = []
        for event in events {
            switch (merged.last, event) {
            case (.content(let first)?, .content(let second)):
                merged[merged.count - 1] = .content(first + second)
            case (.arguments(let index, let first)?, .arguments(let other, let second)) where index == other:
                merged[merged.count - 1] = .arguments(index: index, text: first + second)
            default: merged.append(event)
            }
        }
        return merged
    }
}

extension StringProtocol {
    fileprivate func trimmingSpaces() -> String {
        let text = TemplateText(String(self))
        return text.slice(text.strippedRange(nil)).string
    }

    /// What stands between two marks.
    fileprivate func range(of begin: String, end: String) -> String? {
        let text = TemplateText(String(self))
        guard let start = text.firstIndex(of: Array(begin.utf8)).map({ $0 + begin.utf8.count }) else { return nil }
        let stop = text.firstIndex(of: Array(end.utf8), from: start) ?? text.bytes.count
        return text.slice(start..<stop).string.trimmingSpaces()
    }
}
