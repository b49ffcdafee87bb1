import AttuneJSON
import AttuneTraining
import Foundation
import Testing

/// Every schedule against transformers, at every step.
@Suite struct ScheduleTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let schedule: Schedule
        let rates: [Double]
        var testDescription: String { "\(schedule.kind.rawValue) \(schedule.parameters) \(schedule.warmupSteps)" }
    }

    static let cases: [Case] = {
        guard let json = try? Fixture.json("schedules"), let rate = json["learning_rate"]?.doubleValue,
            let list = json["cases"]?.arrayValue
        else { return [] }
        return list.compactMap { item in
            guard let kind = item["kind"]?.stringValue.flatMap(Schedule.Kind.init(rawValue:)),
                let options = item["options"]?.objectValue, let warmup = item["warmup"]?.intValue,
                let total = item["total"]?.intValue, let rates = item["rates"]?.arrayValue
            else { return nil }
            var schedule = Schedule(kind: kind, learningRate: rate, warmupSteps: warmup, totalSteps: total)
            for (key, value) in options.members {
                if let number = value.doubleValue { schedule.parameters[key] = number }
                if let word = value.stringValue { schedule.words[key] = word }
            }
            return Case(schedule: schedule, rates: rates.compactMap(\.doubleValue))
        }
    }()

    @Test func theFixtureCoversEverySchedule() throws {
        #expect(Self.cases.count == 38)
        #expect(Set(Self.cases.map(\.schedule.kind)) == Set(Schedule.Kind.allCases))
        for item in Self.cases {
            let names = Set(item.schedule.parameters.keys).union(item.schedule.words.keys)
            #expect(names.isSubset(of: Schedule.parameterNames(item.schedule.kind)))
        }
    }

    @Test(arguments: cases) func ratesOfEveryStep(_ item: Case) {
        #expect(item.rates.count == item.schedule.totalSteps)
        for (step, expected) in item.rates.enumerated() {
            let actual = item.schedule.rate(at: step)
            #expect(abs(actual - expected) <= 1e-12 * 2e-4, "step \(step): \(actual), not \(expected)")
        }
    }

    /// The comparison must notice: one step later every schedule that moves is elsewhere.
    @Test func aStepTooFarIsNoticed() {
        for item in Self.cases where Set(item.rates).count > 1 {
            let late = item.rates.indices.map { item.schedule.rate(at: $0 + 1) }
            #expect(zip(late, item.rates).contains { abs($0 - $1) > 1e-9 })
        }
    }
}

/// Golden files beside the tests.
enum Fixture {
    static func json(_ name: String) throws -> JSON {
        let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures")
        return try JSON(parsing: Data(contentsOf: folder.appending(path: name + ".json")))
    }
}
