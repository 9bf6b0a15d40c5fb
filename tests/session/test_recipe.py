"""Recipes as text: there and back, and everything else refused in words."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prunevis as pv
from prunevis.errors import PrunevisError, SpecError, UnknownNameError
from prunevis.session.choices import TABS
from prunevis.session.reading import MOST_JSON
from prunevis.session.recipe import MAX_STEPS, MOST_TEXT, Recipe, RecipeStep
from prunevis.session.state import Setting

NAMES = st.sampled_from(("conv1", "conv2", "fc1", "a.b.c", "müon"))
SHARES = st.floats(0, 0.999)


@st.composite
def specs(draw):
    unit = draw(st.booleans())
    layers = draw(st.dictionaries(NAMES, st.none() | SHARES, max_size=3)) or None
    return pv.PruningSpec.make(
        draw(st.sampled_from(("l2", "random"))) if unit else "magnitude",
        "unit" if unit else "weight",
        draw(st.sampled_from(("layer", "global"))),
        draw(SHARES),
        layers,
        draw(st.integers(0, 2**31 - 1)),
        draw(st.sampled_from(("none", "least-squares"))) if unit else "none",
        multiple_of=draw(st.sampled_from((1, 8))) if unit else 1,
    )


@st.composite
def steps(draw):
    trained = draw(st.booleans())
    how = pv.FineTuneSettings(
        epochs=draw(st.integers(1, 50)),
        lr=draw(st.floats(1e-6, 1)),
        seed=draw(st.integers(0, 99)),
        optimizer=draw(st.sampled_from(("sgd", "adam"))),
    )
    schedule = draw(
        st.sampled_from((None, pv.make_schedule("cubic"), pv.make_schedule("drawn", epochs=2.5)))
    )
    return RecipeStep(
        draw(specs()),
        how if trained else None,
        schedule if trained else None,
        draw(st.sampled_from(("train", "quarter"))) if trained else "train",
    )


@st.composite
def settings_of_a_page(draw):
    ticked = tuple(draw(st.lists(NAMES, unique=True)))
    own = tuple((name, draw(SHARES)) for name in ticked if draw(st.booleans()))
    return Setting(ticked=ticked, own=own, seed=draw(st.integers(0, 9)), of="params")


RECIPES = st.builds(
    Recipe,
    model=st.none() | st.sampled_from(("lenet5", "resnet8")),
    data=st.none() | st.just("fashion-mnist"),
    images=st.none() | st.integers(1, 10_000),
    attention=st.sampled_from(("heads", "dimensions")),
    threads=st.none() | st.integers(1, 64),
    steps=st.lists(steps(), max_size=4).map(tuple),
    setting=st.none() | settings_of_a_page(),
    position=SHARES,
    layer=st.just("") | NAMES,
    unit=st.none() | st.integers(0, 500),
    tab=st.sampled_from(TABS),
)


@settings(max_examples=60, deadline=None)
@given(recipe=RECIPES)
def test_there_and_back(recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_text(recipe.to_text()) == recipe
    assert hash(recipe.to_text()) == hash(Recipe.read(recipe.to_json()).to_text())


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60) | st.text("ABCDEFxyz019_-", max_size=80))
def test_any_text_is_refused_in_words(text):
    with pytest.raises(PrunevisError):
        Recipe.read(text)


FOREIGN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_part_forged_is_refused_in_words_or_is_a_recipe(data):
    plain = json.loads(FULL.to_json())
    at, key = plain, None
    while key is None or (
        isinstance(at[key], (dict, list)) and at[key] and data.draw(st.booleans())
    ):
        at = plain if key is None else at[key]
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
    at[key] = data.draw(FOREIGN)
    try:
        found = Recipe.from_json(json.dumps(plain))
    except PrunevisError:
        return
    assert Recipe.from_json(found.to_json()) == found


FULL = Recipe(
    model="lenet5",
    data="fashion-mnist",
    images=2000,
    threads=1,
    steps=(
        RecipeStep(
            pv.PruningSpec.make("magnitude", sparsity=0.8, layers={"fc1": 0.5, "fc2": None})
        ),
        RecipeStep(
            pv.PruningSpec.make("l2", "unit", sparsity=0.3),
            pv.FineTuneSettings(epochs=1),
            pv.make_schedule("iterative", rounds=2),
            "quarter",
        ),
    ),
    setting=Setting(ticked=("conv1", "fc1"), own=(("fc1", 0.25),)),
    position=0.5,
    layer="fc1",
    unit=3,
    tab="neurons",
)


def with_(change):
    plain = json.loads(FULL.to_json())
    change(plain)
    return json.dumps(plain)


def put(*path, value):
    def change(plain):
        for key in path[:-1]:
            plain = plain[key]
        plain[path[-1]] = value

    return with_(change)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1]", r"This is no recipe\. Expected: a JSON object\. Got: a list"),
        ("{", r"cannot be read as JSON"),
        ('{"version": 1, "version": 1}', r"holds a name twice"),
        ("{}", r"no recipe that can be read\. Expected: version 1\. Got: no version"),
        (put("version", value=2), r"later version of prunevis.*Expected: version 1\. Got: 2"),
        (put("version", value=True), r"no recipe that can be read"),
        (put("surprise", value=1), r"holds 'surprise', which means nothing here.*Take it out"),
        (put("steps", 0, "prune", "why", value=1), r"holds 'why'.*Where: steps\[0\]\.prune"),
        (put("model", value="resnet152"), r"no model called 'resnet152'"),
        (put("model", value=5), r"A name in this recipe is none.*Where: model"),
        (put("data", value="imagenet"), r"no dataset called 'imagenet'"),
        (put("position", value=1.5), r"sparsity must be at least 0 and below 1.*Where: position"),
        (put("position", value="0.5"), r"number in this recipe is none.*a text.*position"),
        (put("position", value=float("nan")), r"number in this recipe is none.*Got: NaN"),
        (put("position", value=10**400), r"cannot be read|number in this recipe is none"),
        (put("images", value=0), r"out of range\. Expected: 1 to 1e\+09.*Where: images"),
        (put("images", value=True), r"number in this recipe is none|whole"),
        (put("threads", value=1.5), r"no whole one.*Where: threads"),
        (put("view", "tab", value="kitchen"), r"There is no tab 'kitchen'\. Expected: network"),
        (put("view", value=[]), r"A part of this recipe is no object.*Where: view"),
        (put("attention", value="whole"), r"There is no attention 'whole'"),
        (put("steps", value={}), r"steps of a recipe are a list"),
        (put("steps", value=[{}]), r"prunes, or trains, or both.*Where: steps\[0\]"),
        (put("steps", value=[{}] * (MAX_STEPS + 1)), rf"too many steps.*at most {MAX_STEPS}"),
        (put("steps", 0, "prune", "criterion", value="luck"), r"no criterion called 'luck'.*steps"),
        (put("steps", 0, "prune", "seed", value=-1), r"out of range.*steps\[0\]\.prune\.seed"),
        (put("steps", 0, "prune", "layers", value=["a"]), r"Layers and their sparsities are an ob"),
        (put("steps", 0, "prune", "layers", "fc1", value=2), r"below 1.*prune\.layers\.fc1"),
        (put("steps", 0, "prune", "repair", value="glue"), r"no repair.*'glue'"),
        (put("steps", 1, "train", "schedule", "name", value="soon"), r"no schedule called 'soon'"),
        (put("steps", 1, "train", "schedule", "fields", "x", value=1), r"holds 'x', which means"),
        (put("steps", 1, "train", "schedule", "fields", "rounds", value=0), r"rounds.*from 1"),
        (put("steps", 1, "train", "source", value="half"), r"no such training examples"),
        (put("steps", 1, "train", "settings", "epochs", value=5000), r"out of range.*epochs"),
        (put("steps", 1, "train", "settings", "lr", value=-1), r"out of range.*settings\.lr"),
        (put("steps", 1, "train", "settings", "optimizer", value="os"), r"Optimiser: this cannot"),
        (put("setting", "ticked", value="conv1"), r"Ticked layers are a list"),
        (put("setting", "ticked", value=["a", "a"]), r"ticked twice"),
        (put("setting", "own", value={"other": 0.5}), r"Only ticked layers have a sparsity"),
        (put("setting", "scope", value="world"), r"There is no scope 'world'.*Where: setting"),
        ('{"a": "' + "x" * MOST_JSON + '"}', r"too long\. Expected: at most 122,880 bytes"),
        ("[" * 50_000, r"cannot be read as JSON|no recipe"),
    ],
)
def test_what_is_wrong_is_said(text, match):
    with pytest.raises((SpecError, UnknownNameError), match=match):
        Recipe.from_json(text)


def packed(data):
    return base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


def test_texts_that_are_none():
    good = FULL.to_text()
    assert len(good) < 1000
    for text in ("", "abc", good[:-9], good + good, good + "!", packed(b"\xff")):
        with pytest.raises(SpecError, match=r"broken, or none.*Copy the whole link again"):
            Recipe.from_text(text)
    with pytest.raises(SpecError, match=rf"too long\. Expected: at most {MOST_TEXT:,}"):
        Recipe.from_text("A" * (MOST_TEXT + 1))


def test_a_bomb_is_not_unpacked():
    bomb = packed(b" " * 3_000_000)
    assert len(bomb) < MOST_TEXT
    with pytest.raises(SpecError, match=r"too long\. Expected: at most 122,880 bytes of JSON"):
        Recipe.from_text(bomb)


def test_too_long_for_an_address_is_said():
    names = {f"layer{k**5 % 9973}.weight{k**7 % 99991}": k / 997 for k in range(900)}
    step = RecipeStep(pv.PruningSpec.make(layers=names))
    recipe = Recipe(steps=(step,))
    with pytest.raises(SpecError, match=r"too long for an address.*Save it as a file"):
        recipe.to_text()
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_whatever_holds_one_is_read(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(FULL.to_json(), encoding="utf-8")
    link = f"https://example.org/p/?a=1&recipe={FULL.to_text()}#x"
    for source in (FULL, FULL.to_json(), f" {FULL.to_text()}\n", link, file):
        assert Recipe.read(source) == FULL
    with pytest.raises(SpecError, match="cannot be read"):
        Recipe.read(tmp_path / "none.json")
    with pytest.raises(SpecError, match=r"This is no recipe.*Got: 3"):
        Recipe.read(3)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="broken, or none"):
        Recipe.read("https://example.org/")


def test_a_step_that_makes_no_sense():
    with pytest.raises(SpecError, match="prunes, or trains, or both"):
        RecipeStep()
    with pytest.raises(SpecError, match="A schedule prunes while it trains"):
        RecipeStep(pv.PruningSpec(), schedule=pv.make_schedule("cubic"))
    function = pv.FineTuneSettings(schedule=lambda x: 1.0)
    with pytest.raises(SpecError, match="holds no function"):
        Recipe(steps=(RecipeStep(settings=function),)).to_json()


def test_a_hand_written_one_needs_little():
    text = '{"version": 1, "model": "lenet5", "steps": [{"prune": {"keep": 0.5, "of": "macs"}}]}'
    recipe = Recipe.from_json(text)
    assert recipe.steps[0].spec == pv.PruningSpec.make(keep=0.5, of="macs")
    assert Recipe.from_json(recipe.to_json()) == recipe
