"""The trade-off, judged: measured time, what others published, and the report card."""

from __future__ import annotations

from typing import Any

import torch

from prunevis import __version__
from prunevis.app.views.pieces import words_of
from prunevis.app.views.words import plain
from prunevis.criteria import CRITERIA
from prunevis.evaluation import LatencyComparison, ReportCard, published, report_card
from prunevis.evaluation.latency_records import duration, setting
from prunevis.session.state import Session

#: Longest spread that is drawn, in times of the dense median.
FARTHEST = 2.0


def judged_view(session: Session) -> dict[str, Any]:
    """Return what stands beneath the trade-off, or {} while there is no network."""
    if session.network is None:
        return {}
    return {
        "timing": _timing(session),
        "published": _published(session),
        "cards": [_card(title, card) for title, card in cards(session)],
    }


def _timing(session: Session) -> dict[str, Any]:
    found = session.timing
    view: dict[str, Any] = {
        "state": found.state,
        "progress": round(min(1.0, found.progress), 3),
        "doing": plain(found.text) or "",
        "rows": [],
        "text": "",
    }
    if found.result is not None:
        label = CRITERIA[found.setting.criterion].label
        where = f"{found.position:.0%} {words_of(found.setting)}, {label}"
        view["rows"] = _rows(found.result)
        view["text"] = (
            f"At {where}; median and quartiles of {len(found.result.rows[0].samples)} samples, "
            f"{setting(found.result.rows[0])}. {_sentence(found.result)}"
        )
    return view


def _rows(found: LatencyComparison) -> list[dict[str, Any]]:
    rows = []
    for row in found.rows:
        dense = found[found.reference, row.batch].median or 1.0
        noise = row.name != found.reference and found.within_noise(row.name, row.batch)
        times = f"{found.speedup(row.name, row.batch):.2f}× as fast"
        note = "" if row.name == found.reference else "within noise" if noise else times
        rows.append(
            {
                "batch": row.batch,
                "name": row.name,
                "share": round(min(FARTHEST, row.median / dense), 4),
                "low": round(min(FARTHEST, row.low / dense), 4),
                "high": round(min(FARTHEST, row.high / dense), 4),
                "text": duration(row.median),
                "note": note,
            }
        )
    return rows


def _sentence(found: LatencyComparison) -> str:
    """Say the one thing to be learnt."""
    batches = found.batches
    if not all(found.within_noise("masked", batch) for batch in batches):
        zeros = "Zeros are multiplied like any number, so what masking differs by is not its zeros."
    else:
        zeros = "Zeros are multiplied like any number: masked is not faster."
    if "removed" in found.left_out:
        return f"{zeros} Single weights cannot be taken out."
    quick = [
        f"{found.speedup('removed', batch):.1f} times as fast with {batch}"
        for batch in batches
        if not found.within_noise("removed", batch)
    ]
    if quick:
        return f"{zeros} Removed, it is {' and '.join(quick)} at once."
    return f"{zeros} Even removed, the difference is within noise here."


def _published(session: Session) -> list[dict[str, Any]]:
    original = session.network.original
    base = original.costs.cost()
    return [
        {
            "params": _of(base.base_params, row.compression),
            "flops": _of(2 * base.base_macs, row.speedup),
            "accuracy": round(row.top1_pruned, 4),
            "paper": row.paper if row.year is None else f"{row.paper}, {row.year}",
            "method": row.method,
            "source": row.source,
        }
        for row in published(original.graph, session.network.data.name)
    ]


def _of(before: int, ratio: float) -> float | None:
    return None if ratio != ratio else round(before / ratio, 1)


def cards(session: Session) -> list[tuple[str, ReportCard]]:
    """Return the report card of the curve, and of the race if there was one, with headings."""
    names = {"model": session.network.label, "data": session.network.data.name}
    found = []
    rows = points(session)
    if rows:
        found.append(("This curve", report_card(rows, **names)))
    race = session.judging.race.result
    if race is not None:
        found.append(("The race in the tab Criteria", report_card(race, **names)))
    return found


def points(session: Session) -> list[dict[str, Any]]:
    """Return what is known of the positions of the slider, a row each, as for `report_card`."""
    table, curve = session.table, session.curve
    original = session.network.original
    if table is None or curve is None or curve.key != table.key or original.baseline is None:
        return []
    base = original.costs.cost()
    return [
        {
            "criterion": table.setting.criterion,
            "granularity": table.setting.granularity,
            "scope": table.setting.scope,
            "repair": table.setting.repair,
            "seed": table.setting.seed,
            "sparsity": sparsity,
            "compression_ratio": base.base_params / max(1, cost.nonzero_params),
            "theoretical_speedup": base.base_macs / max(1, cost.effective_macs),
            "accuracy_dense": original.baseline.accuracy,
            "accuracy": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "exact": estimate.exact,
            "prunevis": __version__,
            "torch": torch.__version__,
        }
        for sparsity, cost, estimate in zip(
            table.sparsity, table.costs, curve.estimates, strict=True
        )
        if estimate is not None and sparsity > 0
    ]


def _card(title: str, card: ReportCard) -> dict[str, Any]:
    return {
        "title": title,
        "verdict": card.verdict,
        "items": [
            {"state": item.state, "title": item.title, "why": item.why, "how": item.how}
            for item in card.items
        ],
    }
