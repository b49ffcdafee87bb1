import AttuneGeneration
import AttuneJSON
import AttuneText
import Hummingbird

/// `/v1/completions`.
enum TextCompletions {
    private static let names: Set<String> = [
        "model", "prompt", "stream", "stream_options", "max_tokens", "logprobs", "echo", "best_of", "suffix",
        "response_format", "cache_salt", "add_special_tokens",
    ]
    private static let known = names.union(SamplingOptions.fieldNames).union(OutputForm.guidedNames)
        .union(Ignored.names).union(Ignored.checkedNames)
    private static let promptLimit = 128

    /// A request ready for the engine.
    struct Prepared: Sendable {
        var model: String
        var requests: [GenerationRequest]
        /// What an echo shows of each prompt; `nil` without echo.
        var echoes: [String]?
        var streams: StreamFields

        /// Texts a prompt.
        var n: Int { requests[0].options.n }
        var wantsLogprobs: Bool { requests[0].options.logprobs != nil }
    }

    @Sendable static func respond(_ json: JSON, _ call: Call) async throws -> Response {
        let prepared = try await call.service.pool.run { try prepare(json, call) }
        let streams = try prepared.requests.map { try call.service.submit($0, promptParam: "prompt", call) }
        call.arrival?.finish()
        let head = AnswerHead(id: Call.newID("cmpl-"), model: prepared.model)
        let tokenizer = call.service.model.tokenizer
        guard prepared.streams.isOn else {
            var choices: [JSON] = []
            var usage = Usage()
            for (place, stream) in streams.enumerated() {
                let result = try await call.result(of: stream, n: prepared.n)
                let own = Usage(result)
                usage.prompt += own.prompt
                usage.completion += own.completion
                usage.cached += own.cached
                for (index, text) in result.texts.enumerated() {
                    var log = CompletionLog(tokenizer)
                    let echo = prepared.echoes?[place] ?? ""
                    if prepared.echoes != nil { log.append(result.prompt) }
                    log.append(text.tokens)
                    choices.append(
                        choice(
                            place * prepared.n + index, echo + text.text,
                            prepared.wantsLogprobs ? log.json : .null, text.finish?.reason ?? .abort))
                }
            }
            return Responder.response(object(head, choices, usage: usage.json))
        }
        return EventStream.response(call.connection) { stream in
            try await write(prepared, streams, head, call, to: &stream)
        }
    }

    // MARK: Reading

