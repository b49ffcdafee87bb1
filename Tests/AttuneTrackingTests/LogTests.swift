import AttuneJSON
import AttuneTracking
import Testing

@Suite struct LogTests {
    @Test func logLinesTellProgressAndTime() throws {
        let entry = LogEntry.training(step: 10, epoch: 0.5, loss: 1.5, learningRate: 2e-4, gradientNorm: 1)
        let line = TrainingLog.line(entry, totalSteps: 40, elapsed: 3700)
        #expect(
            line == "{\"current_steps\": 10, \"total_steps\": 40, \"loss\": 1.5, \"lr\": 0.0002, \"grad_norm\": 1.0, "
                + "\"epoch\": 0.5, \"percentage\": 25.0, \"elapsed_time\": \"1:01:40\", \"remaining_time\": \"3:05:00\"}\n"
        )
        let resumed = try JSON(parsing: TrainingLog.line(entry, totalSteps: 40, elapsed: 10, startStep: 5))
        #expect(resumed["remaining_time"]?.stringValue == "0:01:00")
    }

    @Test func eventsAsTensorBoardReadsThem() {
        // Read back with the tensorboard package when this was made: three scalars of step 7 and one of step 300.
        let bytes =
            TensorBoardLog.header(wallTime: 1_700_000_000.5)
            + TensorBoardLog.record(
                .training(step: 7, epoch: 0.5, loss: 1.25, learningRate: 0.5, gradientNorm: nil),
                wallTime: 1_700_000_001)
            + TensorBoardLog.record(
                LogEntry(JSONObject([("eval_loss", 0.75), ("step", 300)])), wallTime: 1_700_000_002)
        #expect(bytes.map { hex($0) }.joined() == TensorBoardSample.hex)
        #expect(
            TensorBoardLog.fileName(wallTime: 1_700_000_000.5, host: "box", process: 12)
                == "events.out.tfevents.1700000000.box.12.0")
    }

    private func hex(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
