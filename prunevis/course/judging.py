"""What exercises judge with: numbers, choices, and functions that a student wrote."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prunevis.course.exercise import Misfit

#: Relative and absolute difference below which two numbers count as the same answer: what single
#: precision and another order of summation change, and no misconception does.
RELATIVE, ABSOLUTE = 1e-4, 1e-6


def as_number(answer: Any) -> float:
    """Return `answer` as a finite number.

    Raises
    ------
    Misfit
        If it is none; text such as "0.5" or "50 %" is not guessed at.
    """
    if isinstance(answer, Tensor) and answer.numel() == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        # numpy's scalars are numbers too, and say so by item()
        item = getattr(answer, "item", None)
        if item is None or getattr(answer, "size", 0) != 1:
            raise Misfit(f"The answer is one number. This is {described(answer)}.")
        answer = item()
    if not math.isfinite(answer):
        raise Misfit(f"The answer is a finite number. This is {answer}.")
    return float(answer)


def seal(exercise: str, choice: str) -> str:
    """Return a choice so that it can stand in the source without being read.

    Parameters
    ----------
    exercise
        Name of the exercise, which salts it: the same letter looks different elsewhere.
    choice
        The letter of an option, or any short answer; case and spaces around it do not matter.

    Returns
    -------
    str
        Twelve hexadecimal digits of a SHA-256. It hides from a glance, not from an attack.
    """
    plain = f"prunevis/{exercise}/{choice.strip().lower()}"
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def run(function: Callable[..., Any], *args: Any) -> Any:
    """Call what a student wrote, on copies, and return what it gives.

    Raises
    ------
    Misfit
        If it is not callable, raises, returns nothing, or writes into what it was given.
    """
    if not callable(function):
        raise Misfit(
            f"The answer is a function: pass it by its name, without brackets. "
            f"This is {described(function)}."
        )
    given = [copied(arg) for arg in args]
    try:
        with torch.no_grad():
            result = function(*given)
    except NotImplementedError:
        raise Misfit("The function is not written yet.") from None
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise Misfit(f"The function stopped with an error. {text}") from error
    if result is None or result is ...:
        raise Misfit("The function returns nothing. Is there a return at its end?")
    if not same(given, list(args)):
        raise Misfit(
            "The function changes what it was given: whoever called it loses their own network. "
            "Work on a copy, such as weights.clone()."
        )
    return result


def recognise(result: Any, right: Any, mistakes: Mapping[str, Any]) -> str | None:
    """Return what is wrong with `result`, by what it is equal to, or None if it is right.

    Parameters
    ----------
    result
        A number, a tensor, or a sequence of these.
    right
        What it should be.
    mistakes
        Sentence -> what somebody gets who makes that mistake. One that gives what is right on this
        case is passed over, since the case cannot tell.

    Raises
    ------
    Misfit
        If `result` is another kind of thing, or has another shape, and no mistake explains it.
    """
    if same(result, right):
        return None
    for sentence, wrong in mistakes.items():
        if same(result, wrong) and not same(wrong, right):
            return sentence
    expected, got = described(right), described(result)
    if expected != got:
        raise Misfit(f"The result should be {expected}. This is {got}.")
    return f"The result is not right. On a small case it gives {short(result)}, not {short(right)}."


def same(a: Any, b: Any) -> bool:
    """Return whether two results are equal within rounding: numbers, tensors, or sequences."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        a, b = flat(a), flat(b)
        return a is not None and b is not None and same(a, b)
    try:
        a, b = torch.as_tensor(a), torch.as_tensor(b)
    except (TypeError, ValueError, RuntimeError):
        return False
    if a.shape != b.shape or (a.dtype == torch.bool) != (b.dtype == torch.bool):
        return False
    if a.dtype == torch.bool:
        return bool(torch.equal(a, b))
    return torch.allclose(a.double(), b.double(), RELATIVE, ABSOLUTE, equal_nan=True)


def flat(value: Any) -> Any:
    """Return a sequence of plain numbers as a tensor, a tensor as it is, anything else as None."""
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def copied(value: Any) -> Any:
    """Return a copy of a tensor, or of a list of them, that shares no memory with it."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)(copied(part) for part in value)
    return value


def described(value: Any) -> str:
    """Return what kind of thing `value` is, in words."""
    if isinstance(value, Tensor) and value.ndim:
        shape = " × ".join(map(str, value.shape))
        kind = "True and False" if value.dtype == torch.bool else "numbers"
        return f"a tensor of {shape} {kind}" if value.ndim == 1 else f"a tensor, {shape}, of {kind}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        return "True or False"
    if isinstance(value, (int, float, Tensor)):
        return "a number"
    if isinstance(value, str):
        return f"the text {value!r}"
    if callable(value):
        return "a function"
    return f"of type {type(value).__name__}"


def short(value: Any) -> str:
    """Return a result in few characters, for a sentence."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(short(part) for part in value[:6])
        return f"[{shown}{', …' if len(value) > 6 else ''}]"
    return str(value)
