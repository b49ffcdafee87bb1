import AttuneTensor
import CAttuneKernels

extension CPUBackend {
    /// Floating-point operations a second of all threads with every operand in registers, measured now (a few tens of
    /// milliseconds).
    /// - Parameter type: what is multiplied; bfloat16 is faster than float32 where the machine multiplies it in pairs.
    public func measureMultiplyLimit(_ type: DType) -> Double { attune_multiply_limit(machine.pool, kernelType(type)) }

    /// Bytes a second all threads together read from memory, measured now over `byteCount` bytes, which should be well
    /// beyond the caches; 0 when the memory is refused.
    public func measureReadLimit(byteCount: Int = 256 << 20) -> Double {
        attune_read_limit(machine.pool, Int64(byteCount))
    }
}
