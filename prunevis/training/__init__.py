"""What comes back: fine-tuning with pruned weights held at zero."""

from prunevis.training.finetune import fine_tune, fine_tune_steps, trainable_copy
from prunevis.training.records import FineTuned, FineTuneProgress, FineTuneSettings

__all__ = [
    "FineTuneProgress",
    "FineTuneSettings",
    "FineTuned",
    "fine_tune",
    "fine_tune_steps",
    "trainable_copy",
]
