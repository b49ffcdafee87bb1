// swift-tools-version: 6.2
// Attune: fine-tune, evaluate, merge and serve language models, natively.

import PackageDescription

let package = Package(
    name: "Attune",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "attune", targets: ["AttuneCommand"]),
        .library(name: "Attune", targets: ["Attune"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        // Only AttuneServer and its tests import these; all but the first come with it.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.0.0"),
    ],
    targets: [
        // machine
        .target(name: "AttuneJSON"),
        .target(name: "AttuneTensor"),
        .target(name: "CAttuneKernels"),
        .target(name: "AttuneCPU", dependencies: ["AttuneTensor", "CAttuneKernels"]),

        // files & text
        .target(name: "AttuneFiles", dependencies: ["AttuneTensor", "AttuneJSON"]),
        .target(name: "AttuneText", dependencies: ["AttuneJSON"]),
        .target(name: "AttuneData", dependencies: ["AttuneText", "AttuneJSON"]),

        // model
        .target(name: "AttuneModels", dependencies: ["AttuneTensor", "AttuneFiles", "AttuneText", "AttuneJSON"]),

        // work
        .target(name: "AttuneTracking", dependencies: ["AttuneJSON"]),
        .target(
            name: "AttuneTraining",
            dependencies: ["AttuneModels", "AttuneData", "AttuneFiles", "AttuneJSON", "AttuneTracking", "Yams"]),
        .target(
            name: "AttuneGeneration", dependencies: ["AttuneModels", "AttuneText", "AttuneTensor", "AttuneJSON"]),
        .target(name: "AttuneEvaluation", dependencies: ["AttuneGeneration", "AttuneData", "AttuneJSON"]),

        // doors
        .target(
            name: "Attune",
            dependencies: [
                "AttuneCPU", "AttuneTensor", "AttuneFiles", "AttuneText", "AttuneData", "AttuneModels",
                "AttuneTracking", "AttuneTraining", "AttuneGeneration", "AttuneEvaluation",
            ]),
        // The only room with networking.
        .target(
            name: "AttuneServer",
            dependencies: [
                "Attune", "AttuneData", "AttuneFiles", "AttuneGeneration", "AttuneJSON", "AttuneModels", "AttuneTensor",
                "AttuneText", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "AttuneCommand",
            dependencies: [
                "Attune", "AttuneJSON", "AttuneServer",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // the tutorial as a program of its own
        .executableTarget(
            name: "Tutorial", dependencies: ["Attune"], path: "Examples",
            exclude: ["support-tickets.jsonl", "tutorial.sh"]),

        // tests: one target beside each room
        .target(name: "AttuneFuzzing", path: "Tests/AttuneFuzzing"),
        .testTarget(name: "AttuneJSONTests", dependencies: ["AttuneJSON", "AttuneFuzzing"]),
        .testTarget(name: "AttuneTensorTests", dependencies: ["AttuneTensor"]),
        .testTarget(name: "AttuneCPUTests", dependencies: ["AttuneCPU", "AttuneTensor", "CAttuneKernels"]),
        .testTarget(
            name: "AttuneFilesTests", dependencies: ["AttuneFiles", "AttuneTensor", "AttuneJSON", "AttuneFuzzing"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "AttuneTextTests", dependencies: ["AttuneText", "AttuneJSON", "AttuneFuzzing"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "AttuneDataTests", dependencies: ["AttuneData", "AttuneText", "AttuneJSON"]),
        .testTarget(
            name: "AttuneModelsTests",
            dependencies: ["AttuneModels", "AttuneCPU", "AttuneFiles", "AttuneJSON", "AttuneFuzzing"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "AttuneTrackingTests", dependencies: ["AttuneTracking", "AttuneJSON"]),
        .testTarget(
            name: "AttuneTrainingTests", dependencies: ["AttuneTraining", "AttuneCPU", "AttuneJSON"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "AttuneGenerationTests",
            dependencies: ["AttuneGeneration", "AttuneCPU", "AttuneTensor", "AttuneJSON"]),
        .testTarget(
            name: "AttuneEvaluationTests", dependencies: ["AttuneEvaluation", "AttuneData", "AttuneJSON"]),
        .testTarget(
            name: "AttuneServerTests",
            dependencies: [
                "AttuneServer", "Attune", "AttuneCPU", "AttuneGeneration", "AttuneJSON", "AttuneTensor", "AttuneText",
            ]),
        .testTarget(name: "AttuneCommandTests", dependencies: ["Attune", "AttuneJSON"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)

for target in package.targets where target.type != .system && target.type != .plugin {
    guard !target.name.hasPrefix("C") else { continue }
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]
}
