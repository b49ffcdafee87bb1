import AttuneModels
import AttuneTensor
import AttuneText

/// What a server is started with; the names follow vLLM's flags.
public struct ServerOptions: Sendable {
    /// Address to listen on.
    public var host = "127.0.0.1"
    /// Port to listen on; 0 takes a free one.
    public var port = 8000
    /// Keys that open the server; none leaves it open.
    public var apiKeys: [String] = []
    /// Bytes of a request's body.
    public var maxBodyBytes = 8 << 20
    /// How long a body may take to arrive.
    public var bodyTimeout: Duration = .seconds(30)
    /// How long a connection may stand without a request, and a request's head may take.
    public var idleTimeout: Duration = .seconds(30)
    /// Connections at once.
    public var maxConnections = 1024
    /// How long a request may take altogether.
    public var requestTimeout: Duration = .seconds(600)
    /// How long running requests may go on after the server was asked to stop.
    public var shutdownTimeout: Duration = .seconds(30)
    /// How long a reader may leave a full connection unread.
    public var slowReaderTimeout: Duration = .seconds(30)
    /// Whether every request is logged.
    public var logsRequests = true
    /// After this long without a step while texts wait, `/health` says so.
    public var stallTimeout: Duration = .seconds(120)

    /// The defaults.
    public init() {}
}

/// How a model is opened for serving.
public struct ServedModelOptions: Sendable {
    /// Names in requests; the first stands in answers. Empty takes the model as it was typed.
    public var servedNames: [String] = []
    /// Adapters by name.
    public var adapters: [(name: String, folder: String)] = []
    /// Compute type; `nil` for the checkpoint's own.
    public var dtype: DType?
    /// Quantization while loading.
    public var quantization: QuantizationChoice?
    /// Random weights, for folders without.
    public var isRandom = false
    /// `prompt_template` by name or file, in place of the contract's.
    public var promptTemplate: String?
    /// Source of a chat template in place of the model's; with `promptTemplate` there is none.
    public var chatTemplate: String?
    /// How tool calls are written; `nil` reads it off the chat template.
    public var toolFormat: ToolCallFormat?
    /// Tokens of a text; `nil` for as many as model and cache allow.
    public var maxModelLength: Int?
    /// Texts at once.
    public var maxSequences = 64
    /// Rows of a step.
    public var maxBatchedTokens = 512
    /// Memory of the key/value cache; `nil` for up to 1 GiB.
    public var cacheBytes: Int?
    /// Whether equal beginnings are computed once.
    public var reusesPrefixes = true
    /// Texts that may wait.
    public var maxWaitingRequests = 256
    /// Prompt tokens that may wait.
    public var maxWaitingTokens = 1 << 18
    /// Whether `generation_config.json` gives the defaults of sampling; otherwise OpenAI's hold.
    public var usesGenerationConfig = true
    /// Bytes of events a reader may lag behind before its text is held back.
    public var streamBufferBytes = 256 << 10
    /// How long a text is held back before it is ended.
    public var slowReaderTimeout: Duration = .seconds(30)

    /// The defaults.
    public init() {}
}

/// Why a server cannot start.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    /// One line: what, where, what next.
    public let description: String
    /// Whether the command line is at fault, rather than a file.
    public let isUsage: Bool

    init(_ description: String, isUsage: Bool = false) {
        self.description = description
        self.isUsage = isUsage
    }
}
