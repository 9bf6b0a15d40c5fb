"""When to prune: schedules as data, by name in `SCHEDULES`.

```
Schedule ── after_training.py: one-shot, iterative, rate-rewinding, unit-by-unit, scratch
         ├─ during_training.py: cubic, constant, lottery, at-init, slimming, noiseout
         └─ drawn.py: drawn
```

`Schedule.timeline` lays one out for a network and a sparsity as a `Timeline` of phases and events,
which can be shown, edited and then run (`prunevis.training.scheduled`).
"""

from prunevis.training.schedules.after_training import (
    Iterative,
    OneShot,
    RateRewinding,
    Scratch,
    UnitByUnit,
)
from prunevis.training.schedules.base import SCHEDULES, Knob, Schedule, make_schedule
from prunevis.training.schedules.drawn import Drawn
from prunevis.training.schedules.during_training import (
    AtInitialisation,
    Constant,
    Cubic,
    Lottery,
    NoiseOut,
    Slimming,
)
from prunevis.training.schedules.timeline import Event, Phase, Timeline

__all__ = [
    "SCHEDULES",
    "AtInitialisation",
    "Constant",
    "Cubic",
    "Drawn",
    "Event",
    "Iterative",
    "Knob",
    "Lottery",
    "NoiseOut",
    "OneShot",
    "Phase",
    "RateRewinding",
    "Schedule",
    "Scratch",
    "Slimming",
    "Timeline",
    "UnitByUnit",
    "make_schedule",
]
