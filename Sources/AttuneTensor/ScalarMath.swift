#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The C library's functions on single numbers, so that no other room needs the platform's import.
public enum ScalarMath {
    /// Natural logarithm.
    public static func log(_ x: Double) -> Double { platformLog(x) }
    /// Exponential.
    public static func exp(_ x: Double) -> Double { platformExp(x) }
    /// Cosine.
    public static func cos(_ x: Double) -> Double { platformCos(x) }
    /// Sine.
    public static func sin(_ x: Double) -> Double { platformSin(x) }
    /// Power.
    public static func pow(_ x: Double, _ y: Double) -> Double { platformPow(x, y) }
    /// Power in float32.
    public static func pow(_ x: Float, _ y: Float) -> Float { platformPowf(x, y) }
}

private let platformLog: @Sendable (Double) -> Double = { log($0) }
private let platformExp: @Sendable (Double) -> Double = { exp($0) }
private let platformCos: @Sendable (Double) -> Double = { cos($0) }
private let platformSin: @Sendable (Double) -> Double = { sin($0) }
private let platformPow: @Sendable (Double, Double) -> Double = { pow($0, $1) }
private let platformPowf: @Sendable (Float, Float) -> Float = { powf($0, $1) }
