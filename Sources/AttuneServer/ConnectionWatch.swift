import NIOCore
import Synchronization

/// Tells when the client of a connection has gone, so that nothing is computed for nobody.
final class ConnectionWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = Any

    private struct State {
        var isClosed = false
        var next = 0
        var observers: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { close() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        context.fireChannelInactive()
    }

    private func close() {
        let observers = state.withLock { state in
            defer { state.observers = [:] }
            state.isClosed = true
            return state.observers
        }
        for observer in observers.values { observer() }
    }

    /// Runs work in a task that is cancelled when the client goes.
    func whileOpen<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let task = Task { try await work() }
        let place = state.withLock { state -> Int? in
            guard !state.isClosed else { return nil }
            state.next += 1
            state.observers[state.next] = { task.cancel() }
            return state.next
        }
        if place == nil { task.cancel() }
        defer { if let place { state.withLock { $0.observers[place] = nil } } }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