    private static func prepare(_ json: JSON, _ call: Call) throws(APIError) -> Prepared {
        let fields = Fields(json.objectValue ?? JSONObject())
        let model = call.service.model
        let entry = try model.entry(try fields.required("model"))
        try fields.refuseOthers(than: known)
        try Ignored.check(fields)
        var options = try SamplingOptions(fields, defaults: model.defaults, vocabularySize: model.vocabularySize)
        let echoes = try fields.bool("echo") ?? false
        options.maxNewTokens = try fields.integer("max_tokens", in: (echoes ? 0 : 1)...Int.max) ?? 16
        options.logprobs = try fields.integer("logprobs", in: 0...SamplingOptions.Limit.logprobs)
        options.echo = echoes && (options.logprobs != nil || options.maxNewTokens == 0)
        if let best = try fields.integer("best_of", in: 1...SamplingOptions.Limit.n), best != options.n {
            throw .invalid("best_of", "must equal n: texts are not compared here")
        }
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            throw .invalid("suffix", "this model continues texts, it does not fill gaps")
        }
        let adds = try fields.bool("add_special_tokens") ?? true
        let prompts = try prompts(fields, model, addSpecialTokens: adds)
        let constraint = try call.service.constraint(try OutputForm.read(fields))
        let streams = try StreamFields(fields)
        let salt = try fields.string("cache_salt") ?? ""
        return Prepared(
            model: entry.name,
            requests: prompts.map {
                GenerationRequest(
                    prompt: $0.ids, options: options, adapter: entry.adapter, cacheSalt: salt, constraint: constraint)
            }, echoes: echoes ? prompts.map(\.text) : nil, streams: streams)
    }

    /// A text, several, a list of token ids, or several lists.
    static func prompts(
        _ fields: Fields, _ model: ServedModel, param: String = "prompt", addSpecialTokens: Bool
    ) throws(APIError) -> [(ids: [Int32], text: String)] {
        guard let value = fields[param] else { throw .invalid(param, "is missing; give a text or token ids") }
        var items = [value]
        if let list = value.arrayValue {
            let isOneList = list.first?.intValue != nil
            items = isOneList ? [value] : list
        }
        guard !items.isEmpty, items.count <= promptLimit else {
            throw .invalid(param, "must have 1 to \(promptLimit) entries")
        }
        var prompts: [(ids: [Int32], text: String)] = []
        for item in items {
            if let text = item.stringValue {
                let ids = model.tokenizer.ids(of: text, addSpecialTokens: addSpecialTokens)
                guard !ids.isEmpty else { throw .invalid(param, "must have at least one token") }
                prompts.append((ids, text))
            } else if let list = item.arrayValue, !list.isEmpty {
                var ids: [Int32] = []
                ids.reserveCapacity(list.count)
                for id in list { ids.append(try SamplingOptions.token(id, model.vocabularySize, param)) }
                prompts.append((ids, model.tokenizer.decode(ids, skipSpecialTokens: true)))
            } else {
                throw .invalid(param, "must be a text, a list of texts, or lists of token ids, none empty")
            }
        }
        return prompts
    }

    // MARK: Writing

    private static func choice(_ index: Int, _ text: String, _ logprobs: JSON, _ reason: FinishReason?) -> JSON {
        [
            "index": JSON(index), "text": .string(text), "logprobs": logprobs,
            "finish_reason": reason.map { .string($0.rawValue) } ?? .null,
        ]
    }

    private static func object(_ head: AnswerHead, _ choices: [JSON], usage: JSON?) -> JSON {
        var object = JSONObject([
            (key: "id", value: .string(head.id)), (key: "object", value: "text_completion"),
            (key: "created", value: JSON(head.created)), (key: "model", value: .string(head.model)),
            (key: "choices", value: .array(choices)),
        ])
        if let usage { object["usage"] = usage }
        return .object(object)
    }

    /// Prompts are computed together and written one after the other.
    private static func write(
        _ prepared: Prepared, _ streams: [AsyncThrowingStream<GenerationEvent, any Error>], _ head: AnswerHead,
        _ call: Call, to out: inout EventStream
    ) async throws {
        let tokenizer = call.service.model.tokenizer
        var total = Usage()
        var written = 0
        func usageSoFar(_ place: Int) -> JSON? {
            guard prepared.streams.isContinuous else { return prepared.streams.includesUsage ? .null : nil }
            var usage = Usage()
            usage.prompt = prepared.requests[...place].reduce(0) { $0 + $1.prompt.count }
            usage.completion = written
            return usage.json
        }
        func chunk(_ choice: JSON, _ place: Int) -> JSON { object(head, [choice], usage: usageSoFar(place)) }
        for (place, events) in streams.enumerated() {
            let first = place * prepared.n
            var logs = [CompletionLog](repeating: CompletionLog(tokenizer), count: prepared.n)
            if let echo = prepared.echoes?[place], !prepared.wantsLogprobs {
                for index in 0..<prepared.n {
                    try await out.send(chunk(choice(first + index, echo, .null, nil), place))
                }
            }
            var usage = Usage()
            var open = prepared.n
            for try await event in events {
                switch event {
                case .prompt(let tokens):
                    guard let echo = prepared.echoes?[place], prepared.wantsLogprobs else { continue }
                    for index in 0..<prepared.n {
                        logs[index].append(tokens)
                        let json = logs[index].take()
                        try await out.send(chunk(choice(first + index, echo, json, nil), place))
                    }
                case .token(let index, let token):
                    written += 1
                    logs[index].append([token])
                    guard !token.text.isEmpty else { continue }
                    let json = prepared.wantsLogprobs ? logs[index].take() : .null
                    try await out.send(chunk(choice(first + index, token.text, json, nil), place))
                case .finished(let index, let finish):
                    open -= 1
                    usage.add(finish.usage)
                    if finish.reason == .error || (finish.reason == .abort && call.isOverdue) {
                        let error = finish.reason == .error ? call.failure(finish.error) : call.overdue
                        try await out.send(error.json)
                        return try await out.sendDone()
                    }
                    let json = prepared.wantsLogprobs ? logs[index].take() : .null
                    try await out.send(
                        chunk(choice(first + index, finish.text, json, finish.reason), place))
                }
            }
            guard open == 0 else { throw CancellationError() }
            total.prompt += usage.prompt
            total.completion += usage.completion
            total.cached += usage.cached
        }
        if prepared.streams.includesUsage { try await out.send(object(head, [], usage: total.json)) }
        try await out.sendDone()
    }
}

/// The `logprobs` of a completion: parallel lists, with offsets counted in code points of the text.
struct CompletionLog {
    private let tokenizer: Tokenizer
    private var tokens: [JSON] = []
    private var logprobs: [JSON] = []
    private var tops: [JSON] = []
    private var offsets: [JSON] = []
    private var offset = 0

    init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    mutating func append(_ list: [SampledToken]) { for token in list { append(token.id, token.logprob, token.top) } }

    mutating func append(_ list: [GeneratedToken]) { for token in list { append(token.id, token.logprob, token.top) } }

    private mutating func append(_ id: Int32, _ logprob: Float?, _ top: [TokenLogprob]) {
        let text = TokenLog.text(id, tokenizer)
        tokens.append(.string(text))
        logprobs.append(TokenLog.number(logprob))
        var object = JSONObject()
        // The chosen token stands among its alternatives, as clients expect.
        for entry in top { object[TokenLog.text(entry.id, tokenizer)] = TokenLog.number(entry.logprob) }
        if logprob != nil, object[text] == nil { object[text] = TokenLog.number(logprob) }
        tops.append(logprob == nil ? .null : .object(object))
        offsets.append(JSON(offset))
        if !tokenizer.isSpecial(id) { offset += text.unicodeScalars.count }
    }

    var json: JSON {
        [
            "tokens": .array(tokens), "token_logprobs": .array(logprobs), "top_logprobs": .array(tops),
            "text_offset": .array(offsets),
        ]
    }

    /// What came since the last time.
    mutating func take() -> JSON {
        defer {
            tokens = []
            logprobs = []
            tops = []
            offsets = []
        }
        return json
    }
}
