"""Training: the schedules that can be chosen, the chosen one laid out, and what happens live."""

from __future__ import annotations

from typing import Any

from prunevis.app.views.words import plain
from prunevis.criteria import CRITERIA
from prunevis.session import drafting
from prunevis.session.state import Session
from prunevis.session.tuned import FineTuning, Sight
from prunevis.training.schedules import SCHEDULES, Knob, Schedule

#: Points of the loss curve that are sent; more cannot be told apart on the page.
MAX_POINTS = 240


def fine_tune(session: Session) -> dict[str, Any]:
    """Return how training goes."""
    found, network = session.fine_tuning, session.network
    choices = drafting.sources(network.data) if network is not None else {}
    reason = None
    if network is not None and not choices:
        reason = (
            "There are no training examples, and accuracy is measured on the test examples, so "
            "these must not be trained on. Pass Data(train=..., test=...) to explore()."
        )
    every = max(1, -(-len(found.steps) // MAX_POINTS))
    return {
        "state": "off" if reason else found.state,
        "reason": reason,
        "epochs": found.epochs,
        "learning_rate": found.learning_rate,
        "sources": [{"name": name, "label": label} for name, label in choices.items()],
        "source": found.source if found.source in choices else next(iter(choices), ""),
        "progress": found.progress,
        "text": plain(found.text),
        "steps": list(found.steps[::every]),
        "loss": [round(v, 5) for v in found.loss[::every]],
        "accuracy": [list(pair) for pair in found.accuracy],
        "events": [list(pair) for pair in found.events],
        "before": found.before,
        "after": found.after,
        "can_keep": found.result is not None,
        "step": found.step,
        "phase": found.phase,
        "sparsity": found.sparsity,
        "seconds_left": found.seconds_left,
        "sight": _sight(found.sight),
        "costs": _costs(session, found),
    }


def schedule(session: Session) -> dict[str, Any]:
    """Return the schedules, and the chosen one as a form and as a curve."""
    if session.network is None or session.table is None:
        return {}
    draft, state = session.draft, session.fine_tuning
    entry = SCHEDULES[draft.name]
    made = drafting.made_by(draft, draft.name, state.epochs)
    points: tuple[tuple[float, float], ...] = getattr(made, "points", ())
    timeline, per_epoch = drafting.timeline_of(session)
    advised = _advised(session, entry)
    # while it runs, and while its outcome waits, what is shown is what was run
    frozen = state.timeline if state.under_way or state.state == "done" else None
    shown = frozen or timeline
    return {
        "menu": [_entry(session, name) for name in SCHEDULES],
        "name": draft.name,
        "summary": entry.summary,
        "source": entry.source,
        "url": entry.url,
        "knobs": [_knob(k, getattr(made, k.name)) for k in drafting.knobs_of(draft.name)],
        "points": [list(p) for p in points] if points else None,
        "more": [_knob(k, draft.more.get(k.name, k.default)) for k in drafting.MORE],
        "advice": _in_words(advised),
        "advised": advised,
        "refusal": plain(drafting.refusal(session)),
        "per_epoch": per_epoch,
        "steps": shown.steps if shown else 0,
        "sparsity": shown.final if shown else 0.0,
        "curve": [list(corner) for corner in shown.curve()] if shown else [],
        "events": [[e.step, e.sparsity, e.label, e.reset] for e in shown.events] if shown else [],
        "phases": [[p.first, p.last, p.label] for p in shown.phases] if shown else [],
        "untrained": bool(shown and shown.untrained),
    }


def _entry(session: Session, name: str) -> dict[str, Any]:
    entry = SCHEDULES[name]
    return {
        "name": name,
        "label": entry.label,
        "disabled": plain(drafting.schedule_unavailable(session, name)) or None,
    }


def _knob(knob: Knob, value: Any) -> dict[str, Any]:
    kind = "choice" if knob.choices else "flag" if isinstance(knob.default, bool) else "number"
    return {
        "name": knob.name,
        "label": knob.label,
        "kind": kind,
        "value": int(value) if knob.whole else value,
        "least": knob.least,
        "most": knob.most,
        "whole": knob.whole,
        "choices": list(knob.choices),
    }


def _advised(session: Session, entry: type[Schedule]) -> dict[str, str]:
    """Return what the source of a schedule prunes by, where something else is chosen."""
    setting = session.setting
    advice = entry.advice.get(setting.granularity, {})
    found = {name: advice[name] for name in ("criterion", "scope") if name in advice}
    return {name: value for name, value in found.items() if value != getattr(setting, name)}


def _in_words(advised: dict[str, str]) -> str:
    words = []
    if "criterion" in advised:
        words.append(CRITERIA[advised["criterion"]].label)
    if "scope" in advised:
        layers = advised["scope"] == "layer"
        words.append("each layer by itself" if layers else "all layers together")
    return f"Its source prunes by {', '.join(words)}." if words else ""


def _sight(sight: Sight | None) -> dict[str, Any] | None:
    if sight is None:
        return None
    found = {
        "step": sight.step,
        "layer": sight.layer,
        "edges": sight.edges.tolist(),
        "kept": sight.kept.tolist(),
        "began": sight.began.tolist(),
        "gone": sight.gone,
        "total": sight.total,
        "pixels": None,
    }
    if sight.pixels is not None:
        found["pixels"] = {
            "layer": sight.pixel_layer,
            "rows": int(sight.pixels.shape[0]),
            "columns": int(sight.pixels.shape[1]),
            "most": sight.most,
            "values": sight.pixels.ravel().tolist(),
        }
    return found


def _costs(session: Session, found: FineTuning) -> dict[str, Any] | None:
    """Return the parameters before and after, once there is an outcome."""
    if found.result is None or session.network is None:
        return None
    counts = []
    for stage in (session.network.stage, found.result):
        counts.append(
            sum(
                int((stage.model.get_parameter(layer.weight) != 0).sum())
                for layer in stage.graph.layers.values()
            )
        )
    return {"weights": counts}
