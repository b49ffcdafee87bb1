import Attune
import AttuneJSON
import Foundation
import Hummingbird

/// What the server says of itself.
enum Status {
    /// 200 while texts can be continued, 503 while the server goes down or the engine stands still.
    @Sendable static func health(_: JSON, _ call: Call) async throws -> Response {
        if call.service.isDraining { throw APIError.shuttingDown }
        if call.service.isStalled {
            throw APIError(
                status: 503, message: "The engine has not advanced for \(call.service.options.stallTimeout).",
                type: "server_error", code: "engine_stalled")
        }
        return Response(status: .ok)
    }

    @Sendable static func version(_: JSON, _ call: Call) async throws -> Response {
        Responder.response(["version": .string(AttuneVersion.current)])
    }

    @Sendable static func models(_: JSON, _ call: Call) async throws -> Response {
        let model = call.service.model
        return Responder.response(["object": "list", "data": .array(model.entries.map { json($0, model) })])
    }

    /// One of them by its name, percent-encoded as clients do with `./merged_model`.
    /// - Throws: `APIError` 404.
    static func model(_ encodedName: String, _ call: Call) throws(APIError) -> Response {
        let model = call.service.model
        return Responder.response(json(try model.entry(encodedName.removingPercentEncoding ?? encodedName), model))
    }

    private static func json(_ entry: ServedModel.Entry, _ model: ServedModel) -> JSON {
        [
            "id": .string(entry.name), "object": "model", "created": JSON(model.created), "owned_by": "attune",
            "root": .string(entry.root),
            "parent": entry.adapter == nil ? .null : .string(model.entries[0].name),
            "max_model_len": JSON(model.maxModelLength),
        ]
    }
}
