/// How a model writes the calls of tools into its text.
public enum ToolCallFormat: String, Sendable, CaseIterable {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen 2.5 and 3 and many others.
    case hermes
    /// A bare `{"name": …, "parameters": {…}}`, perhaps after `<|python_tag|>`; several are parted by `;`: Llama 3.
    case llama3
    /// `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, or the later `[TOOL_CALLS]name[ARGS]{…}`: Mistral.
    case mistral
    /// The whole answer is an object with `name` and `arguments`, or a list of such.
    case json

    /// The format a chat template shows its model; `json` when it shows none of the known ones.
    public init(templateSource source: String) {
        let text = TemplateText(source)
        func has(_ marker: String) -> Bool { text.firstIndex(of: Array(marker.utf8)) != nil }
        if has("[TOOL_CALLS]") {
            self = .mistral
        } else if has("<tool_call>") {
            self = .hermes
        } else if has("<|python_tag|>") || (has("<|start_header_id|>") && has("\"parameters\"")) {
            self = .llama3
        } else {
            self = .json
        }
    }

    /// What opens a call in the midst of text; `nil` when calls are only recognised at the beginning.
    var opening: String? {
        switch self {
        case .hermes: "<tool_call>"
        case .mistral: "[TOOL_CALLS]"
        case .llama3, .json: nil
        }
    }
}

/// A piece of a model's answer.
public enum ToolCallEvent: Sendable, Equatable {
    /// Text for the reader.
    case content(String)
    /// A call begins: its place among the calls of this answer, its id, and the function's name.
    case call(index: Int, id: String, name: String)
    /// The next piece of the arguments of a call, as JSON text.
    case arguments(index: Int, text: String)
}
