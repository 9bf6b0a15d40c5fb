"""How good criteria are: the tab that holds them against the oracle and races them."""

from __future__ import annotations

import math
from typing import Any

from prunevis.app.views.pieces import terms_of
from prunevis.app.views.words import plain
from prunevis.criteria import CRITERIA
from prunevis.evaluation.oracle import duration
from prunevis.session.judging import MOST_RACERS, RACE_IMAGES, RACE_SEEDS, Comparison, racers
from prunevis.session.state import Session, Setting

#: What can be held equal, as the page says it.
MEASURES = (
    ("sparsity", "Sparsity", "the same share of what can go"),
    ("params", "Parameters", "the same number of parameters left"),
    ("macs", "FLOPs", "the same number of multiply-adds left"),
)
#: Criteria that are ticked in a race before anybody chooses, as far as they can run.
USUAL = {
    "unit": ("l2", "taylor-2019", "mean-activation", "apoz"),
    "weight": ("magnitude", "wanda", "snip"),
}


def criteria_view(session: Session, figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the criteria tab from its figures: "agreement", "agreement_layers" and "race"."""
    network, judging, setting = session.network, session.judging, session.setting
    if network is None:
        return {}
    able = racers(network.stage, setting)
    usual = [name for name in USUAL[setting.granularity] if name in able]
    chosen = [setting.criterion] if setting.criterion in able else []
    unsure = [name for name in usual if name not in chosen]
    result = judging.agreement.result
    summary, layers = figures.get("agreement", {}), figures.get("agreement_layers", {})
    return {
        "reason": plain(judging.reason),
        "costs": [
            {"images": images, "text": str(cost), "seconds": round(cost.seconds, 3)}
            for images, cost in (judging.costs or {}).items()
        ],
        "agreement": {
            **_where(judging.agreement),
            "note": _not_followed(setting),
            "figures": [
                {"name": name, "png": found.get("png"), "alt": found.get("alt", "")}
                for name, found in (("summary", summary), ("layers", layers))
            ]
            if result is not None
            else [],
            "text": "" if result is None else _of_agreement(result),
        },
        "race": {
            **_where(judging.race),
            "png": figures.get("race", {}).get("png") if judging.race.result else None,
            "alt": figures.get("race", {}).get("alt", ""),
            "rows": [] if judging.race.result is None else _rows(judging.race.result),
            "text": "" if judging.race.result is None else _of_race(judging.race.result),
        },
        "criteria": [{"name": name, "label": CRITERIA[name].label} for name in able],
        "usual": [*chosen, *unsure][:3],
        "most": MOST_RACERS,
        "measures": [{"name": n, "label": label, "help": text} for n, label, text in MEASURES],
        "help": f"All layers, pruned by {setting.granularity}, "
        + ("each losing its share" if setting.scope == "layer" else "ranked together")
        + f"; chance takes part; {len(RACE_SEEDS)} seeds; {RACE_IMAGES:,} test images each."
        + terms_of(setting),
    }


def _where(comparison: Comparison) -> dict[str, Any]:
    return {
        "state": comparison.state,
        "progress": round(min(1.0, comparison.progress), 3),
        "doing": plain(comparison.text) or "",
    }


def _not_followed(setting: Setting) -> str:
    """Return which choices the oracle cannot follow, a sentence, or ""."""
    chosen = {
        "the pattern": setting.pattern is not None,
        "the multiple": setting.multiple_of > 1,
        "the least units": setting.min_units > 1,
        "the repair": setting.repair != "none",
    }
    names = [name for name, is_set in chosen.items() if is_set]
    if not names:
        return ""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    verb = "plays" if len(names) == 1 else "play"
    return f"One unit leaves at a time and the rest is untouched: {listed} {verb} no part here."


def _of_agreement(result: Any) -> str:
    oracle = result.oracle
    text = (
        f"{oracle.num_units:,} units on {oracle.num_examples:,} "
        f"{'training' if oracle.split == 'train' else 'test'} images, in "
        f"{duration(oracle.seconds)}. 1 is the oracle's own order, 0 is chance; but with scores "
        "divided by their layer's norm (L2) chance agrees too, so compare with its row."
    )
    left = len(result.skipped)
    if left:
        text += f" {left} {'criterion' if left == 1 else 'criteria'} cannot score this network."
    return text


def _of_race(result: Any) -> str:
    what = "weights" if result.granularity == "weight" else "units"
    scope = "each layer its share" if result.scope == "layer" else "one ranking"
    same = [racer.label for racer in result.racers if racer.note]
    text = f"Pruned by {what}, {scope}, without fine-tuning."
    if same:
        text += f" The same for every seed, since nothing is drawn: {', '.join(same)}."
    return text + terms_of(result.spec)


def _rows(result: Any) -> list[dict[str, Any]]:
    middle = len(result.shares) // 2
    rows = []
    for racer in result.racers:
        mean, std = float(racer.mean[middle]), float(racer.std[middle])
        rows.append(
            {
                "label": racer.label,
                "seconds": round(racer.seconds, 3),
                "accuracy": None if math.isnan(mean) else round(mean, 4),
                "spread": None if math.isnan(std) or len(racer.runs) < 2 else round(std, 4),
                "share": result.shares[middle],
            }
        )
    return rows
