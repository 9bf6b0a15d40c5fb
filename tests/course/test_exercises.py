"""Every exercise takes a right answer and names what is wrong with typical wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from prunevis.course import EXERCISES, check, hint, solved
from prunevis.errors import SpecError, UnknownNameError


def merge(
    weight: Any, bias: Any, u: int, v: int, scale: float, shift: float
) -> tuple[torch.Tensor, torch.Tensor]:
    new = weight.clone()
    new[:, v] += scale * weight[:, u]
    new[:, u] = 0
    return new, bias + shift * weight[:, u]


def merge_no_shift(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return merge(*args)[0], args[1]


def merge_nothing(weight: Any, bias: Any, u: int, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    new = weight.clone()
    new[:, u] = 0
    return new, bias


def merge_in_place(weight: Any, bias: Any, u: int, v: int, *_: Any) -> Any:
    weight[:, v] += weight[:, u]
    return weight, bias


def spearman(a: torch.Tensor, b: torch.Tensor) -> float:
    gaps = a.argsort().argsort() - b.argsort().argsort()
    return 1 - 6 * int(gaps.square().sum()) / (len(a) * (len(a) ** 2 - 1))


#: Exercise -> a right answer, and wrong ones with a piece of what is said.
CASES: dict[str, tuple[Any, list[tuple[Any, str]]]] = {
    "00-zeros": ("c", [("a", "four bytes"), ("B ", "dense"), ("d", "by itself"), (3, "letter")]),
    # 784·150 + 150·50 + 50·10 weights, 150 + 50 + 10 biases
    "01-parameters": (
        125_810,
        [
            (125_600, "bias"),
            (266_610, "as it came"),
            (133_305, "half"),
            (66_652, "quarter"),
            (133_810, "no columns"),
            (140_800, "what left"),
            (7, "each layer"),
            ("many", "one number"),
        ],
    ),
    "02-threshold": (
        lambda weights, sparsity: weights.abs().quantile(sparsity),
        [
            (lambda w, s: w.quantile(s), "magnitude first"),
            (lambda w, s: w.abs().quantile(1 - s), "share that goes"),
            (lambda w, s: s * w.abs().max(), "largest magnitude"),
            (lambda w, s: w.square().quantile(s), "squares"),
            (lambda w, s: s * w.std(), "spread"),
            (lambda w, s: 0.0, "0% of the weights"),
        ],
    ),
    "03-dead": (
        lambda answers: (answers == 0).all(dim=0),
        [
            (lambda h: (h == 0).all(dim=1), "dim=0"),
            (lambda h: (h == 0).any(dim=0), "at least once"),
            (lambda h: (h > 0).any(dim=0), "wrong way round"),
            (lambda h: h.mean(0) < 0.1, "weak"),
            (lambda h: h.median(0).values == 0, "rare"),
            (lambda h: h[0], "tensor of 6 True and False"),
        ],
    ),
    "04-merge": (
        merge,
        [
            (merge_no_shift, "shift, is lost"),
            (merge_nothing, "is missing"),
            (merge_in_place, "clone"),
            (lambda *args: merge(*args)[0], "two things"),
        ],
    ),
    "05-spearman": (
        spearman,
        [
            (lambda a, b: torch.corrcoef(torch.stack((a, b)))[0, 1], "Rank first"),
            (lambda a, b: -spearman(a, b), "wrong way round"),
            (lambda a, b: 1 - spearman(a, b), "take it from 1"),
        ],
    ),
}


def test_each_exercise_has_its_cases() -> None:
    assert CASES.keys() == EXERCISES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_right_answer_is_taken(name: str) -> None:
    verdict = check(name, CASES[name][0])
    assert (verdict.right, verdict.text) == (True, EXERCISES[name].praise)
    assert name in solved().solved


WRONG = [(name, answer, text) for name, (_, all_) in CASES.items() for answer, text in all_]


@pytest.mark.parametrize(("name", "answer", "text"), WRONG)
def test_a_wrong_answer_is_named(name: str, answer: Any, text: str) -> None:
    verdict = check(name, answer)
    assert verdict.right is False
    assert text in verdict.text


@pytest.mark.parametrize("name", CASES)
def test_at_least_two_wrong_answers_each(name: str) -> None:
    texts = {check(name, answer).text for answer, _ in CASES[name][1]}
    assert len(texts) >= 2


@pytest.mark.parametrize("answer", [..., None])
def test_no_answer_is_not_a_wrong_one(answer: Any) -> None:
    verdict = check("02-threshold", answer)
    assert verdict.right is None
    assert "a function of (weights, sparsity)" in verdict.text


def fails(*_: Any) -> None:
    raise ValueError("oh")


def unwritten(*_: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (fails, "ValueError: oh"),
        (unwritten, "not written yet"),
        (lambda *_: None, "returns nothing"),
        (5, "without brackets"),
        (lambda *_: float("nan"), "finite"),
    ],
)
def test_what_is_no_answer_is_said(function: Callable[..., Any], text: str) -> None:
    assert text in check("05-spearman", function).text


def test_hints_come_one_by_one_and_stay_at_the_last() -> None:
    seen = [hint("03-dead").text for _ in range(3)]
    assert seen == [*EXERCISES["03-dead"].hints, EXERCISES["03-dead"].hints[-1]]
    assert "Hint 2 of 2." in repr(hint("03-dead"))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean '02-threshold'"):
        check("02-treshold", 1)


def test_what_is_no_exercise_is_not_filed() -> None:
    with pytest.raises(SpecError, match="not a subclass of Exercise"):
        EXERCISES.register("99-none")(int)  # type: ignore[arg-type]


def test_html_is_escaped() -> None:
    text = check("01-parameters", "<b>")._repr_html_()
    assert "<b>&" not in text
    assert "&lt;b&gt;" in text
