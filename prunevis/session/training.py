"""The use cases around training: filling in, starting, pausing, and what becomes of the outcome.

The jobs themselves stand in `prunevis.session.tuning`. What a person fills in is checked in
`prunevis.session.drafting` before anything starts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from prunevis.errors import PrunevisError, SpecError
from prunevis.session import drafting, tuning
from prunevis.session.jobs import LONG
from prunevis.session.staging import Staging


class Training(Staging):
    """Training what the slider shows; the outcome waits to be kept or discarded."""

    def draft(
        self,
        schedule: Any,
        knobs: Any = None,
        learning_rate: Any = None,
        source: Any = None,
        more: Any = None,
    ) -> None:
        """Fill in a schedule without starting it; what is wrong is said beside the form.

        What is None stays as it was last filled in.
        """
        state = self.session.fine_tuning
        if self.session.network is None or state.under_way:
            return
        if learning_rate is None:
            learning_rate = state.learning_rate
        if source is None:
            known = drafting.sources(self.session.network.data)
            source = state.source if state.source in known else next(iter(known), None)
        try:
            self._fill_in(schedule, knobs, learning_rate, source, more)
        except SpecError as error:
            self.session.draft = replace(self.session.draft, error=str(error).replace("`", ""))

    def fine_tune(
        self,
        epochs: Any,
        learning_rate: Any,
        source: Any,
        *,
        schedule: Any = "one-shot",
        knobs: Any = None,
        more: Any = None,
    ) -> None:
        """Train what the slider shows, on a schedule; its pruned weights are held at zero.

        `epochs` are those of "one-shot" where `knobs` names none.
        """
        again = partial(
            self.fine_tune, epochs, learning_rate, source, schedule=schedule, knobs=knobs, more=more
        )
        if self.once_measured(again):
            text = "Training begins when the network is measured as it is."
            self.session.fine_tuning = replace(self.session.fine_tuning, text=text)
            return
        table = tuning.present_table(self, "There is no network to train yet.")
        if self.session.fine_tuning.under_way:
            raise SpecError("A training is under way.", fix="Cancel it first.")
        if schedule == "one-shot" and knobs is None:
            knobs = {"epochs": epochs}
        self._fill_in(schedule, knobs, learning_rate, source, more)
        draft, form = self.session.draft, self.session.fine_tuning.cleared()
        if problem := drafting.refusal(self.session):
            raise SpecError(problem)
        timeline, _ = drafting.timeline_of(self.session)
        plan = table.plan_at(self.session.position)
        before = table.stage.baseline
        settings = drafting.settings_of(
            draft, lr=form.learning_rate, epochs=form.epochs, seed=self.session.setting.seed
        )
        self.session.fine_tuning = replace(
            form,
            state="running",
            text="Starting",
            timeline=timeline,
            before=None if before is None else before.accuracy,
        )
        if draft.name == "one-shot":
            self.worker.submit("fine_tune", lambda: tuning.fine_tune(self, plan, settings), LONG)
        else:
            made = draft.made[draft.name]
            self.worker.submit(
                "fine_tune",
                lambda: tuning.run_on_schedule(self, made, plan.spec, settings),
                LONG,
            )
        self.show_status()

    def _fill_in(
        self, schedule: Any, knobs: Any, learning_rate: Any, source: Any, more: Any
    ) -> None:
        """Check what was filled in, and take it over."""
        state, draft = self.session.fine_tuning, self.session.draft
        data = self.session.network.data
        epochs = state.epochs
        if schedule == "one-shot":
            if isinstance(knobs, dict):
                epochs = knobs.get("epochs", epochs)
            knobs = None
        form = drafting.checked_form(data, epochs, learning_rate, source)
        made = drafting.checked_schedule(schedule, knobs, draft.made.get(str(schedule)))
        found = None if more is None else drafting.checked_more(more)
        self.session.draft = drafting.with_schedule(draft, schedule, made, found)
        self.session.fine_tuning = replace(state, **form)

    def pause(self) -> None:
        """Stand still between two steps; everything stays as it is."""
        if self.session.fine_tuning.state == "running" and self.worker.hold("fine_tune", True):
            self.session.fine_tuning = replace(self.session.fine_tuning, state="paused")
            self.show_status()

    def go_on(self) -> None:
        """Go on after a pause, as if there had been none."""
        if self.session.fine_tuning.state == "paused" and self.worker.hold("fine_tune", False):
            self.session.fine_tuning = replace(self.session.fine_tuning, state="running")
            self.show_status()

    def keep(self) -> None:
        """Go on with the fine-tuned network."""
        result = self.session.fine_tuning.result
        if result is None:
            raise SpecError("There is no fine-tuned network to keep.")
        self.push(result)

    def discard(self) -> None:
        """Forget the fine-tuned network."""
        if not self.session.fine_tuning.under_way:
            self.session.fine_tuning = self.session.fine_tuning.cleared()

    def stop_training(self) -> None:
        """Cancel the training, if it is under way; the network stays as it is."""
        if self.worker.cancel("fine_tune"):
            state = self.session.fine_tuning
            self.session.fine_tuning = replace(
                state, state="cancelled", text="Cancelled: nothing was changed.", result=None
            )

    def training_failed(self, error: BaseException) -> None:
        """Say that the training ended in `error`."""
        text = error.problem if isinstance(error, PrunevisError) else "Training failed."
        self.session.fine_tuning = replace(
            self.session.fine_tuning, state="failed", text=text, result=None
        )
