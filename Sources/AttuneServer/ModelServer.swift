import AttuneGeneration
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// An address in the form of OpenAI's in front of a model.
public final class ModelServer: Sendable {
    private let service: ModelService
    private let group: Mutex<ServiceGroup?> = Mutex(nil)

    /// - Parameter log: takes whole lines; standard error where not given.
    public init(_ model: ServedModel, _ options: ServerOptions, log: (@Sendable (String) -> Void)? = nil) {
        service = ModelService(model, options, log: log.map { ServerLog($0) } ?? .standardError)
    }

    /// Serves until `stop`.
    ///
    /// - Parameter onReady: called with the port once connections are accepted.
    /// - Throws: `ServerError` when the address cannot be had.
    public func run(onReady: @escaping @Sendable (Int) -> Void) async throws {
        let options = service.options
        var logger = Logger(label: "attune") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionWatch()], idleTimeout: TimeAmount(options.idleTimeout),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 80 << 10, maxHeaderFieldCount: 256))
        let application = Application(
            responder: Responder(service), server: .http1(configuration: configuration),
            configuration: ApplicationConfiguration(
                address: .hostname(options.host, port: options.port),
                availableConnectionsDelegate: MaximumAvailableConnections(options.maxConnections, logger: logger)),
            onServerRunning: { channel in onReady(channel.localAddress?.port ?? options.port) },
            logger: logger)
        var groupConfiguration = ServiceGroupConfiguration(
            services: [.init(service: application)], gracefulShutdownSignals: [], logger: logger)
        // Connections that do not end by themselves are cut.
        groupConfiguration.maximumGracefulShutdownDuration = options.shutdownTimeout + .seconds(2)
        groupConfiguration.maximumCancellationDuration = .seconds(5)
        let group = ServiceGroup(configuration: groupConfiguration)
        self.group.withLock { $0 = group }
        do {
            try await group.run()
        } catch  where !service.isDraining {
            throw ServerError("cannot listen on \(options.host):\(options.port): \(error)")
        } catch {
            service.log.write("connections were cut after \(options.shutdownTimeout)")
        }
    }

    /// Stops accepting, lets running requests finish within the time limit, then ends them with the reason `abort`.
    public func stop() async {
        service.beginDraining()
        let group = self.group.withLock { $0 }
        async let closing: Void? = group?.triggerGracefulShutdown()
        let end = ContinuousClock.now + .seconds(5)
        while service.arrivingCount > 0, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(2)) }
        await service.model.engine.drain(timeout: service.options.shutdownTimeout)
        _ = await closing
    }
}
