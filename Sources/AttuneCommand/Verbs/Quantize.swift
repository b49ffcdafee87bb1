import ArgumentParser
import Attune
import AttuneFiles
import AttuneJSON
import AttuneTensor

/// `attune quantize`: a checkpoint in few bits that transformers and bitsandbytes load.
struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model in four or eight bits, as bitsandbytes stores it.",
        discussion: "Example: attune quantize meta/model --output model-nf4 --type nf4 --double-quant")

    @Argument(help: "A model folder or a cached hub name.")
    var model: String
    @Option(help: "The folder to write; it must not hold anything yet.")
    var output: String
    @Option(help: "nf4, fp4 or int8.")
    var type: String
    @Flag(help: "Quantize the block scales too (nf4 and fp4).")
    var doubleQuant = false
    @Option(help: "Elements that share a scale (nf4 and fp4).")
    var blockSize = 64
    @Option(help: "The largest weight file, such as 5GB.")
    var maxShardSize: String?
    @OptionGroup var machine: MachineOptions

    func run() throws {
        try Failure.guarding {
            guard let format = QuantizationFormat(rawValue: type) else {
                throw CommandError.usage("--type \(type): give nf4, fp4 or int8")
            }
            guard format != .int8 || !doubleQuant else {
                throw CommandError.usage("--double-quant is for nf4 and fp4; int8 has one scale a row")
            }
            guard blockSize >= 32, blockSize <= 4096, blockSize.nonzeroBitCount == 1 else {
                throw CommandError.usage("--block-size \(blockSize): give 32, 64, 128, 256, 512, 1024, 2048 or 4096")
            }
            let shardSize = try maxShardSize.map { text in
                guard let size = ShardedWriter.byteCount(parsing: text) else {
                    throw CommandError.usage("--max-shard-size \(text): write it as 5GB or 500MB")
                }
                return size
            }
            let directory = try ModelDirectory(model)
            guard directory.config["quantization_config"] == nil else {
                throw FilesError.invalid(path: directory.path, problem: "is quantized already; give the original model")
            }
            let folder = try AtomicFolder(output)
            if Folder.exists(output), try !Folder.names(in: output).isEmpty {
                throw FilesError.invalid(
                    path: output, problem: "exists already and is not empty; choose another path or remove it")
            }
            let backend = try machine.makeBackend()
            var tensors: [(name: String, tensor: Tensor)] = []
            var parameters = 0
            for name in directory.tensorNames {
                let tensor = try directory.tensor(named: name)
                parameters += tensor.count
                guard isBlockMatrix(name, tensor) else {
                    tensors.append((name, tensor))
                    continue
                }
                let quantized = try backend.quantize(
                    tensor, format: format, blockSize: blockSize, doubleQuantization: doubleQuant)
                tensors += try BitsAndBytes.entries(for: quantized, name: name)
            }
            try ShardedWriter.write(
                tensors: tensors, to: folder.temporaryPath,
                maximumByteCount: shardSize ?? ShardedWriter.defaultMaximumByteCount, totalParameters: parameters)
            var config = directory.config.objectValue ?? JSONObject()
            config["quantization_config"] = configuration(format, LanguageModel.checkpointType(directory))
            try AtomicFile.write(
                JSON.object(config).utf8(.sortedPretty) + [UInt8(ascii: "\n")], to: folder.path(of: "config.json"))
            for file in directory.companionFiles {
                try AtomicFile.write(
                    WholeFile.read(file, limit: 1 << 30), to: folder.path(of: Folder.split(file).name))
            }
            for template in directory.additionalChatTemplates {
                let place = folder.path(of: "additional_chat_templates")
                try Folder.create(place)
                try AtomicFile.write(
                    WholeFile.read(template.path, limit: 1 << 24), to: Folder.path(place, template.name + ".jinja"))
            }
            try folder.commit()
        }
    }

    /// What bitsandbytes replaces: linear layers of the blocks. Embedding, head, norms and biases stay as they are.
    private func isBlockMatrix(_ name: String, _ tensor: Tensor) -> Bool {
        name.contains("layers.") && name.hasSuffix(".weight") && tensor.shape.count == 2 && tensor.count > 0
            && tensor.dtype.isComputeType
    }

    /// `BitsAndBytesConfig.to_dict()` of transformers.
    private func configuration(_ format: QuantizationFormat, _ computeType: DType) -> JSON {
        let isFourBit = format != .int8
        return [
            "_load_in_4bit": JSON(isFourBit), "_load_in_8bit": JSON(!isFourBit),
            "bnb_4bit_compute_dtype": .string(isFourBit ? computeType.torchName : "float32"),
            "bnb_4bit_quant_storage": "uint8", "bnb_4bit_quant_type": .string(isFourBit ? format.rawValue : "fp4"),
            "bnb_4bit_use_double_quant": JSON(doubleQuant), "llm_int8_enable_fp32_cpu_offload": false,
            "llm_int8_has_fp16_weight": false, "llm_int8_skip_modules": nil, "llm_int8_threshold": 6.0,
            "load_in_4bit": JSON(isFourBit), "load_in_8bit": JSON(!isFourBit), "quant_method": "bitsandbytes",
        ]
    }
}
