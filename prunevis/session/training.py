"""The use cases around training: starting it, and what becomes of its outcome.

The job itself stands in `prunevis.session.tuning`. What a person fills in is checked there before
anything starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prunevis.errors import PrunevisError, SpecError
from prunevis.session import tuning
from prunevis.session.jobs import LONG
from prunevis.session.staging import Staging
from prunevis.session.state import FineTuning


class Training(Staging):
    """Training what the slider shows; the outcome waits to be kept or discarded."""

    def fine_tune(self, epochs: Any, learning_rate: Any, source: Any) -> None:
        """Train what the slider shows, its pruned weights held at zero."""
        table = tuning.present_table(self, "There is no network to train yet.")
        form = tuning.checked_form(self.session.network.data, epochs, learning_rate, source)
        plan = table.plan_at(self.session.position)
        self.session.fine_tuning = FineTuning(state="running", text="Starting", **form)
        self.worker.submit("fine_tune", lambda: tuning.fine_tune(self, plan), LONG)
        self.show_status()

    def keep(self) -> None:
        """Go on with the fine-tuned network."""
        result = self.session.fine_tuning.result
        if result is None:
            raise SpecError("There is no fine-tuned network to keep.")
        self.push(result)

    def discard(self) -> None:
        """Forget the fine-tuned network."""
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
