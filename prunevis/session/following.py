"""Following a recipe: its steps one after another, then its setting, slider and view.

Each step is what a person would do by hand, as the same jobs with the same checks and limits. A
step begins when the network before it is ranked and measured; when one fails, what was reached
stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from prunevis.errors import PrunevisError, SpecError
from prunevis.evaluation import Evaluation
from prunevis.pruning import PruningPlan, PruningSpec
from prunevis.pruning.targets import Shares
from prunevis.session import choices, drafting, tuning
from prunevis.session.jobs import LONG, NOW
from prunevis.session.mending import repair_unavailable
from prunevis.session.positions import POSITIONS
from prunevis.session.reading import name_of
from prunevis.session.recipe import Recipe, RecipeStep
from prunevis.session.state import Network, Setting, Stage, Table
from prunevis.session.training import Training
from prunevis.training import FineTuneSettings
from prunevis.training.schedules import make_schedule

#: Jobs without which the next step cannot be taken.
NEEDED = frozenset({"rank", "baseline", "statistics", "apply", "fine_tune", "asked"})


@dataclass(frozen=True)
class Replay:
    """How far a recipe was followed.

    Attributes
    ----------
    recipe
        Which.
    done
        Steps that were taken.
    state
        "running", "done" or "stopped".
    note
        What may differ from where the recipe was made, in words.
    """

    recipe: Recipe
    done: int = 0
    state: str = "running"
    note: str = ""


class Following(Training):
    """Takes the steps of a recipe, one after another."""

    @property
    def following(self) -> Replay | None:
        """The recipe that is being followed; None if none is."""
        replay = self.session.replay
        return replay if replay is not None and replay.state == "running" else None

    def stop_following(self) -> None:
        """Take no further step of a recipe; what was reached stays."""
        if (replay := self.following) is not None:
            self.session.replay = replace(replay, state="stopped")
            self.worker.cancel("asked")

    # -- what the jobs come to -------------------------------------------------------------------

    def opened(self, network: Network) -> None:
        """Take over a network that was opened, and begin with the recipe's steps."""
        super().opened(network)
        self._onwards(self._next)

    def push(self, stage: Stage) -> None:
        """Make `stage` the present one, and go on with the next step of the recipe."""
        super().push(stage)
        if (replay := self.following) is not None:
            self.session.replay = replace(replay, done=replay.done + 1)
            self._onwards(self._next)

    def trained(self) -> None:
        """Keep what a training of the recipe came to."""
        if self.following is not None:
            self._onwards(self.keep)

    def baseline_measured(self, stage: Stage, baseline: Evaluation) -> None:
        """Take over what the network as it came can do."""
        super().baseline_measured(stage, baseline)
        if self.following is not None:
            self.show_status()

    def move(self, sparsity: Any) -> None:
        """Put the slider at `sparsity`; on the way through a recipe nobody's hand moves it."""
        if self.following is None:
            super().move(sparsity)

    def fail(self, name: str, error: BaseException) -> None:
        """Say which step failed."""
        if self.following is not None and name in NEEDED:
            error = self._stopped(error)
        super().fail(name, error)

    # -- steps -----------------------------------------------------------------------------------

    def _onwards(self, call: Callable[[], None]) -> None:
        """Go on, if a recipe is followed; a problem ends that, not the job that led here."""
        if self.following is None:
            return
        try:
            call()
        except Exception as error:
            self.report(self._stopped(error))
            self.refresh()

    def _stopped(self, error: BaseException) -> BaseException:
        """Follow no further; return `error` with the step that it ended."""
        replay = self.following
        if replay is None:
            return error
        steps = len(replay.recipe.steps)
        self.stop_following()
        if not isinstance(error, PrunevisError):
            return error
        what = f"Step {replay.done + 1} of {steps} of the recipe cannot be taken"
        if replay.done == steps:
            what = "The recipe was followed, but not to its end"
        fix = "What was reached before stays."
        return SpecError(
            f"{what}: {error.problem}",
            expected=error.expected,
            got=error.got,
            where=error.where,
            fix=f"{error.fix} {fix}" if error.fix else fix,
        )

    def _next(self) -> None:
        replay = self.following
        if replay is None:
            return
        self.session.replay = replay  # told anew: the status says which step
        recipe, stage = replay.recipe, self._stage()
        if not replay.done:
            _check_layers(stage, recipe)
        if replay.done == len(recipe.steps):
            self._arrive(recipe)
            return
        spec = recipe.steps[replay.done].spec
        if spec is not None:
            self.session.setting = fitting(stage, setting_of(stage, spec))
            self.refresh()
        if not self.once_measured(self._take):
            self._take()

    def _take(self) -> None:
        replay = self.following
        if replay is None:
            return
        step, session = replay.recipe.steps[replay.done], self.session
        table = tuning.present_table(self, "There is nothing to prune yet.")
        if table.setting != session.setting:
            raise SpecError("The network could not be ranked for this step.")
        plan = _plan(table, step.spec)
        gone = sum(n - table.ranking.already.get(name, 0) for name, n in plan.removed.items())
        if step.spec is not None and gone <= 0 and step.settings is None:
            raise SpecError("Nothing goes at this step.")
        session.position = min(plan.sparsity, POSITIONS[-1])
        if step.settings is None:
            self.worker.submit("apply", lambda: tuning.apply_plan(self, plan), NOW)
        else:
            self._train(step, step.settings, plan)
        self.show_status()

    def _train(self, step: RecipeStep, settings: FineTuneSettings, plan: PruningPlan) -> None:
        """Train as the recipe says, if a person could by hand."""
        session = self.session
        form = drafting.checked_form(
            session.network.data, settings.epochs, settings.lr, step.source
        )
        schedule = step.schedule
        made = schedule or make_schedule("one-shot", epochs=float(settings.epochs))
        more = {knob.name: getattr(settings, knob.name) for knob in drafting.MORE}
        session.draft = drafting.with_schedule(
            session.draft, "one-shot" if schedule is None else name_of(made), made, more
        )
        session.fine_tuning = replace(session.fine_tuning.cleared(), **form)
        if problem := drafting.refusal(session):
            raise SpecError(problem)
        timeline, _ = drafting.timeline_of(session)
        before = session.network.stage.baseline
        session.fine_tuning = replace(
            session.fine_tuning,
            state="running",
            text="Starting",
            timeline=timeline,
            before=None if before is None else before.accuracy,
        )
        if schedule is None:
            self.worker.submit("fine_tune", lambda: tuning.fine_tune(self, plan, settings), LONG)
        else:
            self.worker.submit(
                "fine_tune",
                lambda: tuning.run_on_schedule(self, schedule, plan.spec, settings),
                LONG,
            )

    def _arrive(self, recipe: Recipe) -> None:
        """Set what the controls say, where the slider stands and what is looked at."""
        session, stage = self.session, self._stage()
        setting, position = session.setting, session.position
        if recipe.setting is not None:
            setting, position = fitting(stage, recipe.setting), recipe.position
        elif not recipe.steps or recipe.position:
            position = recipe.position
        view = session.view
        if recipe.layer:
            view = choices.looking(stage, view, {"layer": recipe.layer})
        view = choices.looking(stage, view, {"unit": recipe.unit})
        view = choices.looking(stage, view, {"tab": recipe.tab})
        session.replay = replace(session.replay, state="done")
        session.setting, session.position, session.view = setting, position, view
        self.refresh()
        self._serve_tab()


