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
]


@pytest.mark.parametrize(("wrong", "match"), WRONG)
@pytest.mark.parametrize("make", [PruningSpec.make, PruningSpec])
def test_what_is_not_allowed(make, wrong, match):
    with pytest.raises(SpecError, match=match):
        make(**wrong)
