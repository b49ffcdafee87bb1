/// Counts of values by size, as Prometheus keeps them.
public struct Histogram: Sendable, Equatable {
    /// Upper bounds, ascending; a last bucket takes the rest.
    public let bounds: [Double]
    /// Values a bucket (not cumulative).
    public private(set) var counts: [Int]
    /// Sum of all values.
    public private(set) var sum = 0.0

    /// An empty histogram.
    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.count + 1)
    }

    /// How many values were recorded.
    public var count: Int { counts.reduce(0, +) }

    /// Adds a value.
    public mutating func record(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}

/// A snapshot of the engine's counters; times in seconds.
public struct EngineMetrics: Sendable, Equatable {
    /// Texts that run.
    public var running = 0
    /// Texts that wait.
    public var waiting = 0
    /// Part of the cache's blocks held by texts, 0…1.
    public var cacheUsage = 0.0
    /// Prompt tokens looked for in the cache.
    public var prefixQueriedTokens = 0
    /// Prompt tokens found there.
    public var prefixHitTokens = 0
    /// Prompt tokens of requests taken.
    public var promptTokens = 0
    /// Tokens generated.
    public var generatedTokens = 0
    /// How often a text lost its blocks.
    public var preemptions = 0
    /// Steps run, and steps in which the model failed.
    public var steps = 0
    /// Steps in which the model failed.
    public var failedSteps = 0
    /// Texts ended, by reason.
    public var finished: [FinishReason: Int] = [:]
    /// Prompt tokens a request.
    public var requestPromptTokens = Histogram(bounds: sizes)
    /// Generated tokens a text.
    public var requestGenerationTokens = Histogram(bounds: sizes)
    /// From arrival to the first token.
    public var timeToFirstToken = Histogram(bounds: [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
    ])
    /// From one token of a text to the next.
    public var interTokenLatency = Histogram(bounds: [
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ])
    /// From arrival to the end.
    public var requestLatency = Histogram(bounds: times)
    /// From arrival to the first computed row.
    public var queueTime = Histogram(bounds: times)
    /// From the first computed row to the first token.
    public var prefillTime = Histogram(bounds: times)
    /// From the first token to the last.
    public var decodeTime = Histogram(bounds: times)

    /// Nothing counted yet.
    public init() {}

    private static let sizes: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000]
    private static let times: [Double] = [0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240]
}
