import pickle

import pytest

import prunevis
from prunevis import errors
from prunevis.errors import (
    DataError,
    ModelError,
    NonFiniteError,
    NothingToPruneError,
    PrunevisError,
    SpecError,
    TraceError,
    UnknownNameError,
)


def test_message_is_built_in_a_fixed_order():
    error = SpecError(
        "It is too much.", expected="at most 1", got=2, where="fc1", fix="Ask for less."
    )
    assert str(error) == "It is too much. Expected: at most 1. Got: 2. Where: fc1. Ask for less."
    assert error.problem == "It is too much."
    assert (error.expected, error.got, error.where) == ("at most 1", 2, "fc1")
    assert error.fix == "Ask for less."


@pytest.mark.parametrize("got", [0, False, (), ""])
def test_a_value_that_is_false_is_still_said(got):
    assert f"Got: {got}." in str(PrunevisError("No.", got=got))


def test_sentences_end_once():
    error = PrunevisError("The forward raised ValueError: no", got="a, b.", where="fc1")
    assert str(error) == "The forward raised ValueError: no. Got: a, b. Where: fc1."


def test_parts_that_are_missing_leave_nothing_behind():
    assert str(DataError("There are no examples.")) == "There are no examples."


@pytest.mark.parametrize(
    ("child", "parents"),
    [
        (ModelError, (PrunevisError,)),
        (TraceError, (ModelError,)),
        (NonFiniteError, (ModelError,)),
        (NothingToPruneError, (ModelError,)),
        (DataError, (PrunevisError,)),
        (SpecError, (PrunevisError, ValueError)),
        (UnknownNameError, (PrunevisError, KeyError)),
    ],
)
def test_tree(child, parents):
    assert all(issubclass(child, parent) for parent in parents)
    assert child.__name__ in errors.__doc__
    assert getattr(prunevis, child.__name__) is child


def test_a_key_error_of_ours_is_no_quoted_repr():
    # KeyError shows repr(args[0]); a sentence must read as a sentence
    assert str(UnknownNameError("There is no such thing.")) == "There is no such thing."


@pytest.mark.parametrize("kind", [PrunevisError, SpecError, UnknownNameError, TraceError])
def test_errors_cross_process_borders(kind):
    error = kind("It is too much.", got=2, fix="Ask for less.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.problem, copy.fix) == (str(error), error.problem, error.fix)
