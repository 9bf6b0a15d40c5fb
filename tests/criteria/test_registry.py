import subprocess
import sys
import warnings

import pytest

from prunevis.criteria import CRITERIA, Criterion, base
from prunevis.criteria.base import CriterionRegistry
from prunevis.errors import SpecError, UnknownNameError


class Plugged(Criterion):
    label, summary, formula = "Plugged", "It goes.", "x"
    source, url, granularities = "Doe 2024", "https://doi.org/1", ("unit",)

    def score(self, layer, context):
        return context.rows(layer).norm(dim=1)


def changed(**attributes):
    return type("Changed", (Plugged,), attributes)


class Demanding(Plugged):
    def __init__(self, power):
        self.power = power


class Point:
    """Stands in for an entry point."""

    def __init__(self, name, found):
        self.name, self.value, self.found = name, f"other.package:{name}", found

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def registry(monkeypatch):
    def make(*points):
        monkeypatch.setattr(base, "entry_points", lambda group: points)
        found = CriterionRegistry()
        found.register("magnitude")(CRITERIA["magnitude"])
        return found

    return make


def test_what_is_built_in_in_the_order_of_a_menu():
    assert list(CRITERIA)[:32] == [
        "magnitude", "layer-threshold", "lamp", "synflow", "l1", "l2", "bn-scale",
        "geometric-median", "mean-activation", "std-activation", "apoz", "mutual-information",
        "hrank", "wanda", "wanda-layer", "obs", "thinet", "reconstruction", "snip",
        "taylor-weight", "obd", "grasp", "movement", "taylor-2016", "taylor-2019", "fisher",
        "weight-similarity",
        "activation-correlation", "merge-error", "kernel-similarity", "oracle", "random",
    ]  # fmt: skip
    assert all(issubclass(entry, Criterion) for entry in CRITERIA.values())


def test_a_miss_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'magnitude'\?"):
        CRITERIA["magnitud"]


def test_plugins_arrive_with_the_first_reading(registry):
    found = registry(Point("plugged", Plugged))
    assert "plugged" not in found._entries
    assert found["plugged"] is Plugged
    assert list(found) == ["magnitude", "plugged"]
    assert len(found) == 2


def test_a_plugin_that_files_itself_on_import_is_not_filed_twice(registry):
    class SelfFiling(Point):
        def load(self):
            return found.register("plugged")(Plugged)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = registry(SelfFiling("plugged", None))
        assert found["plugged"] is Plugged


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (ImportError("no such module"), r"'bad' of 'other.package:bad' is left out: ImportError"),
        (42, "42 is not a subclass of Criterion"),
    ],
)
def test_a_broken_plugin_is_left_out_with_a_warning(registry, broken, said):
    found = registry(Point("bad", broken), Point("plugged", Plugged))
    with pytest.warns(RuntimeWarning, match=said):
        assert list(found) == ["magnitude", "plugged"]


def test_a_plugin_may_not_replace_a_built_in(registry):
    found = registry(Point("magnitude", Plugged))
    with pytest.warns(RuntimeWarning, match="already a criterion called 'magnitude'"):
        assert found["magnitude"] is CRITERIA["magnitude"]


def test_only_whole_lower_case_names_are_taken():
    with pytest.raises(SpecError, match="not a name for a criterion"):
        CRITERIA.register("Magnitude ")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (lambda layer, context: 1, r"<lambda>.* is not a subclass of Criterion.*criterion 'mine'"),
        (Plugged(), "is not a subclass of Criterion"),
        (type("Empty", (Criterion,), {}), r"Empty\.label must be a text.*not filed as the"),
        (changed(url=None), r"Changed\.url must be a text that is not empty, got None"),
        (changed(granularities="unit"), r"granularities may only hold .*got 'unit'"),
        (changed(needs={"entropy"}), "needs may only hold"),
        (changed(random=None), "random must be True or False, got None"),
        (changed(score=Criterion.score), r"Changed does not define score\(\)"),
        (Demanding, r"Demanding\(\) cannot be made: TypeError.*'power'"),
    ],
)
def test_what_lacks_something_is_not_filed(entry, said):
    with pytest.raises(SpecError, match=said):
        CRITERIA.register("mine")(entry)
    assert "mine" not in CRITERIA


def test_importing_criteria_loads_nothing_that_draws():
    code = (
        "import sys, prunevis.criteria; "
        "print([m for m in ('matplotlib', 'ipywidgets', 'scipy', 'IPython') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
