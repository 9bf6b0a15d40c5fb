"""`predict`: a guess first, the measured truth after it."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from prunevis.course.asking import box
from prunevis.errors import SpecError

BLUE, GREEN, ORANGE = "#2b6cb0", "#2f855a", "#d9581c"


class Prediction(widgets.VBox):
    """A question, a place for a guess, and the truth once the guess is made.

    Without a browser it is the same by code: ``prediction.reveal(guess)``. Made by `predict`.

    Attributes
    ----------
    question
        As asked.
    guess
        What was guessed: an option or a number; None before that, and if it was revealed without.
    measured
        What the truth's function returned; None before `reveal`.
    """

    def __init__(
        self,
        question: str,
        options: tuple[str, ...] | None,
        between: tuple[float, float] | None,
        unit: str,
        truth: Callable[[], Any],
        why: str | Callable[[Any], str],
    ) -> None:
        self.question, self.unit = question, unit
        self.options, self.between = options, between
        self.guess: str | float | None = None
        self.measured: str | float | None = None
        self._truth, self._why = truth, why
        self._field = field_for(question, options, between, unit)
        self._button = widgets.Button(
            description="That is my guess: show me", button_style="primary", disabled=bool(options)
        )
        self._button.layout.width = "max-content"
        self._answer = widgets.HTML()
        self._field.observe(self._chosen, "value")
        self._button.on_click(self._pressed)
        title = widgets.HTML(f"<b>Your prediction.</b> {html.escape(question)}")
        super().__init__([title, self._field, self._button, self._answer])
        self.layout.max_width = "46em"

    @property
    def text(self) -> str:
        """The question, and what is known by now, in plain words."""
        if self.measured is None:
            asked = " / ".join(self.options) if self.options else self._range()
            return f"Your prediction. {self.question} ({asked})"
        return f"{self.question} {self._comparison()} {self._reason()}".rstrip()

    def reveal(self, guess: str | float | None = None) -> str:
        """Measure the truth, show it beside the guess, and return both in words.

        Parameters
        ----------
        guess
            One of the options, or a number in the range; None reveals without a guess. The first
            guess counts: once the truth is known, another one is not taken.

        Raises
        ------
        SpecError
            If the guess is no option, or outside of the range, or the truth's function returns
            something that the question cannot have as its answer.
        """
        if self.measured is None:
            if guess is not None:
                self._accept(guess)
            self.measured = self._measure()
            self._lock()
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _accept(self, guess: Any) -> None:
        if self.options is not None:
            if guess not in self.options:
                raise SpecError(
                    f"{guess!r} is not one of the options.", expected=" / ".join(self.options)
                )
            self.guess = guess
        else:
            low, high = self.between  # type: ignore[misc]
            number = isinstance(guess, (int, float)) and not isinstance(guess, bool)
            if not number or not low <= guess <= high:
                raise SpecError("The guess is out of range.", expected=self._range(), got=guess)
            self.guess = float(guess)
        self._field.value = self.guess

    def _measure(self) -> str | float:
        found = self._truth()
        if self.options is not None:
            if found not in self.options:
                raise SpecError(
                    "The truth is not one of the options.",
                    expected=" / ".join(self.options),
                    got=found,
                    fix="Let truth() return the text of an option.",
                )
            return found
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise SpecError(
                "The truth is not a number.", expected="a finite number from truth()", got=found
            )
        return value

    def _chosen(self, _change: Any) -> None:
        if self.measured is None:
            self._button.disabled = False

    def _pressed(self, _button: Any) -> None:
        self._button.disabled = True
        self._answer.value = box(BLUE, "Measuring …", "")
        try:
            self.reveal(self._field.value)
        except Exception as error:
            # a callback that fails shows nothing on the page, so it is said there
            self._answer.value = box(ORANGE, f"{type(error).__name__}:", str(error))
            self._button.disabled = False

    def _lock(self) -> None:
        self._field.disabled = self._button.disabled = True
        colour = BLUE if self.guess is None else GREEN if self._hit() else ORANGE
        self._answer.value = box(colour, self._comparison(), self._reason())

    def _hit(self) -> bool:
        if self.options is not None:
            return self.guess == self.measured
        low, high = self.between  # type: ignore[misc]
        # a tenth of the range is as near as a guess needs to be
        return abs(float(self.guess or 0) - float(self.measured or 0)) <= (high - low) / 10

    def _comparison(self) -> str:
        measured, guess = self.measured, self.guess
        if self.options is not None:
            if guess is None:
                return f"Measured: {measured}."
            word = "as you said" if self._hit() else f"you said: {guess}"
            return f"Measured: {measured}; {word}."
        said = self._number(float(measured or 0))
        if guess is None:
            return f"Measured: {said}."
        off = self._number(abs(float(guess) - float(measured or 0)), " points" in self._off_unit())
        side = "too high" if float(guess) > float(measured or 0) else "too low"
        how = "exactly right" if off == self._number(0.0, True) else f"{off} {side}"
        return f"Measured: {said}; you said {self._number(float(guess))}, {how}."

    def _off_unit(self) -> str:
        # a difference of two percentages is in points
        return " points" if self.unit == "%" else self.unit

    def _number(self, value: float, difference: bool = False) -> str:
        unit = self._off_unit() if difference else self.unit
        text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{text} {unit.strip()}".rstrip()

    def _range(self) -> str:
        low, high = self.between  # type: ignore[misc]
        return f"{self._number(low)} to {self._number(high)}"

    def _reason(self) -> str:
        return self._why if isinstance(self._why, str) else self._why(self.measured)


def predict(
    question: str,
    options: Sequence[str] | None = None,
    *,
    between: tuple[float, float] | None = None,
    unit: str = "",
    truth: Callable[[], Any],
    why: str | Callable[[Any], str] = "",
) -> Prediction:
    """Ask for a guess, and show the measured truth only after it.

    Parameters
    ----------
    question
        One sentence, ending in a question mark.
    options
        Two to six answers to choose from, or None with `between`.
    between
        The smallest and the largest number that can be guessed, or None with `options`.
    unit
        Of the number: "%", "weights", "ms".
    truth
        Called without arguments when the guess is made, not before: it measures, and returns the
        text of an option, or a number in `unit`.
    why
        What explains the truth, shown with it; or a function of what `truth` returned.

    Returns
    -------
    Prediction
        A widget; leave it on the last line of a cell.

    Raises
    ------
    SpecError
        If neither or both of `options` and `between` are given, or they make no sense.
    """
    if (options is None) == (between is None):
        raise SpecError(
            "A prediction needs options to choose from, or a range of numbers.",
            fix='Give options=["weights", "units"], or between=(0, 100).',
        )
    if not callable(truth):
        raise SpecError(
            "The truth is measured, never written down.",
            expected="truth=a function without arguments",
            got=type(truth).__name__,
        )
    if options is not None:
        options = tuple(options)
        texts = all(isinstance(option, str) and option.strip() for option in options)
        if not texts or not 2 <= len(set(options)) == len(options) <= 6:
            raise SpecError("These cannot be chosen from.", expected="2 to 6 texts", got=options)
    elif not (len(between) == 2 and between[0] < between[1]):  # type: ignore[arg-type,index]
        raise SpecError("This is no range.", expected="(low, high) with low < high", got=between)
    return Prediction(question, options, between, unit, truth, why)


def field_for(
    question: str,
    options: tuple[str, ...] | None,
    between: tuple[float, float] | None,
    unit: str,
) -> Any:
    """Return the control in which a guess is made; named by the question for screen readers."""
    if options is not None:
        return widgets.RadioButtons(
            options=options, value=None, layout={"width": "max-content"}, tooltip=question
        )
    low, high = between or (0.0, 1.0)
    whole = float(low).is_integer() and float(high).is_integer() and high - low >= 20
    kind: Any = widgets.IntSlider if whole else widgets.FloatSlider
    middle = (low + high) / 2
    return kind(
        min=int(low) if whole else low,
        max=int(high) if whole else high,
        step=1 if whole else (high - low) / 100,
        value=int(middle) if whole else middle,
        description=unit or "guess",
        tooltip=question,
        layout={"width": "100%", "max_width": "30em"},
    )
