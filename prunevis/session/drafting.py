"""A schedule as it is filled in on a page: what may be set, and why it cannot run, before it does.

Whatever comes from a browser is checked here before it is believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from prunevis.data import Data
from prunevis.errors import ModelError, SpecError
from prunevis.session.state import Session
from prunevis.session.tuned import Draft
from prunevis.training import FineTuneSettings
from prunevis.training.fresh import fixed_modules
from prunevis.training.objectives import ScalePenalty
from prunevis.training.schedules import SCHEDULES, Knob, Schedule, Timeline, make_schedule
from prunevis.training.settings import RATES

#: More epochs than this are a job for a script, not for a page.
MAX_EPOCHS = 50
#: So are more events than this: the network is ranked anew at each.
MAX_EVENTS = 400
#: No number on the page is larger.
LARGEST = 1_000_000_000

#: What else may be set of training: fields of `FineTuneSettings`.
MORE: tuple[Knob, ...] = (
    Knob("optimizer", "Optimiser", "sgd", choices=("sgd", "adam", "adamw", "rmsprop")),
    Knob("schedule", "Learning rate over time", "cosine", choices=tuple(RATES)),
    Knob("batch_size", "Examples a step", 128, 1, 4096, whole=True),
    Knob("weight_decay", "Weight decay", 5e-4, 0.0, 1.0),
    Knob("warm_up", "Share of steps to warm up", 0.0, 0.0, 0.9),
    Knob("label_smoothing", "Label smoothing", 0.0, 0.0, 0.9),
    Knob("distil", "Share learnt from the network as it is", 0.0, 0.0, 1.0),
    Knob("temperature", "Temperature of its answers", 2.0, 0.1, 100.0),
    Knob("validation", "Share held out to see when to stop", 0.0, 0.0, 0.9),
    Knob("patience", "Stop after so many measurements without a rise", 0, 0, 100, whole=True),
)
#: The plain form: a whole number of epochs after one pruning.
ONE_SHOT = (Knob("epochs", "Epochs", 2, 1, MAX_EPOCHS, whole=True),)


def knobs_of(name: str) -> tuple[Knob, ...]:
    """Return what the page lets a person set of a schedule."""
    return ONE_SHOT if name == "one-shot" else SCHEDULES[name].knobs()


def made_by(draft: Draft, name: str, epochs: int) -> Schedule:
    """Return the schedule `name` as it was last filled in; `epochs` are those of "one-shot"."""
    if name == "one-shot":
        return make_schedule("one-shot", epochs=float(epochs))
    return draft.made[name] if name in draft.made else make_schedule(name)


def settings_of(draft: Draft, **fields: Any) -> FineTuneSettings:
    """Return the settings that a draft stands for, with some fields set."""
    return FineTuneSettings(**{**draft.more, **fields})


def checked_schedule(name: Any, knobs: Any, before: Schedule | None) -> Schedule:
    """Return a schedule as a person filled it in.

    Parameters
    ----------
    name
        In `SCHEDULES`.
    knobs
        Values by name, and "points" of one drawn by hand; None: as `before`, or the defaults.
    before
        As it was last filled in.

    Raises
    ------
    SpecError
        If there is no such schedule or a value is outside of its range.
    """
    if not isinstance(name, str) or name not in SCHEDULES:
        raise SpecError("There is no such schedule.", got=str(name)[:40])
    if knobs is None:
        return before or make_schedule(name)
    return make_schedule(name, **_plain(knobs))


def checked_more(values: Any) -> dict[str, Any]:
    """Return fields of `FineTuneSettings` that a person filled in.

    Raises
    ------
    SpecError
        If a value is outside of its range, or they do not go together.
    """
    found, known = _plain(values), {knob.name: knob for knob in MORE}
    for name, value in found.items():
        knob = known.get(name)
        if knob is None:
            raise SpecError("Training has no such setting.", got=name[:40])
        if knob.choices:
            good, expected = value in knob.choices, ", ".join(knob.choices)
        else:
            kinds = (int,) if knob.whole else (int, float)
            numeric = isinstance(value, kinds) and not isinstance(value, bool)
            good = numeric and (knob.least or 0) <= value <= (knob.most or LARGEST)
            expected = f"{'a whole number' if knob.whole else 'a number'} from {knob.least:g} to "
            expected += f"{knob.most:g}"
        if not good:
            raise SpecError(f"{knob.label}: this cannot be.", expected=expected, got=_short(value))
    FineTuneSettings(**found)
    return found


def checked_form(data: Data, epochs: Any, learning_rate: Any, source: Any) -> dict[str, Any]:
    """Return what a person filled in, checked.

    Raises
    ------
    SpecError
        If a value is no number or out of range, or there are no training examples.
    """
    if not isinstance(epochs, int) or isinstance(epochs, bool) or not 1 <= epochs <= MAX_EPOCHS:
        raise SpecError(
            "Epochs are a whole number.", expected=f"1 to {MAX_EPOCHS}", got=_short(epochs)
        )
    number = isinstance(learning_rate, (int, float)) and not isinstance(learning_rate, bool)
    if not number or not 0 < learning_rate <= 10:
        raise SpecError(
            "The learning rate must be above 0 and at most 10.", got=_short(learning_rate)
        )
    if not isinstance(source, str) or source not in sources(data):
        raise SpecError(
            "There are no such training examples.",
            got=str(source)[:40],
            fix="Give explore() Data(train=..., test=...) to fine-tune."
            if data.train is None
            else f"Choose one of: {', '.join(sources(data))}.",
        )
    return {"epochs": epochs, "learning_rate": float(learning_rate), "source": source}


def sources(data: Data) -> dict[str, str]:
    """Return what can be trained on: name and label."""
    if data.train is None:
        return {}
    count = data.train.count
    what = "images" if data.train.inputs.ndim == 4 else "examples"
    found = {"train": f"All {count:,} training {what}"}
    if count >= 4000:
        found["quarter"] = f"A quarter of them, {count // 4:,}"
    return found


def timeline_of(session: Session) -> tuple[Timeline | None, int]:
    """Return the drafted schedule laid out for the slider's sparsity, and the steps an epoch."""
    table, network, draft = session.table, session.network, session.draft
    if table is None or network is None or network.data.train is None:
        return None, 1
    count = network.data.train.count
    if session.fine_tuning.source == "quarter":
        count = max(1, count // 4)
    settings = settings_of(draft)
    count -= round(settings.validation * count)
    per_epoch = -(-count // settings.batch_size)
    made = made_by(draft, draft.name, session.fine_tuning.epochs)
    sparsity = table.plan_at(session.position).sparsity
    prunable = max(1, sum(table.ranking.total.values()))
    return made.timeline(sparsity, per_epoch, prunable), per_epoch


def refusal(session: Session) -> str:
    """Say in one sentence why the drafted schedule cannot run here; "" if it can."""
    network, draft = session.network, session.draft
    if network is None or session.table is None:
        return "There is no network to train yet."
    if draft.error:
        return draft.error
    if unable := schedule_unavailable(session, draft.name):
        return unable
    timeline, per_epoch = timeline_of(session)
    if timeline is None:
        return ""  # said elsewhere: there is nothing to train on
    stage = network.stage
    plan = session.table.plan_at(session.position)
    if draft.name != "one-shot" and not plan.num_removed:
        return "Move the slider first: nothing goes at this position."
    most = min(MAX_EPOCHS, session.most_epochs)
    if timeline.steps > most * per_epoch:
        epochs = timeline.steps / per_epoch
        return f"This is {epochs:,.1f} epochs of training; on the page, at most {most} run."
    if len(timeline.events) > MAX_EVENTS:
        return (
            f"This prunes {len(timeline.events):,} times; on the page, at most {MAX_EVENTS} times."
        )
    fresh = timeline.untrained or any(event.reset == "fresh" for event in timeline.events)
    if fresh and (fixed := fixed_modules(stage.model)):
        return f"Random weights cannot be drawn for {', '.join(fixed[:3])}."
    if any(phase.noise for phase in timeline.phases):
        last = [layer for layer in stage.graph.layers.values() if layer.is_output]
        module = dict(stage.model.named_modules()).get(last[-1].name) if last else None
        if not isinstance(module, nn.Linear):
            return "Noise outputs stand beside a last layer that is linear; this network has none."
    return ""


def schedule_unavailable(session: Session, name: str) -> str:
    """Say why a schedule does not fit the network or what is pruned, before it is filled in."""
    found = SCHEDULES[name].unavailable(session.setting.granularity)
    if found is None and name == "slimming" and session.network is not None:
        try:
            ScalePenalty(session.network.stage.model)
        except ModelError as error:
            found = error.problem
    return found or ""


def with_schedule(draft: Draft, name: str, made: Schedule, more: dict[str, Any] | None) -> Draft:
    """Return a draft as it is filled in now, without an error."""
    return replace(
        draft,
        name=name,
        made={**draft.made, name: made},
        more=draft.more if more is None else more,
        error="",
    )


def _plain(values: Any) -> dict[str, Any]:
    """Return a dict whose numbers are no larger than any that makes sense."""
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise SpecError("Settings are values by name.", got=_short(values))
    for value in values.values():
        flat = value if isinstance(value, list) else [value]
        flat = [x for part in flat for x in (part if isinstance(part, list) else [part])]
        for part in flat:
            if isinstance(part, int) and abs(part) > LARGEST:
                raise SpecError("A number is too large.", got=_short(part))
    return values


def _short(value: Any) -> str:
    return (
        str(value)[:20] if not isinstance(value, int) or abs(value) < LARGEST else "a huge number"
    )
