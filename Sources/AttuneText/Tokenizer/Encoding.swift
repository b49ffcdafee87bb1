/// The tokens of one text; the three lists have the same length.
public struct Encoding: Sendable, Equatable {
    /// Ids in the vocabulary.
    public var ids: [Int32] = []
    /// Tokens as written in the vocabulary; added tokens, and words unknown to a Unigram model, as found in the text.
    public var tokens: [String] = []
    /// The UTF-8 bytes of the text that each token stands for, always whole characters; empty for tokens that a
    /// post-processor added.
    public var offsets: [Range<Int>] = []
}
