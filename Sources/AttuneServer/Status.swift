import Attune
import AttuneJSON
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
        let base = model.entries[0].name
        let list = model.entries.map { entry -> JSON in
            [
                "id": .string(entry.name), "object": "model", "created": JSON(model.created), "owned_by": "attune",
                "root": .string(entry.root), "parent": entry.adapter == nil ? .null : .string(base),
                "max_model_len": JSON(model.maxModelLength),
            ]
        }
        return Responder.response(["object": "list", "data": .array(list)])
    }
}
