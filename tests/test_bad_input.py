"""What people get wrong at the front door: a sentence each, and the model stays as it was."""

import pytest

import prunevis as pv


@pytest.fixture
def refused(mlp, untouched_model):
    """Return a function that checks that a call raises a sentence and leaves the model alone."""
    check = untouched_model(mlp)

    def refuses(call, match, error=pv.PrunevisError):
        with pytest.raises(error, match=match):
            call()
        check()

    return refuses


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"pattern": "2:4", "sparsity": 0.9}, r"'2:4' lets at most 0\.5 of the weights go"),
        ({"of": "macs"}, r"how much of the macs is to stay.*keep=0\.5"),
        ({"keep": 0.5, "sparsity": 0.5}, "a sparsity or a share to keep, not both"),
        ({"layers": [("fc1", 0.5), ("fc1", 0.2)]}, "names 'fc1' twice"),
    ],
)
def test_no_argument_of_a_request_is_ignored(refused, mlp, mlp_data, asked, match):
    refused(lambda: pv.prune(mlp, mlp_data, **asked), match, pv.SpecError)


@pytest.mark.parametrize(
    ("sparsities", "match"),
    [
        (0.5, r"Sparsities are several numbers.*Got: 0\.5.*Write \[0\.5\]"),
        ([], "`sparsities` is empty"),
        ("0.5", "Sparsities are several numbers"),
        ([None], r"at least 0 and below 1.*Got: None.*Where: sparsities"),
    ],
)
def test_sparsities_are_several_numbers(refused, mlp, mlp_data, sparsities, match):
    refused(lambda: pv.tradeoff(mlp, mlp_data, sparsities=sparsities), match, pv.SpecError)
    refused(lambda: pv.sensitivity(mlp, mlp_data, sparsities=sparsities), match, pv.SpecError)


def test_a_curve_ends_where_its_pattern_does(refused, mlp, mlp_data):
    curve = pv.tradeoff(mlp, mlp_data, pattern="2:4", images=20)
    assert curve.points[-1].sparsity == 0.5
    refused(
        lambda: pv.tradeoff(mlp, mlp_data, pattern="2:4", sparsities=[0.1, 0.6]),
        r"at most 0\.5 of the weights go\. Got: 0\.6",
        pv.SpecError,
    )


def test_seeds_and_shares_of_a_race_are_several_numbers(refused, mlp, mlp_data):
    refused(lambda: pv.race(mlp, mlp_data, seeds=3), r"Seeds are several.*Got: 3.*range\(3\)")
    refused(lambda: pv.race(mlp, mlp_data, shares=0.5), r"several numbers.*Where: shares")
    refused(lambda: pv.race(mlp, mlp_data, shares=[]), "`shares` is empty")
