import AttuneGeneration
import AttuneJSON
import Hummingbird

/// `/metrics` in Prometheus' text form; the names after the colon are vLLM's.
enum MetricsText {
    @Sendable static func respond(_: JSON, _ call: Call) async throws -> Response {
        let model = call.service.model
        let text = Self.text(
            model.engine.metrics, statuses: call.service.statuses, model: model.entries[0].name)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    static func text(_ metrics: EngineMetrics, statuses: [Int: Int], model: String) -> String {
        var writer = Writer(label: "model_name=\"\(escaped(model))\"")
        writer.gauge("num_requests_running", "Texts that run.", Double(metrics.running))
        writer.gauge("num_requests_waiting", "Texts that wait.", Double(metrics.waiting))
        writer.gauge("kv_cache_usage_perc", "Part of the cache's blocks in use, 0 to 1.", metrics.cacheUsage)
        writer.counter(
            "prefix_cache_queries", "Prompt tokens looked for in the cache.", metrics.prefixQueriedTokens)
        writer.counter("prefix_cache_hits", "Prompt tokens found in the cache.", metrics.prefixHitTokens)
        writer.counter("prompt_tokens", "Prompt tokens taken.", metrics.promptTokens)
        writer.counter("generation_tokens", "Tokens generated.", metrics.generatedTokens)
        writer.counter("num_preemptions", "Texts that lost their blocks.", metrics.preemptions)
        writer.counter(
            "request_success", "Texts ended, by reason.",
            FinishReason.allCases.map { ("finished_reason=\"\($0.rawValue)\"", metrics.finished[$0] ?? 0) })
        writer.counter(
            "http_requests", "Answers, by status.",
            statuses.sorted { $0.key < $1.key }.map { ("status=\"\($0.key)\"", $0.value) })
        writer.histogram("request_prompt_tokens", "Prompt tokens a request.", metrics.requestPromptTokens)
        writer.histogram("request_generation_tokens", "Tokens a text.", metrics.requestGenerationTokens)
        writer.histogram("time_to_first_token_seconds", "From arrival to the first token.", metrics.timeToFirstToken)
        writer.histogram("inter_token_latency_seconds", "From token to token.", metrics.interTokenLatency)
        writer.histogram("e2e_request_latency_seconds", "From arrival to the end.", metrics.requestLatency)
        writer.histogram("request_queue_time_seconds", "From arrival to the first row.", metrics.queueTime)
        writer.histogram("request_prefill_time_seconds", "From the first row to the first token.", metrics.prefillTime)
        writer.histogram("request_decode_time_seconds", "From the first token to the last.", metrics.decodeTime)
        return writer.text
    }

    /// A label's value.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in LogText.escaped(text).unicodeScalars {
            if scalar == "\\" || scalar == "\"" { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    private struct Writer {
        let label: String
        var text = ""

        private mutating func head(_ name: String, _ help: String, _ type: String) {
            text += "# HELP attune:\(name) \(help)\n# TYPE attune:\(name) \(type)\n"
        }

        mutating func gauge(_ name: String, _ help: String, _ value: Double) {
            head(name, help, "gauge")
            text += "attune:\(name){\(label)} \(value)\n"
        }

        mutating func counter(_ name: String, _ help: String, _ value: Int) {
            head(name + "_total", help, "counter")
            text += "attune:\(name)_total{\(label)} \(value)\n"
        }

        mutating func counter(_ name: String, _ help: String, _ values: [(label: String, value: Int)]) {
            head(name + "_total", help, "counter")
            for (own, value) in values { text += "attune:\(name)_total{\(label),\(own)} \(value)\n" }
        }

        mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
            head(name, help, "histogram")
            var count = 0
            for (place, bound) in histogram.bounds.enumerated() {
                count += histogram.counts[place]
                text += "attune:\(name)_bucket{\(label),le=\"\(bound)\"} \(count)\n"
            }
            text += "attune:\(name)_bucket{\(label),le=\"+Inf\"} \(histogram.count)\n"
            text += "attune:\(name)_sum{\(label)} \(histogram.sum)\n"
            text += "attune:\(name)_count{\(label)} \(histogram.count)\n"
        }
    }
}
