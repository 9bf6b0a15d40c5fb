import math

import pytest

from prunevis.errors import SpecError
from prunevis.pruning import PruningSpec, check_sparsity


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 0.999, "0.25", 1 / 3])
def test_sparsities(value):
    assert check_sparsity(value) == float(value)
    assert type(check_sparsity(value)) is float


@pytest.mark.parametrize(
    "value",
    [1, 1.0, -0.1, math.nan, math.inf, -math.inf, None, "half", [0.5], {}, 10**400],
    ids=lambda value: str(value)[:8],
)
def test_no_sparsities(value):
    with pytest.raises(SpecError, match=r"at least 0 and below 1\..*removes 90 %"):
        check_sparsity(value)


def test_percent_are_recognised():
    with pytest.raises(SpecError, match=r"Got: 80\. Where: here.*Did you mean 0\.8\?"):
        check_sparsity(80, "here")


def test_what_may_be_anything_is_not_guessed():
    with pytest.raises(SpecError, match=r"Got: 1\.3\.") as caught:
        check_sparsity(1.3)
    assert "Did you mean" not in str(caught.value)


def test_a_sparsity_beside_a_share_is_refused_even_where_it_is_the_usual_one():
    with pytest.raises(SpecError, match=r"not both.*sparsity=0\.5 and keep=0\.5"):
        PruningSpec.make(sparsity=0.5, keep=0.5)


def test_what_a_pattern_lets_go_may_be_asked_for():
    assert PruningSpec.make(pattern="1:4", sparsity=0.75).sparsity == 0.75
    assert PruningSpec.make(pattern="1:3", sparsity=2 / 3).sparsity == 2 / 3
    assert PruningSpec.make(pattern="4x4", sparsity=0.99).sparsity == 0.99
    assert PruningSpec.make(pattern="3:4", keep=0.8).keep == 0.8


def test_a_layer_may_be_named_twice_alike():
    assert PruningSpec.make(layers=["a", "a"]).layer_names == ("a",)


def test_a_long_value_is_not_repeated_in_full():
    with pytest.raises(SpecError) as caught:
        check_sparsity("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_defaults():
    spec = PruningSpec.make()
    assert spec == PruningSpec()
    assert (spec.criterion, spec.granularity, spec.scope) == ("magnitude", "weight", "global")
    assert (spec.sparsity, spec.layers, spec.seed) == (0.5, None, 0)
    assert spec.layer_names is None
    assert spec.own_sparsity == {}


LAYERS = [
    (["a", "b"], ("a", "b"), {}),
    (("a",), ("a",), {}),
    (iter(["a", "b"]), ("a", "b"), {}),
    ({"a": 0.9, "b": None}, ("a", "b"), {"a": 0.9}),
    ({"a": 0}, ("a",), {"a": 0.0}),
]


@pytest.mark.parametrize(("layers", "names", "own"), LAYERS)
def test_layers(layers, names, own):
    spec = PruningSpec.make(layers=layers)
    assert spec.layer_names == names
    assert spec.own_sparsity == own
    hash(spec)


def test_the_class_takes_layers_as_make_does():
    assert PruningSpec(layers=["a", "b"]) == PruningSpec.make(layers=["a", "b"])
    assert PruningSpec(layers={"a": 0.9}).own_sparsity == {"a": 0.9}


WRONG = [
    ({"granularity": "row"}, "There is no granularity 'row'. Expected: 'weight' or 'unit'"),
    ({"scope": "model"}, "There is no scope 'model'. Expected: 'layer' or 'global'"),
    ({"sparsity": 1.5}, "at least 0 and below 1"),
    ({"seed": -1}, "A seed is a whole number from 0. Got: -1"),
    ({"seed": True}, "A seed is a whole number"),
    ({"seed": 1.0}, "A seed is a whole number"),
    ({"layers": "fc1"}, r"`layers` is one string.*Write \['fc1'\]"),
    ({"layers": []}, "`layers` is empty.*or pass None"),
    ({"layers": {}}, "`layers` is empty"),
    ({"layers": {"fc1": 2}}, r"below 1.*Where: layers\['fc1'\].*Did you mean 0.02\?"),
    ({"layers": 3}, "`layers` .*names.*Got: 3"),
    ({"layers": [("fc1", 0.5), ("fc1", 0.9)]}, r"names 'fc1' twice.*Got: 0.5 and 0.9.*once"),
    ({"layers": ["fc1", ("fc1", 0.9)]}, r"names 'fc1' twice.*Got: None and 0.9"),
    ({"sparsity": 0.3, "keep": 0.5}, r"a sparsity or a share to keep, not both.*Leave one"),
    ({"of": "macs"}, r"how much of the macs is to stay.*keep=0.5, of='macs' keeps half"),
    (
        {"pattern": "2:4", "sparsity": 0.51},
        r"'2:4' lets at most 0.5 of the weights go. Got: 0.51. Where: sparsity.*Ask for a",
    ),
    ({"pattern": "3:4"}, r"'3:4' lets at most 0.25 of the weights go. Got: 0.5"),
    (
        {"pattern": "1:3", "sparsity": 0.1, "layers": {"fc1": 0.7}},
        r"at most 0.6667 .*Where: layers\['fc1'\]",
    ),
]


@pytest.mark.parametrize(("wrong", "match"), WRONG)
@pytest.mark.parametrize("make", [PruningSpec.make, PruningSpec])
def test_what_is_not_allowed(make, wrong, match):
    with pytest.raises(SpecError, match=match):
        make(**wrong)
