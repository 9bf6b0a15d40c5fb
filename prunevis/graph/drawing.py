"""A network as something to draw: nodes, edges between them, and blocks to fold. No layout.

A `ModelGraph` says which layers read which, through whatever lies between. A picture needs that in
between: the additions and concatenations where paths meet. They are found from who reads whom: what
a layer reads is a set of layers, a set of several is a join, and joins nest as their sets do (in a
residual network each block adds one layer to what the next one reads).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from prunevis.graph.explain import common_prefix, tied_by
from prunevis.graph.layers import ModelGraph

#: `join`: paths meet in a way that the trace has no word for (attention's products).
Kind = Literal["input", "layer", "addition", "multiplication", "concatenation", "join", "output"]

#: Nodes shown at most when a drawing is first seen, if folding can help it.
MOST_NODES = 30

_KINDS: dict[str, Kind] = {
    "addition": "addition",
    "subtraction": "addition",
    "multiplication": "multiplication",
    "division": "multiplication",
}


@dataclass(frozen=True, slots=True)
class Node:
    """Something to draw.

    Attributes
    ----------
    kind
        What it is.
    name
        Dotted name of the layer; "" for everything else.
    block
        Index of the innermost block that it lies in, or None.
    place
        Of a join: dotted name of the module in whose forward it stands, if the trace says so.
    group
        Name of the `ChannelGroup` of all that arrives here, or None if it is not one.
    """

    kind: Kind
    name: str = ""
    block: int | None = None
    place: str = ""
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A module with several layers inside, which can be drawn as one node.

    Attributes
    ----------
    name
        Dotted name.
    parent
        Index of the block around it, or None.
    depth
        Dots in the name of the innermost module that holds the same layers.
    """

    name: str
    parent: int | None
    depth: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """All there is to draw of a network.

    Attributes
    ----------
    nodes
        Input first, output last, every node after those that it reads.
    edges
        Pairs of indices ``(from, to)`` with ``from < to``.
    again
        Pairs ``(from, to)`` with ``from >= to``: a layer that runs several times reads what comes
        after it.
    blocks
        Outer ones before inner ones.
    shut
        Names of the blocks that are folded when the drawing is first seen.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    again: tuple[tuple[int, int], ...]
    blocks: tuple[Block, ...]
    shut: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """What is seen of a drawing.

    Attributes
    ----------
    parts
        Indices of the nodes in each part, ascending; a part of several is a folded block. In the
        order of their first nodes. Joins that are left with one thing to join are in no part.
    edges
        Pairs of indices into `parts`, ``from < to``.
    again
        Pairs with ``from > to``, e.g. where a block runs in two pieces around another.
    """

    parts: tuple[tuple[int, ...], ...]
    edges: tuple[tuple[int, int], ...]
    again: tuple[tuple[int, int], ...]


def draw(graph: ModelGraph) -> Drawing:
    """Return what there is to draw of a network: its layers, what joins them, and its blocks."""
    blocks = _blocks(list(graph.layers))
    pen = _Pen(graph, {block.name: index for index, block in enumerate(blocks)})
    again = pen.draw()
    found = Drawing(tuple(pen.nodes), tuple(pen.edges), again, blocks, ())
    shut: list[str] = []
    for depth in range(max((block.depth for block in blocks), default=0) + 2):
        deeper = [block.name for block in blocks if block.depth >= depth]
        if depth and len(fold(found, deeper).parts) > MOST_NODES:
            break
        shut = deeper
    return Drawing(found.nodes, found.edges, again, blocks, tuple(shut))


def fold(drawing: Drawing, shut: Collection[str]) -> Folded:
    """Return what is seen of a drawing while the blocks named in `shut` are folded."""
    outermost: list[int | None] = []
    for index, block in enumerate(drawing.blocks):
        around = None if block.parent is None else outermost[block.parent]
        outermost.append(index if around is None and block.name in shut else around)
    whole: dict[tuple[str, int], list[int]] = {}
    for index, node in enumerate(drawing.nodes):
        around = None if node.block is None else outermost[node.block]
        key = ("node", index) if around is None else ("block", around)
        whole.setdefault(key, []).append(index)
    parts = list(whole.values())
    part_of = {index: number for number, members in enumerate(parts) for index in members}
    pairs = {(part_of[a], part_of[b]) for a, b in (*drawing.edges, *drawing.again)}
    pairs = {(a, b) for a, b in pairs if a != b}
    # a join whose other paths were folded away joins nothing
    gone: set[int] = set()
    for number, members in enumerate(parts):
        if len(members) > 1 or drawing.nodes[members[0]].kind in ("input", "layer", "output"):
            continue
        before = [a for a, b in pairs if b == number]
        if len(before) == 1:
            after = [b for a, b in pairs if a == number]
            gone.add(number)
            pairs -= {(before[0], number), *((number, b) for b in after)}
            pairs |= {(before[0], b) for b in after if b != before[0]}
    left = [number for number in range(len(parts)) if number not in gone]
    place = {number: index for index, number in enumerate(left)}
    moved = sorted((place[a], place[b]) for a, b in pairs)
    loops = [(part_of[a], part_of[b]) for a, b in drawing.again if part_of[a] == part_of[b]]
    alone = {(place[a], place[b]) for a, b in loops if len(parts[a]) == 1}
    return Folded(
        parts=tuple(tuple(parts[number]) for number in left),
        edges=tuple((a, b) for a, b in moved if a < b),
        again=tuple(sorted({(a, b) for a, b in moved if a > b} | alone)),
    )


def _blocks(names: Sequence[str]) -> tuple[Block, ...]:
    """Return the modules that hold several layers, but not all, each set of layers once."""
    around = {prefix for name in names for prefix in _prefixes(name)}
    inside: dict[str, list[str]] = {}
    for name in names:
        # a layer that holds others (attention with its output projection) lies in its own block
        for prefix in _prefixes(name, whole=name in around):
            inside.setdefault(prefix, []).append(name)
    chains: dict[tuple[str, ...], list[str]] = {}
    for prefix in sorted(inside, key=lambda prefix: prefix.count(".")):
        if 1 < len(inside[prefix]) < len(names):
            chains.setdefault(tuple(inside[prefix]), []).append(prefix)
    # of a chain the outermost: a join may stand in `block` and its layers in `block.body`
    order = {name: index for index, name in enumerate(names)}
    kept = sorted(
        chains.values(), key=lambda chain: (chain[0].count("."), order[inside[chain[0]][0]])
    )
    number = {chain[0]: index for index, chain in enumerate(kept)}
    return tuple(
        Block(
            name=chain[0],
            parent=next((number[p] for p in reversed(_prefixes(chain[0])) if p in number), None),
            depth=chain[-1].count("."),
        )
        for chain in kept
    )


def _prefixes(name: str, *, whole: bool = False) -> list[str]:
    """Return the dotted names around `name`, the outermost first, with its own if `whole`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + whole)]


