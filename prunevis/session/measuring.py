"""The jobs that find out: rankings, accuracies, statistics, sensitivities.

Each job is a generator that works about 50 ms between two yields, so that a slider move never waits
longer. Jobs read the session and hand what they found to the controller.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from prunevis.criteria import CRITERIA
from prunevis.errors import NothingToPruneError
from prunevis.evaluation import (
    AccuracyEstimate,
    Evaluation,
    blocks,
    coarse_to_fine,
    sensitivity_steps,
    storage_steps,
)
from prunevis.pruning import rank_steps
from prunevis.session import choices
from prunevis.session.jobs import REFINE
from prunevis.session.memory import give_back
from prunevis.session.mending import both, mending_steps, refusals
from prunevis.session.positions import position_steps
from prunevis.session.state import Scan, Status, Table
from prunevis.session.tables import build_table, keep
from prunevis.statistics import COLLECTABLE, collect_steps, collection

if TYPE_CHECKING:
    from prunevis.session.adjusting import Adjusting
    from prunevis.session.desk import Desk

#: A step that yields a priority goes on with that.
Steps = Generator[int | None, None, None]

#: Most and least examples whose gradients are taken, and multiply-adds spent on them: a minute or
#: two on one core.
MOST_GRADIENTS, LEAST_GRADIENTS, GRADIENT_MACS = 512, 32, 300_000_000_000

#: What the Neurons and Redundancy tabs show.
ANSWERS = frozenset({"activations", "correlation"})

#: What a pass is doing, in words, slowest first.
COLLECTING = {
    "gradients": "Collecting gradients",
    "moments": "Collecting what the layers read",
    "inputs": "Collecting what the layers read",
    "maps": "Taking the rank of feature maps",
}

#: Files larger than this, in bytes, take too long to compress between two slider moves.
MOST_TO_COMPRESS = 6_000_000
#: Images of the sweep's first pass, enough for a band of about a point where little is lost.
FIRST_PASS = 768
#: Images behind the first answer where the slider stands.
FIRST = 128


def exact(evaluation: Evaluation) -> AccuracyEstimate:
    """Return an evaluation in the form of an estimate."""
    value, total = evaluation.accuracy, evaluation.total
    return AccuracyEstimate(value, value, value, total, total, True)


def rank_setting(controller: Adjusting) -> Steps:
    """Score and sort for the present setting; statistics first, where the criterion needs them."""
    session = controller.session
    stage, setting = session.network.stage, session.setting
    # one order serves whatever the slider counts in, and all repairs
    plain = replace(setting, of="sparsity", repair="none")
    key = f"{stage.number}|{plain!r}"
    ranking = controller.rankings.get(key)
    if ranking is None:
        criterion = CRITERIA[setting.criterion]()
        yield from collect(controller, criterion.needs)
        session.status = Status("busy", f"Ranking by {criterion.label}")
        yield
        # a stage's network never changes, so its scores need not be kept beside it
        try:
            ranking = yield from rank_steps(
                stage.model,
                plain.spec(),
                graph=stage.graph,
                statistics=session.statistics,
                keep_scores=False,
            )
        except NothingToPruneError as error:
            if setting.multiple_of == setting.min_units == 1:
                raise
            # every layer is too small for what is to stay of it
            controller.report(error)
            controller.nothing_goes()
            return
        yield
    keep(controller.rankings, key, ranking)
    mended = ranking.mended((yield from mending_steps(controller, stage, setting)))
    left = refusals(stage, mended)
    yield
    pairs = yield from position_steps(stage, setting, mended, controller.extra)
    yield
    controller.ranked(build_table(stage, setting, mended, pairs=pairs, refusals=left))


def estimate(controller: Adjusting, table: Table, index: int) -> Steps:
    """Measure position `index` until it is exact, each batch an estimate; then without the repair.

    Before the network as it came is measured there is one, of a plain sample.
    """
    for one in both(table):
        if not controller.curves.is_exact(one, index):
            yield from _estimate(controller, one, index)


def _estimate(controller: Adjusting, table: Table, index: int) -> Steps:
    instruments = controller.instruments
    together = instruments.alone(table, index, controller.session.network.data)
    paired = table.stage.baseline is not None
    for _, found in together.steps(None if paired else FIRST, first=FIRST):
        if found is None:
            yield
            continue
        controller.measured(table, index, found)
        # while the slider moves on, no step that only makes an answer better is in its way
        yield REFINE
    instruments.learn(table, index, together.streams[0])


def compress(controller: Adjusting, table: Table, index: int) -> Steps:
    """Compress the file at position `index`: no formula knows what that gives."""
    yield
    plan = table.plan(index)
    stored = yield from storage_steps(table.stage.model, plan)
    controller.measured(table, index, stored.compressed)


def sweep(controller: Adjusting, table: Table) -> Steps:
    """Fill the curve in: a coarse grid first, then all, each with estimates and then exactly.

    Positions are measured in blocks, so that what neighbours share is computed once; and the exact
    ones of the grid are what later estimates between them are paired with. What deletion alone
    gives comes after what the repair gives.
    """
    for one in both(table):
        yield from _sweep(controller, one)
    give_back()


def _sweep(controller: Adjusting, table: Table) -> Steps:
    session, instruments = controller.session, controller.instruments
    data = session.network.data
    total = data.test.count
    every = blocks(len(table.sparsity), instruments.engine(table.stage, data).block)
    grid = [block for block in every if set(block) <= set(coarse_to_fine(len(table.sparsity))[:9])]
    rest = every[len(grid) :]
    for part, limit in ((grid, FIRST_PASS), (grid, total), (rest, FIRST_PASS), (rest, total)):
        for block in part:
            yield from instruments.look(data, table)
            wanted = controller.curves.unknown(table, block, min(limit, total))
            if not wanted:
                continue
            together = controller.together(table, wanted)
            yield
            for number, found in together.steps(limit, every=False):
                if found is not None:
                    controller.measured(table, wanted[number], found)
                yield
            for index, stream in zip(wanted, together.streams, strict=True):
                instruments.learn(table, index, stream)


def collect(controller: Adjusting, needs: Iterable[str] = ANSWERS) -> Steps:
    """Collect what is missing of `needs` of the present network, on calibration examples.

    What units answer comes first in any case: other panels show it, and it takes a second or two.
    """
    session = controller.session
    stage, data = session.network.stage, session.network.data
    lacking = COLLECTABLE.intersection(needs)
    if session.statistics is not None:
        lacking = session.statistics.missing(lacking)
    elif lacking - ANSWERS:
        yield from collect(controller)
        yield from collect(controller, lacking)
        return
    if not lacking:
        return
    macs = max(1, stage.graph.macs)
    steps = collect_steps(
        stage.model,
        data,
        stage.graph,
        gradient_examples=max(LEAST_GRADIENTS, min(MOST_GRADIENTS, GRADIENT_MACS // (3 * macs))),
        **collection(lacking),
    )
    text = _collecting(lacking)
    for progress in steps:
        counted = f"{text}: {progress.seen:,} of {progress.total:,} examples"
        session.status = Status("busy", counted, progress.seen, progress.total)
        found = progress.statistics
        if found is not None:
            known = session.statistics
            session.statistics = found if known is None else known.joined(found)
        yield
    controller.show_status()


def _collecting(needs: Iterable[str]) -> str:
    """Say what a pass collects, the slowest part of it."""
    for need, text in COLLECTING.items():
        if need in needs:
            return text
    return "Watching the neurons"


def scan(controller: Adjusting) -> Steps:
    """Prune one layer at a time, in the pieces and with the repair chosen; see what it costs."""
    session = controller.session
    stage, setting, data = session.network.stage, session.setting, session.network.data
    session.scan = Scan("running", "Starting")
    yield
    mending = yield from mending_steps(controller, stage, setting)
    # units that leave together are one curve, under the first of their layers
    layers = {
        name if setting.granularity == "weight" else stage.graph.layers[name].group: name
        for name in reversed(setting.ticked)
    }
    steps = sensitivity_steps(
        stage.model,
        data,
        criterion=setting.criterion,
        granularity=setting.granularity,
        layers=[name for name in setting.ticked if name in layers.values()],
        graph=stage.graph,
        statistics=session.statistics,
        baseline=stage.baseline,
        seed=setting.seed,
        repair=setting.repair,
        multiple_of=setting.multiple_of,
        min_units=setting.min_units,
        pattern=setting.pattern,
        mending=mending,
    )
    for progress in steps:
        session.scan = Scan(
            "done" if progress.done == progress.total else "running",
            f"{progress.done} of {progress.total} measured",
            progress.result,
        )
        controller.show_status()
        yield


def status(controller: Desk) -> Status:
    """Say what is known here and what is running."""
    session, table = controller.session, controller.session.table
    network = session.network
    if network is not None and not session.setting.ticked:
        able = choices.prunable(network.stage, session.setting, outputs=True)
        text = "No layer is ticked: tick one to prune it"
        return Status("idle", text if able else "Nothing more can go: each layer says why")
    if controller.worker.running("apply"):
        return Status("busy", "Applying")
    if network is None or table is None or session.curve is None:
        return session.status
    index = table.index(session.position)
    here = session.curve.estimates[index]
    total = network.data.test.count
    if table.stage.baseline is None:
        return session.status
    if here is None:
        text = "Measuring here"
    elif here.exact:
        text = "Exact here."
    else:
        text = f"Estimate from {here.seen:,} of {total:,} images."
    if note := controller.instruments.note:
        text = f"{text} {note}"
    known, positions = session.curve.known, len(table.sparsity)
    if session.fine_tuning.state == "running":
        return Status("busy", f"{text} Fine-tuning: {session.fine_tuning.text}")
    if session.fine_tuning.state == "paused":
        return Status("idle", f"{text} Fine-tuning is paused.")
    if session.scan.state == "running":
        return Status("busy", f"{text} Scanning the layers: {session.scan.text}")
    for comparison in (session.judging.agreement, session.judging.race):
        if comparison.state == "running":
            return Status("busy", f"{text} Comparing criteria: {comparison.text}")
    if session.timing.state == "running":
        return Status("busy", f"{text} Timing the network")
    if session.comparing.state == "running":
        return Status("busy", f"{text} Comparing two steps: {session.comparing.text}")
    if known < positions:
        return Status("busy", f"{text} Filling in the curve", known, positions)
    return Status("idle", f"{text} Every position is measured.")
