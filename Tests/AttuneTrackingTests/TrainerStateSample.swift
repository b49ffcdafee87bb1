/// Written by transformers' `TrainerState.save_to_json`.
enum TrainerStateSample {
    static let text = """
        {
          "best_global_step": 4,
          "best_metric": 0.75,
          "best_model_checkpoint": "out/checkpoint-4",
          "epoch": 1.0,
          "eval_steps": 4,
          "global_step": 4,
          "is_hyper_param_search": false,
          "is_local_process_zero": true,
          "is_world_process_zero": true,
          "log_history": [
            {
              "epoch": 0.5,
              "grad_norm": 0.5,
              "learning_rate": 1e-05,
              "loss": 1.25,
              "step": 2
            },
            {
              "epoch": 1.0,
              "eval_loss": 0.75,
              "eval_runtime": 2.0,
              "eval_samples_per_second": 4.0,
              "eval_steps_per_second": 2.0,
              "step": 4
            },
            {
              "epoch": 1.0,
              "step": 4,
              "total_flos": 1500000000000.0,
              "train_loss": 1.0,
              "train_runtime": 4.0,
              "train_samples_per_second": 4.0,
              "train_steps_per_second": 1.0
            }
          ],
          "logging_steps": 2,
          "max_steps": 8,
          "num_input_tokens_seen": 0,
          "num_train_epochs": 2,
          "save_steps": 4,
          "stateful_callbacks": {
            "TrainerControl": {
              "args": {
                "should_epoch_stop": false,
                "should_evaluate": false,
                "should_log": false,
                "should_save": true,
                "should_training_stop": false
              },
              "attributes": {}
            }
          },
          "total_flos": 1500000000000.0,
          "train_batch_size": 8,
          "trial_name": null,
          "trial_params": null
        }

        """
}
