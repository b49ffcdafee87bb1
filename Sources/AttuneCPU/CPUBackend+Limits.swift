import CAttuneKernels

extension CPUBackend {
    /// Floating-point operations a second of all threads with every operand in registers, measured now (a few tens of
    /// milliseconds).
    public func measureMultiplyLimit() -> Double { attune_multiply_limit(machine.pool) }

    /// Bytes a second all threads together read from memory, measured now over `byteCount` bytes, which should be well
    /// beyond the caches; 0 when the memory is refused.
    public func measureReadLimit(byteCount: Int = 256 << 20) -> Double {
        attune_read_limit(machine.pool, Int64(byteCount))
    }
}
