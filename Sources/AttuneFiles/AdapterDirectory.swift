import AttuneJSON
import AttuneTensor

/// A LoRA adapter folder of PEFT: `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
public struct AdapterDirectory: TensorSource {
    static let configurationName = "adapter_config.json"
    static let weightsName = "adapter_model.safetensors"
    static let pickledWeightsName = "adapter_model.bin"

    /// The folder with the two files.
    public let path: String
    /// What kind of adapter it is.
    public let configuration: AdapterConfiguration
    /// Names of the base model's modules that carry a low-rank pair, in the order of the file.
    public let modules: [String]
    /// Whole tensors in the file, by their names in the base model: saved modules and biases. A tensor of a module that
    /// also carries a pair is found under its plain name (`embed_tokens.weight`, not `embed_tokens.base_layer.weight`).
    public let plainTensorNames: [String]
    private let source: any TensorSource
    private let fileNames: [AdapterTensorName: String]

    /// Opens an adapter.
    ///
    /// - Parameters:
    ///   - nameOrPath: a folder, or the hub name of a cached adapter.
    ///   - adapterName: PEFT keeps adapters named other than `default` in a folder of that name.
    /// - Throws: `FilesError`.
    public init(
        _ nameOrPath: String, adapterName: String = "default",
        environment: HubCache.Environment = HubCache.processEnvironment
    ) throws(FilesError) {
        let folder = try HubCache.locate(nameOrPath, environment: environment)
        path = try Self.folder(folder, adapterName)
        let configurationPath = Folder.path(path, Self.configurationName)
        guard Folder.hasFile(configurationPath) else {
            let isModel = Folder.hasFile(Folder.path(path, "config.json"))
            throw .missing(
                path: configurationPath,
                hint: isModel ? "this folder is a model, not an adapter" : "give the folder of a PEFT adapter")
        }
        configuration = try AdapterConfiguration(try WholeFile.readJSON(configurationPath), path: configurationPath)
        let weights = Folder.path(path, Self.weightsName)
        let pickled = Folder.path(path, Self.pickledWeightsName)
        if Folder.hasFile(weights) {
            source = try SafetensorsFile(weights)
        } else if Folder.hasFile(pickled) {
            source = try TorchCheckpoint(pickled)
        } else {
            throw .missing(path: weights, hint: "the adapter has a configuration but no weights; copy them too")
        }

        var fileNames: [AdapterTensorName: String] = [:]
        var modules: [String] = []
        var plain: [String] = []
        var seen: Set<ByteString> = []
        for fileName in source.tensorNames {
            guard var name = AdapterTensorName(parsing: fileName) else {
                throw .invalid(
                    path: source.path,
                    problem:
                        "tensor '\(fileName)' does not begin with '\(AdapterTensorName.prefix)'; is it a PEFT adapter?")
            }
            if name.part == nil {
                name.module = Self.withoutWrapper(name.module)
                plain.append(name.module)
            } else if seen.insert(ByteString(name.module)).inserted {
                modules.append(name.module)
            }
            guard fileNames.updateValue(fileName, forKey: name) == nil else {
                throw .invalid(path: source.path, problem: "two tensors for '\(name.fileName)'")
            }
        }
        self.fileNames = fileNames
        self.modules = modules
        plainTensorNames = plain
    }

    /// The names in the file.
    public var tensorNames: [String] { source.tensorNames }

    /// Type and shape of a tensor, by its name in the file.
    public func description(of name: String) -> TensorDescription? { source.description(of: name) }

    /// A tensor by its name in the file.
    /// - Throws: `FilesError`.
    public func tensor(named name: String) throws(FilesError) -> Tensor { try source.tensor(named: name) }

    /// One part of the pair at a module, or `nil` when the file has none.
    /// - Throws: `FilesError`.
    public func tensor(module: String, part: AdapterTensorName.Part) throws(FilesError) -> Tensor? {
        guard let name = fileNames[AdapterTensorName(module: module, part: part)] else { return nil }
        return try source.tensor(named: name)
    }

    /// A tensor saved whole, by its name in the base model, or `nil` when the file has none.
    /// - Throws: `FilesError`.
    public func plainTensor(named name: String) throws(FilesError) -> Tensor? {
        guard let fileName = fileNames[AdapterTensorName(module: name, part: nil)] else { return nil }
        return try source.tensor(named: fileName)
    }

    /// Writes an adapter that PEFT, vLLM and Attune open. The folder is made if it is missing; each file appears whole.
    ///
    /// - Returns: the folder with the two files: `path`, or the folder of the adapter's name in it.
    /// - Throws: `FilesError`.
    @discardableResult
    public static func write(
        configuration: AdapterConfiguration, tensors: [(name: AdapterTensorName, tensor: Tensor)], to path: String,
        adapterName: String = "default"
    ) throws(FilesError) -> String {
        let folder = try folder(path, adapterName)
        try Folder.create(folder)
        try SafetensorsWriter.write(
            tensors: tensors.map { ($0.name.fileName, $0.tensor) }, metadata: ["format": "pt"],
            to: Folder.path(folder, weightsName))
        try AtomicFile.write(configuration.json.utf8(.sortedPretty), to: Folder.path(folder, configurationName))
        return folder
    }

    private static func folder(_ path: String, _ adapterName: String) throws(FilesError) -> String {
        guard adapterName != "default" else { return path }
        guard ShardIndex.isPlain(adapterName) else {
            throw .invalid(path: path, problem: "adapter name '\(adapterName)' is no plain folder name")
        }
        return Folder.path(path, adapterName)
    }

    /// Removes what PEFT's wrappers put into the name of a tensor.
    private static func withoutWrapper(_ name: String) -> String {
        for wrapper in [".base_layer.", ".modules_to_save."] {
            let parts = name.split(separator: wrapper, omittingEmptySubsequences: false)
            if parts.count == 2 { return parts.joined(separator: ".") }
        }
        return name
    }
}
