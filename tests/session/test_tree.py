"""The history as a tree: cases by hand, and random walks that must leave it a tree."""

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunevis.errors import SpecError
from prunevis.session import tree


@dataclass(frozen=True)
class Knot:
    number: int
    parent: int | None
    bytes: int = 1


#: 1 ── 2 ── 4
#:      └── 5 ── 7
#: └─── 3 ── 6
NODES = tuple(Knot(n, p) for n, p in [(1, None), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 5)])


def numbers(nodes):
    return [node.number for node in nodes]


def bounded(nodes, present, most, most_bytes=10**9):
    return tree.bounded(
        nodes,
        present,
        most=most,
        most_bytes=most_bytes,
        size=lambda node: node.bytes,
        moved=lambda node, gone: replace(node, parent=gone.parent),
    )


def test_ways_children_and_branches():
    assert numbers(tree.path(NODES, 7)) == [1, 2, 5, 7]
    assert numbers(tree.path(NODES, 1)) == [1]
    assert numbers(tree.children(NODES, 2)) == [4, 5]
    assert tree.children(NODES, 7) == ()
    assert tree.branch(NODES, 2) == {2, 4, 5, 7}
    assert tree.branch(NODES, 6) == {6}


def test_a_place_for_each():
    assert tree.placed(NODES) == {
        1: (0, 0), 2: (1, 0), 4: (2, 0), 5: (2, 1), 7: (3, 1), 3: (1, 2), 6: (2, 2),
    }  # fmt: skip


def test_forgetting_takes_all_that_came_of_it():
    assert numbers(tree.without(NODES, 6, 2)) == [1, 3, 6]
    assert numbers(tree.without(NODES, 6, 7)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "The network as it came stays"),
        (3, "on the way to the present network.*Go to a step before it"),
        (6, "on the way to the present network"),
        (99, "no step '99'"),
        ("2", "no step '2'"),
        (True, "no step 'True'"),
        (None, "no step 'None'"),
        ({"a": "x" * 99}, "no step"),
    ],
)
def test_what_cannot_be_forgotten(number, said):
    with pytest.raises(SpecError, match=said):
        tree.without(NODES, 6, number)


def test_the_oldest_ends_go_first():
    kept, gone = bounded(NODES, 6, most=6)
    assert (numbers(kept), gone) == ([1, 2, 3, 5, 6, 7], {4})
    kept, gone = bounded(NODES, 6, most=4)  # 7 is an end, then 5 is one
    assert (numbers(kept), gone) == ([1, 2, 3, 6], {4, 5, 7})
    assert bounded(NODES, 6, most=7) == (NODES, frozenset())


def test_of_the_way_alone_the_oldest_steps_go_but_never_root_or_present():
    kept, gone = bounded(NODES, 7, most=3)
    assert gone == {4, 6, 3, 2}
    assert kept == (Knot(1, None), Knot(5, 1), Knot(7, 5))
    kept, _ = bounded(NODES, 7, most=1)
    assert kept == (Knot(1, None), Knot(7, 1))


def test_bytes_are_bounded_too():
    heavy = tuple(replace(node, bytes=10) for node in NODES)
    kept, gone = bounded(heavy, 6, most=40, most_bytes=55)
    assert gone == {4, 7}
    assert sum(node.bytes for node in kept) == 50


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  my   best\none ", "my best one"),
        ("", ""),
        ("a\x00b\u202ec", "a b c"),
        ("<b>é</b>", "<b>é</b>"),
        ("x" * 40, "x" * 40),
    ],
)
def test_names(text, name):
    assert tree.checked_name(text) == name


@pytest.mark.parametrize("text", ["x" * 41, "x" * 10**6, None, 3, ["a"]])
def test_bad_names(text):
    with pytest.raises(SpecError, match=r"too long.*at most 40|A name is text"):
        tree.checked_name(text)


MOVES = st.lists(
    st.tuples(st.sampled_from(["apply", "undo", "go", "forget", "reset"]), st.integers(0, 50)),
    max_size=60,
)


@settings(max_examples=200)
@given(moves=MOVES, most=st.integers(2, 9), most_bytes=st.integers(3, 40))
def test_whatever_is_done_it_stays_a_tree(moves, most, most_bytes):
    nodes, present, count = (Knot(1, None, 2),), 1, 1
    for what, n in moves:
        some = nodes[n % len(nodes)].number
        if what == "apply":
            count += 1
            nodes = (*nodes, Knot(count, present, 1 + n % 5))
            present = count
            nodes, gone = bounded(nodes, present, most, most_bytes)
            assert present not in gone
        elif what == "undo":
            present = tree.find(nodes, present).parent or present
        elif what == "reset":
            present = 1
        elif what == "go":
            present = some
        else:
            try:
                nodes = tree.without(nodes, present, some)
            except SpecError:
                assert some in numbers(tree.path(nodes, present))
        known = {node.number: node for node in nodes}
        assert [node.number for node in nodes if node.parent is None] == [1]  # one root
        assert present in known
        assert all(n.parent is None or n.parent in known for n in nodes)  # nobody is an orphan
        assert all(n.parent is None or n.parent < n.number for n in nodes)  # no circle
        assert len(nodes) <= max(most, 2)
        way = tree.path(nodes, present)
        assert (way[0].number, way[-1].number) == (1, present)
        assert all(b.parent == a.number for a, b in pairwise(way))
        places = tree.placed(nodes)
        assert len(set(places.values())) == len(nodes) == len(places)
        assert all(places[n.number][0] == places[n.parent][0] + 1 for n in nodes[1:])
