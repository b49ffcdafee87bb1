import AttuneJSON
import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A plain HTTP/1.1 client over one socket, so that tests can also do what no decent client does.
final class Wire: @unchecked Sendable {
    /// The other side closed or sent no HTTP.
    struct Broken: Error { var text: String }

    /// An answer.
    struct Answer: Sendable {
        var status: Int
        /// By lowercased name; lines of one name parted by line breaks.
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSON { (try? JSON(parsing: body)) ?? .null }
        /// The error's members.
        var error: JSON { json["error"] ?? .null }

        /// The `data:` lines of a stream as JSON, and whether it ended with `[DONE]`.
        func events() throws -> (events: [JSON], isDone: Bool) {
            var events: [JSON] = []
            var isDone = false
            for block in text.components(separatedBy: "\n\n") {
                for line in block.split(separator: "\n") where line.hasPrefix("data: ") {
                    if line == "data: [DONE]" {
                        isDone = true
                    } else {
                        events.append(try JSON(parsing: String(line.dropFirst(6))))
                    }
                }
            }
            return (events, isDone)
        }
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var isOpen = true

    /// Connects to a port of this machine. A small receive buffer makes a slow reader of it.
    init(port: Int, receiveBuffer: Int32? = nil) throws {
        #if canImport(Glibc)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var patience = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            _ = close(descriptor)
            throw Broken(text: "cannot connect: \(errno)")
        }
    }

    deinit { disconnect() }

    /// Closes the socket.
    func disconnect() {
        guard isOpen else { return }
        isOpen = false
        _ = close(descriptor)
    }

    /// Sends bytes. Returns false when the other side no longer takes them.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                #if canImport(Darwin)
                Foundation.write(descriptor, raw.baseAddress.map { $0 + sent }, bytes.count - sent)
                #else
                Foundation.send(descriptor, raw.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
                #endif
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// More bytes into the buffer. Returns false at the end of the stream.
    func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        buffer += chunk[..<count]
        return true
    }

    /// What has been read and not used.
    var received: [UInt8] { buffer }

    /// The status and headers of the next answer.
    func head() throws -> Answer {
        let mark = Array("\r\n\r\n".utf8)
        while true {
            if let end = buffer.firstRange(of: mark) {
                let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                buffer.removeFirst(end.upperBound)
                let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                var headers: [String: [String]] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    let value = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
                    headers[parts[0].lowercased(), default: []].append(value)
                }
                return Answer(status: status, headers: headers.mapValues { $0.joined(separator: "\n") }, body: [])
            }
            guard fill() else { throw Broken(text: "closed before an answer") }
        }
    }

    /// The next whole answer.
    func answer(hasBody: Bool = true) throws -> Answer {
        var answer = try head()
        guard hasBody else { return answer }
        if answer.headers["transfer-encoding"] == "chunked" {
            while true {
                let size = Int(try line(), radix: 16) ?? 0
                while buffer.count < size + 2 { guard fill() else { throw Broken(text: "closed within a chunk") } }
                answer.body += buffer[..<size]
                buffer.removeFirst(size + 2)
                if size == 0 { return answer }
            }
        }
        let length = answer.headers["content-length"].flatMap { Int($0) } ?? 0
        while buffer.count < length { guard fill() else { throw Broken(text: "closed within a body") } }
        answer.body = Array(buffer[..<length])
        buffer.removeFirst(length)
        return answer
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstRange(of: Array("\r\n".utf8)) {
                let line = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                buffer.removeFirst(end.upperBound)
                return line
            }
            guard fill() else { throw Broken(text: "closed within a line") }
        }
    }

    // MARK: Requests

    /// Runs blocking work on a thread of its own, away from those the server needs.
    static func away<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { continuation.resume(with: Result { try work() }) }
            thread.start()
        }
    }

    /// The bytes of a request.
    static func bytes(
        _ method: String, _ path: String, body: [UInt8]? = nil, headers: [(String, String)] = []
    ) -> [UInt8] {
        var text = "\(method) \(path) HTTP/1.1\r\nhost: localhost\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body {
            if !headers.contains(where: { $0.0 == "content-type" }) { text += "content-type: application/json\r\n" }
            text += "content-length: \(body.count)\r\n"
        }
        return Array((text + "\r\n").utf8) + (body ?? [])
    }
}
