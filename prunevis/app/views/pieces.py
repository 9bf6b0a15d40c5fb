"""What the slider counts in, and what leaves together: the quieter choices."""

from __future__ import annotations

from typing import Any

from prunevis.app.views.words import plain
from prunevis.pruning import REPAIRS, PruningSpec
from prunevis.pruning.patterns import SUGGESTED
from prunevis.session.state import Session, Setting

#: Multiples that hardware likes.
MULTIPLES = (1, 2, 4, 8, 16, 32)

_LABELS = {
    "units": "of channels and neurons",
    "params": "of parameters",
    "macs": "of FLOPs",
    "bytes": "of bytes",
}
_WORDS = {
    "sparsity": "sparsity",
    "units": "of the channels and neurons removed",
    "params": "of the parameters removed",
    "macs": "of the FLOPs removed",
    "bytes": "of the bytes saved",
}


def words_of(setting: Setting) -> str:
    """Return what follows a percentage of the slider, e.g. "of the FLOPs removed"."""
    return _WORDS[setting.of]


def terms_of(asked: Setting | PruningSpec) -> str:
    """Return what else was asked than a criterion, a sentence with a space before it, or ""."""
    terms = []
    if asked.pattern is not None:
        terms.append(f"in the pattern {asked.pattern}")
    if asked.multiple_of > 1:
        terms.append(f"to multiples of {asked.multiple_of} units")
    if asked.min_units > 1:
        terms.append(f"with at least {asked.min_units} units left")
    if asked.repair != "none":
        terms.append(f"repaired each time ({REPAIRS[asked.repair].label})")
    return f" Pruned {', '.join(terms)}." if terms else ""


def pieces(session: Session) -> dict[str, Any]:
    """Return the unit of the slider, patterns, multiples and least units, for the controls."""
    setting, table = session.setting, session.table
    units = setting.granularity == "unit"
    labels = {"sparsity": "of units" if units else "of weights", **_LABELS}
    if not units:
        del labels["units"]
    found = {
        "ofs": [{"name": name, "label": label} for name, label in labels.items()],
        "of": setting.of,
        "patterns": [],
        "pattern": setting.pattern or "",
        "pattern_help": "Which weights go is free.",
        "multiples": [],
        "multiple_of": setting.multiple_of,
        "min_units": setting.min_units,
        "pieces_note": "",
    }
    if units:
        found["multiples"] = sorted({*MULTIPLES, setting.multiple_of})
        if table is not None and table.setting == setting:
            found["pieces_note"] = _stays(table.ranking.skipped, setting)
        return found
    shown = [("", "None", found["pattern_help"]), *SUGGESTED]
    if setting.pattern not in (None, *(name for name, _, _ in SUGGESTED)):
        shown.append((setting.pattern, setting.pattern, "A pattern of your own."))
    found["patterns"] = [{"name": name, "label": label} for name, label, _ in shown]
    found["pattern_help"] = next(text for name, _, text in shown if name == (setting.pattern or ""))
    return found


def _stays(skipped: Any, setting: Setting) -> str:
    """Return which layers are too small for what is to stay of them, or ""."""
    if setting.multiple_of == setting.min_units == 1:
        return ""
    lines = [
        f"{name or 'The network'} stays whole. {plain(why)}"
        for name, why in skipped.items()
        if "at least" in why or "multiple of" in why
    ]
    more = f" So do {len(lines) - 2} more." if len(lines) > 2 else ""
    return " ".join(lines[:2]) + more
