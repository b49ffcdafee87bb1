extension GenerationLoop {
    /// Continues every prompt, running the steps in place.
    ///
    /// - Parameters:
    ///   - constraint: a grammar every text must follow.
    ///   - progress: called after each finished prompt with how many are finished.
    /// - Returns: one result a prompt, in their order.
    /// - Throws: `GenerationError` for the first prompt that is not possible, before anything is computed.
    public func generateAll(
        _ prompts: [[Int32]], options: SamplingOptions, adapter: String? = nil,
        constraint: (any TokenConstraint)? = nil, progress: ((Int) -> Void)? = nil
    ) throws(GenerationError) -> [GenerationResult] {
        var results = [GenerationResult](repeating: GenerationResult(n: options.n), count: prompts.count)
        var finished = 0
        var submitted: [Int] = []
        do throws(GenerationError) {
            for (place, prompt) in prompts.enumerated() {
                let request = GenerationRequest(
                    prompt: prompt, options: options, adapter: adapter, constraint: constraint)
                submitted.append(
                    try submit(request) { event in
                        results[place].apply(event)
                        guard case .finished = event, results[place].isFinished else { return }
                        finished += 1
                        progress?(finished)
                    })
            }
        } catch {
            for id in submitted { cancel(id) }
            throw error
        }
        while finished < prompts.count, step() {}
        return results
    }
}
