"""The session as what can be taken home: its click path as code, its state as a report."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from prunevis.app.views.judged import cards, points
from prunevis.app.views.pieces import terms_of
from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.evaluation import Pruned
from prunevis.export.code import Start, script
from prunevis.export.files import written
from prunevis.export.outcome import (
    Outcome,
    honest_notes,
    layer_table,
    measured_on,
    picture,
    report_of_pruned,
    scoreboard,
)
from prunevis.export.report import Picture, Report, document
from prunevis.session.choices import prunable
from prunevis.session.state import Network, Session, Stage
from prunevis.steps import finished
from prunevis.zoo import DATASETS, MODELS

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer


def report(source: Explorer | Pruned, path: str | Path) -> Path:
    """Write what was done and what came of it as one HTML file that needs no network.

    Parameters
    ----------
    source
        From `explore`, as its page stands now; or what `prune` returned.
    path
        Where to write; a file there is replaced.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    SpecError
        If `source` is neither, or its page has not measured its network yet.
    ModelError
        If the file cannot be written.
    """
    if isinstance(source, Pruned):
        text = document(report_of_pruned(source))
    elif isinstance(getattr(source, "session", None), Session):
        text = finished(report_steps(source.session))
    else:
        raise SpecError(
            "There is no report on this.",
            expected="an Explorer, or what prune returned",
            got=type(source).__name__,
        )
    return written(Path(path), text.encode())


def code_of(session: Session) -> str:
    """Return Python code of what was applied.

    Raises
    ------
    SpecError
        If no network is open.
    """
    network = _network(session)
    baseline = network.stage.baseline
    return script(
        start_of(session),
        network.steps,
        accuracy=None if baseline is None else baseline.accuracy,
        count=None if baseline is None else baseline.total,
    )


def start_of(session: Session) -> Start:
    """Return where the session's click path begins."""
    network = _network(session)
    original = network.original
    zoo = MODELS.get(network.name)
    ours = zoo is not None and DATASETS[zoo.dataset].label == network.data.name
    layers = {
        name: prunable(original, replace(session.setting, granularity=name))
        for name in ("weight", "unit")
    }
    return Start(
        model=network.name if ours else None,
        data=zoo.dataset if zoo is not None and ours else None,
        attention=original.graph.attention,
        threads=torch.get_num_threads(),
        layers=layers if ours else {},
    )


def report_steps(session: Session) -> Generator[None, None, str]:
    """Make the report in steps of a figure each; the HTML is what the generator returns.

    Raises
    ------
    SpecError
        If the network is not open or not measured yet.
    """
    network = _network(session)
    original, stage = network.original, network.stage
    if original.baseline is None or stage.baseline is None:
        raise SpecError("The network is still being measured.", fix="Try again in a moment.")
    before, after = original.costs.cost(), stage.costs.cost()
    outcome = Outcome(
        before=before,
        after=after,
        was=original.baseline,
        now=stage.baseline,
        removed=after.base_params < before.base_params,
        zeros=stage.holds_zeros,
    )
    yield
    pictures: list[Picture] = []
    for draw in _pictures(session, network, stage):
        found = draw()
        if found is not None:
            pictures.append(found)
        yield
    try:
        code = code_of(session)
    except SpecError as error:
        code = f"# {error.problem}\n"
    on = f" on {network.data.name}" if network.data.name else ""
    count = stage.baseline.total
    made = Report(
        title=f"{network.label}{on}, pruned",
        summary=_summary(network, outcome),
        scoreboard=scoreboard(outcome),
        notes=honest_notes(outcome),
        layers=layer_table(before, after),
        pictures=pictures,
        steps=[step.text for step in network.steps],
        code=code,
        cards=cards(session),
        measured=measured_on(
            network.data.name,
            count,
            ("Threads", f"{torch.get_num_threads()} of torch"),
            licence=network.data.license,
        ),
    )
    yield
    return document(made)


def _network(session: Session) -> Network:
    if session.network is None:
        raise SpecError("No network is open yet.", fix="Wait until the page shows one.")
    return session.network


def _summary(network: Network, outcome: Outcome) -> str:
    now = f"{outcome.now.accuracy:.2%}"
    if len(network.stages) == 1:
        return f"The network as it came is right in {now} of {outcome.now.total:,} test examples."
    share = outcome.after.nonzero_params / max(1, outcome.before.base_params)
    return (
        f"{share:.1%} of the parameters are left, and accuracy went from "
        f"{outcome.was.accuracy:.2%} to {now}."
    )


def _pictures(session: Session, network: Network, stage: Stage) -> list[Any]:
    """Return what draws the figures, one call each; None comes back where there is nothing."""
    from prunevis import plots

    def costs() -> Picture:
        before, after = network.original.costs.cost(), stage.costs.cost()
        ax = plots.layer_costs(after, before=before, title="")
        text = "Blue stays, orange has gone."
        return picture("Where it went", ax, plots.alt.layer_costs(after), text)

    def curve() -> Picture | None:
        table = session.table
        known = points(session)
        if table is None or not known:
            return None
        arrays = {
            "x": [point["sparsity"] for point in known],
            "value": [point["accuracy"] for point in known],
            "low": [point["low"] for point in known],
            "high": [point["high"] for point in known],
            "exact": [point["exact"] for point in known],
            "baseline": stage.baseline.accuracy if stage.baseline else None,
        }
        ax = plots.tradeoff(arrays, title="")
        label = CRITERIA[table.setting.criterion].label
        text = f"Going on from here by {label}, in shares of what the slider counts."
        text += f"{terms_of(table.setting)} Dots are exact, the band is a 95 % interval."
        return picture("What more pruning would cost", ax, plots.alt.tradeoff(arrays), text)

    def weights() -> Picture | None:
        layer = stage.graph.layers.get(session.view.layer)
        if layer is None:
            return None
        values = stage.model.get_parameter(layer.weight).detach().cpu()
        left = values[values != 0]
        if not left.numel():
            return None
        ax = plots.weight_histogram(left, title="")
        alt = plots.alt.weight_histogram(left)
        return picture(f"Weights of {layer.name}", ax, alt, "Those that are not zero.")

    def sensitivity() -> Picture | None:
        result = session.scan.result
        if result is None:
            return None
        ax = plots.sensitivity(result, title="")
        text = "One layer pruned at a time, the others whole (Han et al. 2015)."
        return picture("How sensitive each layer is", ax, plots.alt.sensitivity(result), text)

    def race() -> Picture | None:
        result = session.judging.race.result
        if result is None:
            return None
        return picture(
            "Criteria at equal cost", plots.race(result, title=""), plots.alt.race(result)
        )

    def latency() -> Picture | None:
        result = session.timing.result
        if result is None:
            return None
        return picture("Measured time", plots.latency(result, title=""), plots.alt.latency(result))

    return [costs, curve, weights, sensitivity, race, latency]