class _Pen:
    """Puts down nodes in an order in which each comes after what it reads."""

    def __init__(self, graph: ModelGraph, blocks: dict[str, int]) -> None:
        self.graph, self.blocks = graph, blocks
        self.names = list(graph.layers)
        self.order = {name: index for index, name in enumerate(self.names)}
        self.nodes: list[Node] = []
        self.edges: list[tuple[int, int]] = []
        # groups whose channels lie side by side in what a layer reads
        self._read_groups = Counter(name for g in graph.groups.values() for name in g.consumers)
        self._of_layer: dict[int, int] = {}
        self._joins: dict[frozenset[int], int] = {}
        self._sets: list[frozenset[int]] = []

    def draw(self) -> tuple[tuple[int, int], ...]:
        """Draw everything; return the edges that lead back."""
        sources: list[set[int]] = [set() for _ in self.names]
        back: list[tuple[int, int]] = []
        for index, name in enumerate(self.names):
            for reader in self.graph.layers[name].consumers:
                other = self.order[reader]
                if other > index:
                    sources[other].add(index)
                else:
                    back.append((index, other))
        ends = self._ends()
        every = {frozenset(found) for found in (*sources, *ends) if len(found) > 1}
        self._sets = sorted(every, key=lambda found: (-len(found), sorted(found)))
        start = self._put(Node("input"), ())
        for index, name in enumerate(self.names):
            before = self._read(frozenset(sources[index]), index) if sources[index] else start
            node = Node("layer", name, self._block(name), group=self.graph.layers[name].group)
            self._of_layer[index] = self._put(node, (before,))
        self._put(
            Node("output"), [self._read(found, len(self.names)) for found in ends] or (start,)
        )
        return tuple((self._of_layer[a], self._of_layer[b]) for a, b in back)

    def _ends(self) -> list[frozenset[int]]:
        """Return the layers whose units are the model's outputs, those of each group together."""
        groups: dict[str, set[int]] = {}
        for name, layer in self.graph.layers.items():
            mates = {n for n in layer.consumers if self.graph.layers[n].group == layer.group}
            # what is only filtered further, channel by channel, does not arrive itself
            filtered = mates and mates == set(layer.consumers)
            if layer.is_output and not filtered:
                groups.setdefault(layer.group or name, set()).add(self.order[name])
        if not groups:
            last = [i for i, n in enumerate(self.names) if not self.graph.layers[n].consumers]
            groups = {str(index): {index} for index in last}
        return [frozenset(found) for found in groups.values()]

    def _put(self, node: Node, reads: Iterable[int]) -> int:
        index = len(self.nodes)
        self.nodes.append(node)
        self.edges += [(before, index) for before in dict.fromkeys(reads)]
        return index

    def _read(self, found: frozenset[int], reader: int) -> int:
        """Return the node where the units of all layers in `found` have met."""
        if len(found) == 1:
            return self._of_layer[next(iter(found))]
        if found in self._joins:
            return self._joins[found]
        parts, rest = [], set(found)
        for known in self._sets:
            if known < found and known <= rest:
                parts.append(self._read(known, reader))
                rest -= known
        fresh = sorted(rest)
        by_group: dict[str, list[int]] = {}
        for index in fresh:
            name = self.names[index]
            by_group.setdefault(self.graph.layers[name].group or name, []).append(index)
        if parts or len(by_group) > 1:
            parts += [self._read(frozenset(mates), reader) for mates in by_group.values()]
        else:
            parts += [self._of_layer[index] for index in fresh]
        node = self._join(found, fresh, reader)
        self._joins[found] = self._put(node, sorted(parts))
        return self._joins[found]

    def _join(self, found: frozenset[int], fresh: Sequence[int], reader: int) -> Node:
        layers = [self.names[index] for index in sorted(found)]
        groups = {self.graph.layers[name].group for name in layers}
        group = next(iter(groups)) if len(groups) == 1 else None
        tie = tied_by(self.graph, layers)
        if tie is not None:
            noun, place = tie
            return Node(_KINDS.get(noun, "join"), "", self._block(place, whole=True), place, group)
        kind: Kind = "join"
        if len(groups) > 1 and reader < len(self.names):
            kind = "concatenation" if self._read_groups[self.names[reader]] > 1 else "join"
        elif group is not None:
            ties = self.graph.groups[group].ties
            kind = "addition" if any(t.startswith("The addition") for t in ties) else "join"
        # where it stands is not known: inside whatever has just finished
        ready = [i for i in fresh if self._only_for(i, reader)] or list(fresh) or [max(found)]
        shared = common_prefix([self.names[index] for index in ready])
        whole = len(ready) > 1
        return Node(kind, "", self._block(shared, whole=whole), group=group)

    def _only_for(self, index: int, reader: int) -> bool:
        """Whether nobody before `reader` reads a layer."""
        readers = self.graph.layers[self.names[index]].consumers
        return not any(index < self.order[name] < reader for name in readers)

    def _block(self, name: str, *, whole: bool = False) -> int | None:
        """Return the innermost block around a dotted name, itself included if `whole`."""
        holds = whole or name in self.blocks
        for prefix in reversed(_prefixes(name, whole=holds)):
            if prefix in self.blocks:
                return self.blocks[prefix]
        return None
