import pytest

import prunevis
from prunevis.errors import SpecError, UnknownNameError
from prunevis.registry import Registry


@pytest.fixture
def numbers():
    registry = Registry("number")
    registry.register("one")(1)
    registry.register("twenty")(20)
    return registry


def test_it_is_a_mapping_in_the_order_of_filing(numbers):
    assert list(numbers) == ["one", "twenty"]
    assert dict(numbers) == {"one": 1, "twenty": 20}
    assert len(numbers) == 2
    assert "one" in numbers
    assert "two" not in numbers
    assert numbers.get("two", 2) == 2
    assert repr(numbers) == "<number registry: one, twenty>"


def test_register_returns_what_it_files(numbers):
    @numbers.register("three")
    def three():
        return 3

    assert three() == 3
    assert numbers["three"] is three


def test_it_only_grows(numbers):
    with pytest.raises(TypeError):
        numbers["one"] = 2
    with pytest.raises(TypeError):
        del numbers["one"]


def test_a_name_is_filed_once(numbers):
    with pytest.raises(SpecError, match=r"There is already a number called 'one'\. Choose another"):
        numbers.register("one")(11)
    assert numbers["one"] == 1


@pytest.mark.parametrize("name", ["", "One", " one", "one "])
def test_names_are_plain(numbers, name):
    with pytest.raises(SpecError, match="is not a name for a number"):
        numbers.register(name)


def test_a_miss_says_the_nearest_name_and_all_there_are(numbers):
    match = r"number called 'twenti'\. Did you mean 'twenty'\? There are: one, twenty\."
    with pytest.raises(UnknownNameError, match=match):
        numbers["twenti"]


def test_a_miss_far_from_all_names(numbers):
    with pytest.raises(UnknownNameError, match=r"called 'xyz'\. There are: one, twenty"):
        numbers["xyz"]


@pytest.mark.parametrize("name", [None, 3, ["one"], {"a": 1}])
def test_a_miss_by_something_that_is_no_name(numbers, name):
    with pytest.raises(UnknownNameError, match="There is no number called"):
        numbers[name]


def test_an_empty_registry_says_so():
    with pytest.raises(UnknownNameError, match="There are: none yet"):
        Registry("thing")["a"]


@pytest.mark.parametrize(
    ("registry", "typo", "meant"),
    [
        ("CRITERIA", "magnitud", "magnitude"),
        ("MODELS", "lenet-5", "lenet5"),
        ("DATASETS", "fashion_mnist", "fashion-mnist"),
    ],
)
def test_the_public_registries_help_with_typos(registry, typo, meant):
    with pytest.raises(UnknownNameError, match=rf"Did you mean '{meant}'\?"):
        getattr(prunevis, registry)[typo]


def test_what_may_be_filed_is_the_owners_to_say():
    even = Registry("number", lambda entry: None if entry % 2 == 0 else f"{entry} is odd.")
    assert even.register("two")(2) == 2
    with pytest.raises(SpecError, match=r"3 is odd\. It is not filed as the number 'three'"):
        even.register("three")(3)
    assert list(even) == ["two"]