def setting_of(stage: Stage, spec: PruningSpec) -> Setting:
    """Return the setting under which a page would ask for `spec`."""
    setting = Setting(
        granularity=spec.granularity,
        criterion=spec.criterion,
        scope=spec.scope,
        seed=spec.seed,
        own=tuple(spec.own_sparsity.items()),
        multiple_of=spec.multiple_of,
        min_units=spec.min_units,
        pattern=spec.pattern,
        repair=spec.repair,
    )
    names = spec.layer_names
    if names is None:
        return replace(setting, ticked=choices.prunable(stage, setting))
    return replace(setting, ticked=tuple(n for n in stage.graph.layers if n in set(names)))


def fitting(stage: Stage, setting: Setting) -> Setting:
    """Return `setting` if a person could have chosen it on this network.

    Raises
    ------
    SpecError
        If its criterion, its repair or a layer cannot be used here.
    """
    graph = stage.graph
    choices.check_usable(graph, setting)
    reason = repair_unavailable(graph, setting, setting.repair)
    if reason is not None:
        raise SpecError(f"The repair {setting.repair!r} cannot be used here. {reason}")
    names = set(setting.ticked)
    for name in setting.ticked:
        mates = choices.together(graph, setting, choices.known_layer(graph, name))
        if not set(mates) <= names:
            raise SpecError(
                "Layers whose units leave together are ticked together.",
                expected=", ".join(mates),
                got=name,
            )
    order = list(graph.layers)
    return replace(
        setting,
        ticked=tuple(sorted(setting.ticked, key=order.index)),
        own=tuple(sorted(setting.own, key=lambda pair: order.index(pair[0]))),
    )


def _check_layers(stage: Stage, recipe: Recipe) -> None:
    """Raise SpecError if a recipe names a layer that the network has not."""
    named = [name for step in recipe.steps if step.spec for name in step.spec.layer_names or ()]
    named += [] if recipe.setting is None else recipe.setting.ticked
    named += [recipe.layer] if recipe.layer else []
    for name in named:
        if name not in stage.graph.layers:
            raise SpecError(
                f"This network has no layer {name[:80]!r}.",
                expected=", ".join(list(stage.graph.layers)[:12]),
                fix="Follow the recipe on the network that it was made for.",
            )


def _plan(table: Table, spec: PruningSpec | None) -> PruningPlan:
    if spec is None:
        return table.ranking.plan(0.0)
    sparsity = spec.sparsity
    if spec.keep is not None:
        sparsity = Shares(table.ranking, spec.of, table.stage.costs).sparsity(spec.keep)
    return table.ranking.plan(sparsity)
