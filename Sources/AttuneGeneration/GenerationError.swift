/// Why a request could not be taken or finished.
public enum GenerationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A sampling option is out of its range; the server answers 400 and names the parameter.
    case invalidParameter(name: String, message: String)
    /// The request does not fit the model or the cache; the server answers 400.
    case tooLong(tokens: Int, limit: Int)
    /// No adapter of this name was loaded; the server answers 404.
    case unknownAdapter(String)
    /// The queue is full; the server answers 429.
    case overloaded(waitingRequests: Int, waitingTokens: Int)
    /// The engine takes no more requests; the server answers 503.
    case shuttingDown
    /// The grammar cannot be compiled or followed; the server answers 400.
    case grammar(GrammarError)
    /// The model gave not-a-number or infinite logits.
    case notFinite(step: Int)
    /// The step itself failed.
    case stepFailed(String)

    /// One line: what, where, what next.
    public var description: String {
        switch self {
        case .invalidParameter(let name, let message): "\(name): \(message)"
        case .tooLong(let tokens, let limit):
            "the request needs \(tokens) tokens but at most \(limit) fit; shorten the prompt or lower max_tokens"
        case .unknownAdapter(let name): "no adapter named \(name.debugDescription) is loaded"
        case .overloaded(let requests, let tokens):
            "the queue is full (\(requests) requests, \(tokens) tokens wait); try again later"
        case .shuttingDown: "the engine is shutting down; send the request to another server"
        case .grammar(let error): error.description
        case .notFinite(let step):
            "the model's logits at step \(step) are not finite; check the weights or use a wider compute type"
        case .stepFailed(let text): "the model could not run: \(text)"
        }
    }
}
