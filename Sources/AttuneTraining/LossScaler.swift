/// The factor float16 training puts on its loss so that small gradients survive: halved after an overflow, doubled after 2,000 steps
/// without one (as PyTorch's GradScaler does).
struct LossScaler: Sendable, Equatable {
    private(set) var scale: Double
    private(set) var goodSteps = 0
    let isActive: Bool

    init(isActive: Bool, scale: Double = 65_536, goodSteps: Int = 0) {
        self.isActive = isActive
        self.scale = isActive ? scale : 1
        self.goodSteps = goodSteps
    }

    mutating func stepWasFinite(_ isFinite: Bool) {
        guard isActive else { return }
        if !isFinite {
            scale = max(1, scale / 2)
            goodSteps = 0
        } else {
            goodSteps += 1
            if goodSteps == 2_000 {
                scale = min(scale * 2, 16_777_216)
                goodSteps = 0
            }
        }
    }
}
