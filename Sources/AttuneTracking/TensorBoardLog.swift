import AttuneJSON

/// Writes TensorBoard event files: records of length, masked CRC-32C, an `Event` message in protocol-buffer form, and
/// its masked CRC-32C. Each function gives bytes to append to the file.
public enum TensorBoardLog {
    /// A file name that TensorBoard takes for an event file.
    public static func fileName(wallTime: Double, host: String, process: Int) -> String {
        "events.out.tfevents.\(Int(max(0, min(wallTime, 9e15)))).\(host).\(process).0"
    }

    /// The record every file begins with.
    public static func header(wallTime: Double) -> [UInt8] {
        var event = Message()
        event.add(1, double: wallTime)
        event.add(3, bytes: Array("brain.Event:2".utf8))
        return record(event.bytes)
    }

    /// The scalars of a log entry under the tags transformers gives them: `eval/…` for evaluation, `train/…` for
    /// others.
    public static func record(_ entry: LogEntry, wallTime: Double) -> [UInt8] {
        var summary = Message()
        for (key, value) in entry.values.members where key != "step" {
            guard let number = value.doubleValue else { continue }
            var scalar = Message()
            scalar.add(1, bytes: Array(tag(key).utf8))
            scalar.add(2, float: Float(number))
            summary.add(1, bytes: scalar.bytes)
        }
        var event = Message()
        event.add(1, double: wallTime)
        event.add(2, integer: UInt64(max(0, entry.step)))
        event.add(5, bytes: summary.bytes)
        return record(event.bytes)
    }

    private static func tag(_ key: String) -> String {
        key.hasPrefix("eval_") ? "eval/" + key.dropFirst(5) : "train/" + key
    }

    private static func record(_ data: [UInt8]) -> [UInt8] {
        let length = littleEndian(UInt64(data.count))
        return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
    }

    private static func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<(Value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
    }

    /// Fields of a protocol-buffer message.
    private struct Message {
        var bytes: [UInt8] = []

        mutating func varint(_ value: UInt64) {
            var value = value
            while value >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
                value >>= 7
            }
            bytes.append(UInt8(value))
        }

        mutating func add(_ field: UInt64, integer: UInt64) {
            varint(field << 3)
            varint(integer)
        }

        mutating func add(_ field: UInt64, double: Double) {
            varint(field << 3 | 1)
            bytes += littleEndian(double.bitPattern)
        }

        mutating func add(_ field: UInt64, bytes content: [UInt8]) {
            varint(field << 3 | 2)
            varint(UInt64(content.count))
            bytes += content
        }

        mutating func add(_ field: UInt64, float: Float) {
            varint(field << 3 | 5)
            bytes += littleEndian(float.bitPattern)
        }
    }
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78).
enum CRC32C {
    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(0xFFFF_FFFF as UInt32) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
    }

    /// Rotated and shifted, as records store it, so that a checksum of a checksum is not zero.
    static func masked(_ bytes: [UInt8]) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }

    private static let table: [UInt32] = (0..<256).map { start in
        (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? 0x82F6_3B78 ^ value >> 1 : value >> 1 }
    }
}
