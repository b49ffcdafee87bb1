import AttuneJSON
import HTTPTypes
import Hummingbird
import NIOCore

/// The door: keys first, then an exact table of paths. What is not in the table does not exist.
struct Responder: HTTPResponder {
    typealias Context = ServerContext

    private typealias Route = @Sendable (JSON, Call) async throws -> Response

    private let service: ModelService
    private let reads: [String: Route]
    private let writes: [String: Route]

    init(_ service: ModelService) {
        self.service = service
        reads = [
            "/": Page.respond, "/health": Status.health, "/version": Status.version, "/metrics": MetricsText.respond,
            "/v1/models": Status.models,
        ]
        writes = [
            "/v1/chat/completions": ChatCompletions.respond, "/v1/completions": TextCompletions.respond,
            "/v1/responses": Responses.respond, "/v1/embeddings": Embeddings.respond,
            "/tokenize": TokenizeRoutes.tokenize, "/detokenize": TokenizeRoutes.detokenize,
        ]
    }

    func respond(to request: Request, context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let id = Call.newID("req-")
        let connection = await context.connection(slowReaderTimeout: service.options.slowReaderTimeout)
        var response: Response
        do {
            response = try await answer(request, id: id, connection)
        } catch let error as APIError {
            response = Self.response(error)
        } catch is CancellationError {
            // The client has gone; nobody reads this.
            response = Response(status: .init(code: 499, reasonPhrase: "Client Closed Request"))
        } catch {
            service.log.write("\(id) failed: \(error)")
            response = Self.response(.internal(id))
        }
        if request.method == .head { response = response.createHeadResponse() }
        let time = Int((ContinuousClock.now - start) / .milliseconds(1))
        if let name = HTTPField.Name("x-request-id") { response.headers[name] = id }
        if let name = HTTPField.Name("openai-processing-ms") { response.headers[name] = "\(time)" }
        response.headers[.xContentTypeOptions] = "nosniff"
        service.count(status: response.status.code)
        if service.options.logsRequests {
            let path = LogText.escaped(Self.path(request), limit: 100)
            service.log.write(
                "\(id) \(request.method.rawValue) \(path) \(response.status.code) \(time) ms")
        }
        return response
    }

    /// The path without its query, as it was sent: nothing is decoded or tidied.
    private static func path(_ request: Request) -> String {
        let full = request.head.path ?? ""
        return full.firstIndex(of: "?").map { String(full[..<$0]) } ?? full
    }

    private func answer(_ request: Request, id: String, _ connection: Connection) async throws -> Response {
        let path = Self.path(request)
        let place: Int
        if path == "/health" {
            place = 0
        } else {
            guard let found = service.keys.open(authorization: request.headers[.authorization]) else {
                throw APIError(
                    status: 401, message: "The API key is missing or wrong; send 'Authorization: Bearer KEY'.",
                    code: "invalid_api_key")
            }
            place = found
        }
        let salt = service.keys.count > 1 ? "key \(place)\n" : ""
        let isRead = request.method == .get || request.method == .head
        if isRead {
            let call = Call(id: id, connection: connection, salt: salt, service: service, arrival: nil)
            if let route = reads[path] { return try await route(.null, call) }
            let models = "/v1/models/"
            if path.utf8.starts(with: models.utf8), path.utf8.count > models.utf8.count {
                return try Status.model(String(path.dropFirst(models.count)), call)
            }
        }
        if request.method == .post, let route = writes[path] {
            let arrival = try service.beginArrival()
            defer { arrival.finish() }
            let call = Call(id: id, connection: connection, salt: salt, service: service, arrival: arrival)
            return try await route(try await json(request, connection), call)
        }
        let allowed = reads[path] != nil ? "GET, HEAD" : writes[path] != nil ? "POST" : nil
        guard let allowed else {
            throw APIError(status: 404, message: "There is nothing at \(APIError.quoted(path)).", code: "not_found")
        }
        var response = Self.response(
            APIError(
                status: 405, message: "\(APIError.quoted(path)) takes \(allowed) only.", code: "method_not_allowed"))
        response.headers[.allow] = allowed
        return response
    }

    // MARK: Bodies

    private func json(_ request: Request, _ connection: Connection) async throws -> JSON {
        let limit = service.options.maxBodyBytes
        let type = (request.headers[.contentType] ?? "").prefix { $0 != ";" }.lowercased()
        guard type.filter({ $0 != " " }) == "application/json" else {
            throw APIError(
                status: 415, message: "Send the body as 'Content-Type: application/json'.",
                code: "unsupported_media_type")
        }
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw tooLarge(connection)
        }
        let body = try await collect(request, connection, limit)
        return try await service.pool.run { try Self.object(body) }
    }

    private func collect(_ request: Request, _ connection: Connection, _ limit: Int) async throws -> [UInt8] {
        let alarm = connection.closeUnless(within: service.options.bodyTimeout)
        defer { alarm?.cancel() }
        var bytes: [UInt8] = []
        for try await buffer in request.body {
            guard bytes.count + buffer.readableBytes <= limit else { throw tooLarge(connection) }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }

    private static func object(_ body: [UInt8]) throws(APIError) -> JSON {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: body, maximumDepth: 64)
        } catch {
            throw .invalid(nil, "The body is no JSON: \(error.description)", code: "invalid_json")
        }
        guard json.objectValue != nil else {
            throw .invalid(nil, "The body must be a JSON object.", code: "invalid_json")
        }
        return json
    }

    /// What still comes of a body that is too large is not waited for.
    private func tooLarge(_ connection: Connection) -> APIError {
        _ = connection.closeUnless(within: .seconds(2))
        return APIError(
            status: 413, message: "The body is larger than \(service.options.maxBodyBytes) bytes.",
            code: "request_too_large")
    }

    // MARK: Answers

    static func response(_ error: APIError) -> Response {
        var response = Self.response(error.json, status: error.status)
        if let seconds = error.retryAfter { response.headers[.retryAfter] = "\(seconds)" }
        if error.status == 401 {
            // A line each: Chromium reads one challenge a line, and asks its user for the key only where it finds Basic.
            response.headers[values: .wwwAuthenticate] = ["Bearer", "Basic realm=\"attune\""]
        }
        return response
    }

    static func response(_ json: JSON, status: Int = 200) -> Response {
        Response(
            status: .init(code: status), headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.utf8())))
    }
}

/// What a request brings beside its bytes: the channel it came through.
struct ServerContext: InitializableFromSource {
    private let channel: any Channel

    init(source: ApplicationRequestContextSource) { channel = source.channel }

    /// The connection, with word of its end.
    func connection(slowReaderTimeout: Duration) async -> Connection {
        let watch = try? await channel.pipeline.handler(type: ConnectionWatch.self).get()
        return Connection(channel: channel, watch: watch, slowReaderTimeout: slowReaderTimeout)
    }
}
