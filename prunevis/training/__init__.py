"""What comes back: training with pruned weights held at zero, and when to prune.

```
finetune.py ── fine_tune: one training of a pruned copy
scheduled.py ─ run_schedule: training with pruning on the way (running.py), laid out by
schedules/ ─── SCHEDULES: when to prune, as data
loop.py ────── TrainingRun: steps and measurements; with settings.py, optimizers.py,
               objectives.py, modes.py, keeping.py (checkpoints)
```
"""

from prunevis.training.finetune import (
    fine_tune,
    fine_tune_steps,
    nonzero_weights,
    trainable_copy,
    training_run,
)
from prunevis.training.keeping import Checkpoint
from prunevis.training.loop import TrainingRun
from prunevis.training.records import FineTuned, FineTuneProgress
from prunevis.training.running import Scheduled, ScheduleRun
from prunevis.training.scheduled import advised_spec, run_schedule, run_schedule_steps
from prunevis.training.schedules import SCHEDULES, Schedule, Timeline, make_schedule
from prunevis.training.settings import FineTuneSettings

__all__ = [
    "SCHEDULES",
    "Checkpoint",
    "FineTuneProgress",
    "FineTuneSettings",
    "FineTuned",
    "Schedule",
    "ScheduleRun",
    "Scheduled",
    "Timeline",
    "TrainingRun",
    "advised_spec",
    "fine_tune",
    "fine_tune_steps",
    "make_schedule",
    "nonzero_weights",
    "run_schedule",
    "run_schedule_steps",
    "trainable_copy",
    "training_run",
]
