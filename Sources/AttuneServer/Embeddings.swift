import AttuneJSON
import Foundation
import Hummingbird

/// `/v1/embeddings`: means of hidden states. The answer says so under `pooling`.
enum Embeddings {
    private static let names: Set<String> = ["model", "input", "encoding_format", "dimensions"]

    @Sendable static func respond(_ json: JSON, _ call: Call) async throws -> Response {
        let model = call.service.model
        guard let embedder = model.embedder else {
            throw APIError(status: 404, message: "This server has no embeddings.", code: "not_found")
        }
        let prepared = try await call.service.pool.run { try prepare(json, model, limit: embedder.limit) }
        guard embedder.reserve(prepared.inputs.count) else { throw APIError.overloaded(retryAfter: 1) }
        defer { embedder.release(prepared.inputs.count) }
        call.arrival?.finish()
        let vectors = try await call.connection.whileOpen {
            var vectors: [[Float]] = []
            for input in prepared.inputs {
                try Task.checkCancellation()
                vectors.append(try await embedder.embedding(of: input, adapter: prepared.adapter))
            }
            return vectors
        }
        let count = prepared.inputs.reduce(0) { $0 + $1.count }
        let data = vectors.enumerated().map { place, vector -> JSON in
            let embedding: JSON =
                prepared.isBase64
                ? .string(vector.withUnsafeBytes { Data($0) }.base64EncodedString())
                : .array(vector.map { JSON(Double($0)) })
            return ["object": "embedding", "index": JSON(place), "embedding": embedding]
        }
        return Responder.response([
            "object": "list", "model": .string(prepared.name), "data": .array(data),
            "pooling": "mean of the last hidden states, scaled to length 1",
            "usage": ["prompt_tokens": JSON(count), "total_tokens": JSON(count)],
        ])
    }

    private struct Prepared: Sendable {
        var name: String
        var adapter: String?
        var inputs: [[Int32]]
        var isBase64: Bool
    }

    private static func prepare(_ json: JSON, _ model: ServedModel, limit: Int) throws(APIError) -> Prepared {
        let fields = Fields(json.objectValue ?? JSONObject())
        let entry = try model.entry(try fields.required("model"))
        try fields.refuseOthers(than: names.union(Ignored.names))
        let format = try fields.string("encoding_format") ?? "float"
        guard format == "float" || format == "base64" else {
            throw .invalid("encoding_format", "must be float or base64")
        }
        if fields["dimensions"] != nil { throw .invalid("dimensions", "these embeddings cannot be shortened") }
        let inputs = try TextCompletions.prompts(fields, model, param: "input", addSpecialTokens: true).map(\.ids)
        if let long = inputs.first(where: { $0.count > limit }) {
            throw .invalid(
                "input", "has \(long.count) tokens; at most \(limit) fit", code: "context_length_exceeded")
        }
        return Prepared(name: entry.name, adapter: entry.adapter, inputs: inputs, isBase64: format == "base64")
    }
}
