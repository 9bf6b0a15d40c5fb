"""What runs, what was done, what went wrong."""

from __future__ import annotations

from typing import Any

from prunevis.app.views.words import plain
from prunevis.session.state import Session
from prunevis.session.tuning import in_words


def status(session: Session) -> dict[str, Any]:
    """Return the status line."""
    found, replay = session.status, session.replay
    if session.network is not None and replay is not None and replay.state == "running":
        steps = len(replay.recipe.steps)
        text = f"Taking the steps of the recipe: {min(replay.done + 1, steps)} of {steps}"
        if session.fine_tuning.state == "running":
            text = f"{text}. Fine-tuning: {session.fine_tuning.text}"
        return {"kind": "busy", "text": text, "done": found.done, "total": found.total}
    return {"kind": found.kind, "text": found.text, "done": found.done, "total": found.total}


def steps(session: Session) -> dict[str, Any]:
    """Return what was applied, and which of apply, undo and reset can be done."""
    network, table = session.network, session.table
    if network is None:
        return {
            "applied": [],
            "can_apply": False,
            "can_undo": False,
            "can_redo": False,
            "can_reset": False,
        }
    can_apply, text = False, ""
    if table is not None:
        plan = table.plan_at(session.position)
        already = table.ranking.already
        can_apply = any(n > already.get(name, 0) for name, n in plan.removed.items())
        text = f"Remove {in_words(plan)}" if can_apply else "Move the slider first"
        if not session.setting.ticked:
            text = "No layer is ticked"
    return {
        "applied": [stage.label for stage in network.stages[1:]],
        "can_apply": can_apply,
        "can_undo": len(network.stages) > 1,
        "can_redo": network.ahead is not None,
        "redo_text": "" if network.ahead is None else f"Again: {network.ahead.label}",
        "can_reset": len(network.stages) > 1 or bool(session.setting.own),
        "apply_text": text,
    }


def problem(session: Session, *, with_detail: bool) -> dict[str, Any]:
    """Return what went wrong; the traceback only where the person owns the kernel."""
    found = session.problem
    if found is None:
        return {}
    hidden = found.text.startswith("Unexpected") and not with_detail
    return {
        "id": found.number,
        "text": UNEXPECTED if hidden else plain(found.text),
        "fix": plain(found.fix),
        "detail": found.detail if with_detail else "",
    }


UNEXPECTED = "Something unexpected went wrong. Your network is as it was."


def layers_view(session: Session, figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the layers tab from its figures, "layers" and "sensitivity"."""
    costs = figures.get("layers", {})
    scan = figures.get("sensitivity", {})
    return {
        "png": costs.get("png"),
        "alt": costs.get("alt", ""),
        "text": costs.get("text", ""),
        "sensitivity": {
            "state": session.scan.state,
            "png": scan.get("png"),
            "alt": scan.get("alt", ""),
            "text": session.scan.text if session.scan.state == "running" else scan.get("text", ""),
        },
    }
