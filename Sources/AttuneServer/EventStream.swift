import AttuneJSON
import Hummingbird
import NIOCore

/// Server-sent events to one client. A write that stays stuck closes the connection.
struct EventStream {
    private var writer: any ResponseBodyWriter
    private let connection: Connection

    init(_ writer: any ResponseBodyWriter, _ connection: Connection) {
        self.writer = writer
        self.connection = connection
    }

    /// `data: …`, and `event: …` before it when the event has a name.
    mutating func send(_ json: JSON, event: String? = nil) async throws {
        var bytes: [UInt8] = []
        if let event { bytes += Array("event: \(event)\n".utf8) }
        bytes += Array("data: ".utf8)
        bytes += json.utf8()
        bytes += Array("\n\n".utf8)
        try await write(bytes)
    }

    /// OpenAI's end of a stream.
    mutating func sendDone() async throws { try await write(Array("data: [DONE]\n\n".utf8)) }

    private mutating func write(_ bytes: [UInt8]) async throws {
        let alarm = connection.closeUnless(within: connection.slowReaderTimeout)
        defer { alarm?.cancel() }
        try await writer.write(ByteBuffer(bytes: bytes))
    }

    /// A response that streams what `body` sends; the body's task ends when the client goes.
    static func response(
        _ connection: Connection, _ body: @escaping @Sendable (inout EventStream) async throws -> Void
    ) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache"],
            body: ResponseBody { writer in
                let lent = Lent(writer)
                try await connection.whileOpen {
                    var stream = EventStream(lent.value, connection)
                    try await body(&stream)
                }
                try await writer.finish(nil)
            })
    }
}

/// A value lent to one task that its owner awaits; nobody uses it twice at once.
private struct Lent<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}

/// The client's connection as routes use it.
struct Connection: Sendable {
    private let channel: (any Channel)?
    private let watch: ConnectionWatch?
    let slowReaderTimeout: Duration

    init(channel: (any Channel)?, watch: ConnectionWatch?, slowReaderTimeout: Duration) {
        self.channel = channel
        self.watch = watch
        self.slowReaderTimeout = slowReaderTimeout
    }

    /// Runs work in a task that is cancelled when the client goes.
    func whileOpen<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        guard let watch else { return try await work() }
        return try await watch.whileOpen(work)
    }

    /// Closes the connection after a while unless the returned alarm is cancelled.
    func closeUnless(within time: Duration) -> Scheduled<Void>? {
        guard let channel else { return nil }
        return channel.eventLoop.scheduleTask(in: TimeAmount(time)) { channel.close(promise: nil) }
    }
}
