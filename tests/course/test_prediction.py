"""A guess first, the truth after it, with and without a browser."""

from __future__ import annotations

from typing import Any

import pytest

from prunevis.course import predict
from prunevis.errors import SpecError


def test_options_with_a_guess() -> None:
    calls: list[int] = []
    asked = predict("Which?", ["a", "b"], truth=lambda: calls.append(1) or "b", why="Since.")
    assert calls == []
    assert repr(asked) == "Your prediction. Which? (a / b)"
    assert asked.reveal("a") == "Which? Measured: b; you said: a. Since."
    assert (asked.guess, asked.measured) == ("a", "b")
    asked.reveal("b")
    assert (asked.guess, calls) == ("a", [1])


def test_a_number_says_how_far_off() -> None:
    asked = predict(
        "How many?", between=(0, 100), unit="%", truth=lambda: 80.5, why=lambda t: f"{t}!"
    )
    assert (
        asked.reveal(50) == "How many? Measured: 80.5 %; you said 50 %, 30.5 points too low. 80.5!"
    )


def test_no_guess() -> None:
    assert predict("n?", between=(0, 1), truth=lambda: 0.25).reveal() == "n? Measured: 0.25."


def test_pressed_in_the_browser() -> None:
    asked = predict("Which?", ["a", "b"], truth=lambda: "b")
    field, button, answer = asked.children[1:]
    assert button.disabled
    field.value = "b"
    assert not button.disabled
    button.click()
    assert "as you said" in answer.value
    assert field.disabled


def test_a_truth_that_fails_is_said_on_the_page() -> None:
    asked = predict("n?", between=(0, 1), truth=lambda: 1 / 0)
    asked.children[2].click()
    assert "ZeroDivisionError" in asked.children[3].value
    assert not asked.children[2].disabled


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({}, "options to choose from"),
        ({"options": ["a", "b"], "between": (0, 1)}, "options to choose from"),
        ({"options": ["a"]}, "cannot be chosen from"),
        ({"options": ["a", "a"]}, "cannot be chosen from"),
        ({"between": (1, 0)}, "no range"),
        ({"between": (0, 1), "truth": 5}, "measured, never written down"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        predict("?", **{"truth": lambda: 0, **how})


@pytest.mark.parametrize(
    ("how", "guess", "match"),
    [
        ({"options": ["a", "b"], "truth": lambda: "a"}, "c", "not one of the options"),
        ({"options": ["a", "b"], "truth": lambda: "c"}, "a", "truth is not one of the options"),
        ({"between": (0, 1), "truth": lambda: 0.5}, 2, "out of range"),
        ({"between": (0, 1), "truth": lambda: "x"}, 0.5, "not a number"),
    ],
)
def test_a_guess_or_truth_that_does_not_fit(how: Any, guess: Any, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        predict("?", **how).reveal(guess)
