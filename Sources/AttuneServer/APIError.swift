import AttuneGeneration
import AttuneJSON

/// An answer other than success, in OpenAI's form.
struct APIError: Error {
    var status: Int
    var message: String
    var type = "invalid_request_error"
    var param: String?
    var code: String?
    /// Seconds after which another try makes sense.
    var retryAfter: Int?

    /// `{"error": {…}}`.
    var json: JSON {
        [
            "error": [
                "message": .string(message), "type": .string(type), "param": param.map(JSON.string) ?? .null,
                "code": code.map(JSON.string) ?? .null,
            ]
        ]
    }

    /// 400: one parameter is wrong.
    static func invalid(_ param: String?, _ message: String, code: String? = nil) -> APIError {
        let text = param.map { "\($0): \(message)" } ?? message
        return APIError(status: 400, message: text, param: param, code: code)
    }

    /// 404: no such model.
    static func unknownModel(_ name: String) -> APIError {
        APIError(
            status: 404, message: "The model \(quoted(name)) does not exist; ask GET /v1/models for those that do.",
            param: "model", code: "model_not_found")
    }

    /// 429: the queue is full.
    static func overloaded(retryAfter: Int) -> APIError {
        APIError(
            status: 429, message: "The server is overloaded; try again in \(retryAfter) s.", type: "rate_limit_error",
            code: "rate_limit_exceeded", retryAfter: retryAfter)
    }

    /// 503: the server goes down.
    static let shuttingDown = APIError(
        status: 503, message: "The server is shutting down; send the request to another one.", type: "server_error",
        code: "service_unavailable", retryAfter: 5)

    /// 500: what went wrong stands in the log under the request's id, never in the answer.
    static func `internal`(_ requestID: String) -> APIError {
        APIError(
            status: 500, message: "The server could not answer; its log tells more about request \(requestID).",
            type: "server_error", code: "internal_error")
    }

    /// A text from the client within a message: cut, and without characters a terminal would obey.
    static func quoted(_ text: String) -> String { "'" + LogText.escaped(text, limit: 100) + "'" }

    /// What the engine refuses.
    /// - Parameters:
    ///   - promptParam: what the request calls its text.
    ///   - retryAfter: seconds to advise when the queue is full.
    init(_ error: GenerationError, promptParam: String, retryAfter: Int, requestID: String) {
        switch error {
        case .invalidParameter(let name, let message):
            self = .invalid(name == "prompt" ? promptParam : name, message)
        case .tooLong(let tokens, let limit):
            self = .invalid(
                promptParam, "the request needs \(tokens) tokens but at most \(limit) fit; shorten it",
                code: "context_length_exceeded")
        case .unknownAdapter(let name): self = .unknownModel(name)
        case .overloaded: self = .overloaded(retryAfter: retryAfter)
        case .shuttingDown: self = .shuttingDown
        case .grammar(let error): self = .invalid("response_format", error.description)
        case .notFinite, .stepFailed: self = .internal(requestID)
        }
    }

    init(
        status: Int, message: String, type: String = "invalid_request_error", param: String? = nil,
        code: String? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.retryAfter = retryAfter
    }
}

/// Text of clients on its way into a log or a message.
enum LogText {
    /// Control characters and line breaks become escapes, so one line stays one line; long texts are cut.
    static func escaped(_ text: String, limit: Int = 200) -> String {
        var result = ""
        for (place, scalar) in text.unicodeScalars.enumerated() {
            guard place < limit else { return result + "…" }
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            let isBreakOrBidi =
                (0x2028...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
            if isControl || isBreakOrBidi {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
