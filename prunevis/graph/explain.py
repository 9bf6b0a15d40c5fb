"""Why channels leave together, in words: one short text for each channel group.

A `ChannelGroup` keeps one sentence for each operator that ties its layers. A person asks the other
way round: which layers share these channels, because of what, and what goes along. That is said
here, from the graph alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from prunevis.errors import SpecError
from prunevis.graph.checks import check_graph
from prunevis.graph.layers import ChannelGroup, ModelGraph
from prunevis.graph.values import listed

#: "The addition in `layer1.0` adds `conv1` and `layer1.0.conv2` channel by channel."
_JOIN = re.compile(
    r"The (.+?) in (?:`([^`]*)`|the model's own forward) \w+ (.+) channel by channel\."
)
#: "The depthwise convolution `conv` filters each of its input channels by itself."
_FILTER = re.compile(r"The (depthwise convolution|grouped convolution) `([^`]*)` .+")

#: Sentences about single operators that are told in full; the rest is counted.
_TOLD = 2


def explain_coupling(graph: ModelGraph, layer: str) -> str:
    """Say which layers leave together with `layer`, how many channels they share, and why.

    Parameters
    ----------
    graph
        From `prunevis.trace`.
    layer
        Dotted name of a layer of the graph.

    Returns
    -------
    str
        A few sentences, with names in backticks. If the units may not leave, the reason is among
        them.

    Raises
    ------
    SpecError
        If the graph has no such layer, or is none.

    Examples
    --------
    >>> print(prunevis.explain_coupling(graph, "layer1.0.conv2"))  # doctest: +SKIP
    `conv1`, `layer1.0.conv2` and `layer1.1.conv2` share 64 channels because of the 2 additions in
    `layer1`. Each that leaves takes along what `layer1.0.conv1`, `layer1.1.conv1` and 2 more read
    of it.
    """
    check_graph(graph)
    if not isinstance(layer, str) or layer not in graph.layers:
        near = get_close_matches(str(layer), graph.layers, n=1)
        raise SpecError(
            f"There is no layer called {str(layer)[:80]!r}.",
            expected=listed(graph.layers, 8) if graph.layers else "a network with layers",
            fix=f"Did you mean {near[0]!r}?" if near else None,
        )
    info = graph.layers[layer]
    group = graph.groups.get(info.group or "")
    if group is None:
        return f"{_named(layer)} forms no channel group. {info.reason or ''}".strip()
    return explain_group(graph, group)


def explain_group(graph: ModelGraph, group: ChannelGroup) -> str:
    """Say of one channel group what `explain_coupling` says of each of its layers."""
    parts = [_shares(graph, group)]
    if group.reason is not None:
        parts.append(group.reason)
        return " ".join(parts)
    readers = [name for name in group.consumers if name not in group.producers]
    norms = sum(m.role == "norm" and m.tensor.endswith("weight") for m in group.members)
    along = []
    if norms:
        along.append(f"its scale in {_count(norms, 'normalisation')}")
    if readers:
        reads = "reads" if len(readers) == 1 else "read"
        along.append(f"what {listed(readers)} {reads} of it")
    if along:
        parts.append(f"Each that leaves takes along {' and '.join(along)}.")
    return " ".join([*parts, *_beside(graph, group)])


def _shares(graph: ModelGraph, group: ChannelGroup) -> str:
    """Return the first sentence: whose the channels are, and what ties them."""
    first = graph.layers[group.producers[0]]
    word = "unit" if all(graph.layers[p].kind == "Linear" for p in group.producers) else "channel"
    because, rest = _because(group.ties)
    sentence = ""
    if len(group.producers) > 1:
        units = [graph.layers[name].num_units for name in group.producers]
        sets = f"{word}s that leave in {_count(group.size, 'set')}"
        whole = min(units) == max(units) == group.size
        shared = _count(group.size, word) if whole else sets
        sentence = f"{_names(group.producers)} share {shared}"
    elif first.num_units > group.size:
        sentence = (
            f"{_named(first.name)} has {_count(first.num_units, word)} that leave in "
            f"{_count(group.size, 'set')}"
        )
    else:
        sentence = f"{_named(first.name)} has {_count(group.size, word)} of its own"
        if not because and not rest:
            return f"{sentence}: no other layer loses one with it."
    sentence += f" because of {_and(because)}." if because else "."
    more = len(rest) - _TOLD
    told = [*rest[:_TOLD], *([f"{_count(more, 'more operator')} tie them."] if more > 0 else [])]
    return " ".join([sentence, *told])


def _beside(graph: ModelGraph, group: ChannelGroup) -> list[str]:
    """Say where others' channels lie beside these, in the order of a concatenation: no tie."""
    for name in group.consumers:
        weight = graph.layers[name].weight
        own = [m for m in group.members if m.tensor == weight and m.role == "consumer"]
        # -1: a column that reads somebody else
        if all(bool((member.units >= 0).all()) for member in own):
            continue
        others = [
            producer
            for other in graph.groups.values()
            if other is not group and name in other.consumers
            for producer in other.producers
        ]
        if others:
            return [
                f"In what {_named(name)} reads, they lie beside those of {listed(others)}: a "
                "concatenation, which ties nothing."
            ]
    return []


def _because(ties: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the ties as phrases ("the 2 additions in `layer1`"), and those that are told whole."""
    places: dict[str, list[str]] = {}
    filters: dict[str, list[str]] = {}
    rest: list[str] = []
    for tie in ties:
        if match := _JOIN.fullmatch(tie):
            places.setdefault(match[1], []).append(match[2] or "")
        elif match := _FILTER.fullmatch(tie):
            filters.setdefault(match[1], []).append(match[2])
        else:
            rest.append(tie)
    phrases = [f"the {_several(noun, found)} in {_where(found)}" for noun, found in places.items()]
    phrases += [f"the {_several(noun, found)} {listed(found)}" for noun, found in filters.items()]
    return phrases, rest


def tied_by(graph: ModelGraph, layers: Sequence[str]) -> tuple[str, str] | None:
    """Return what an operator that joins exactly `layers` is and where it stands, or None.

    Parameters
    ----------
    layers
        In the order of execution, as in the sentences of `ChannelGroup.ties`.

    Returns
    -------
    noun
        E.g. "addition".
    place
        Dotted name of the module in whose forward it stands; "" for the model's own.
    """
    names = listed(layers)
    group = graph.groups.get(graph.layers[layers[0]].group or "")
    for tie in () if group is None else group.ties:
        match = _JOIN.fullmatch(tie)
        if match and match[3] == names:
            return match[1], match[2] or ""
    return None


def common_prefix(names: Sequence[str]) -> str:
    """Return the longest dotted name that all `names` are or lie in; "" if there is none."""
    parts = [name.split(".") for name in names]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)


def _where(places: Sequence[str]) -> str:
    found = list(dict.fromkeys(places))
    if found == [""]:
        return "the model's own forward"
    shared = common_prefix(found)
    if shared:
        return f"`{shared}`"
    return listed(place or "the model's own forward" for place in found)


def _several(noun: str, found: Sequence[str]) -> str:
    return noun if len(found) == 1 else f"{len(found)} {noun}s"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _named(name: str) -> str:
    return f"`{name}`" if name else "This layer"


def _names(names: Sequence[str]) -> str:
    """Return the producers of a group; up to five by name, since they are what it is about."""
    return listed(names, 5)


def _and(phrases: Sequence[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)
