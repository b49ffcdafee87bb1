/// What an engine is set up with.
public struct EngineOptions: Sendable {
    /// Rows of a step, texts at once, blocks.
    public var scheduler = SchedulerOptions()
    /// Token ids that end a text (the model's end-of-text tokens).
    public var endTokens: Set<Int32> = []
    /// Tokens of prompt and output together.
    public var maxModelLength = 4096
    /// Names of the loaded adapters.
    public var adapters: Set<String> = []
    /// Texts that may wait before requests are refused.
    public var maxWaitingRequests = 1024
    /// Prompt tokens that may wait before requests are refused.
    public var maxWaitingTokens = 1 << 20
    /// Bytes of events a reader may lag behind before its text is held back.
    public var streamBufferBytes = 256 << 10
    /// How long a text is held back before it is aborted.
    public var slowReaderTimeout: Duration = .seconds(30)

    /// Defaults for a server on a CPU.
    public init() {}

    /// Checks a request against the model, and shortens its token limit to the room that is left.
    ///
    /// - Parameters:
    ///   - vocabularySize: ids of the prompt must lie below.
    ///   - cacheLength: tokens of the longest text that fits the cache.
    /// - Throws: `GenerationError` naming the parameter.
    func checked(
        _ request: GenerationRequest, vocabularySize: Int, cacheLength: Int
    ) throws(GenerationError) -> GenerationRequest {
        var request = request
        try request.options.validate(vocabularySize: vocabularySize)
        guard !request.prompt.isEmpty else {
            throw .invalidParameter(name: "prompt", message: "must have at least one token")
        }
        if let id = request.prompt.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
            throw .invalidParameter(
                name: "prompt", message: "token id \(id) lies outside the vocabulary of \(vocabularySize)")
        }
        if let adapter = request.adapter, !adapters.contains(adapter) { throw .unknownAdapter(adapter) }
        guard request.options.n <= scheduler.maxSequences else {
            throw .invalidParameter(name: "n", message: "at most \(scheduler.maxSequences) texts run at once")
        }
        let limit = min(maxModelLength, cacheLength)
        let room = limit - request.prompt.count
        guard room >= min(1, request.options.maxNewTokens) else {
            throw .tooLong(tokens: request.prompt.count + min(1, request.options.maxNewTokens), limit: limit)
        }
        request.options.maxNewTokens = min(request.options.maxNewTokens, room)
        request.options.minTokens = min(request.options.minTokens, request.options.maxNewTokens)
        return request
    }
}
