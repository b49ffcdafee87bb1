/// The version of this program and library.
public enum AttuneVersion {
    /// As it stands in model cards and in `attune --version`.
    public static let current = "0.1.0"
}
