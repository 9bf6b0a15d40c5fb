"""A history that branches: pure functions on nodes that know their number and their parent's.

Numbers count up and never repeat, so a child's number is larger than its parent's, and the smallest
number is the oldest. There is one root, the network as it came, which always stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from prunevis.errors import SpecError

#: Longest name of a step, in characters.
MAX_NAME = 40


class Node(Protocol):
    """What a history is made of."""

    @property
    def number(self) -> int:
        """Its own, which no other node has or had."""
        ...

    @property
    def parent(self) -> int | None:
        """The number of the node before; None for the root."""
        ...


N = TypeVar("N", bound=Node)


def find(nodes: Sequence[N], number: Any) -> N:
    """Return the node called `number`, which may come from a browser and be anything.

    Raises
    ------
    SpecError
        If there is none.
    """
    if isinstance(number, int) and not isinstance(number, bool):
        for node in nodes:
            if node.number == number:
                return node
    raise SpecError(
        f"There is no step {str(number)[:20]!r} in the history.",
        fix="It may have been forgotten to make room; pick another.",
    )


def path(nodes: Sequence[N], number: int) -> tuple[N, ...]:
    """Return the nodes from the root to the one called `number`, both included."""
    known = {node.number: node for node in nodes}
    found = []
    at: int | None = number
    while at is not None:
        found.append(known[at])
        at = known[at].parent
    return tuple(reversed(found))


def children(nodes: Sequence[N], number: int) -> tuple[N, ...]:
    """Return the nodes that come right after, oldest first."""
    return tuple(sorted((n for n in nodes if n.parent == number), key=lambda n: n.number))


def branch(nodes: Sequence[N], number: int) -> frozenset[int]:
    """Return the numbers of a node and of all that came of it."""
    found = {number}
    # a child's number is larger, so one pass in this order meets parents first
    for node in sorted(nodes, key=lambda n: n.number):
        if node.parent in found:
            found.add(node.number)
    return frozenset(found)


def without(nodes: Sequence[N], present: int, number: Any) -> tuple[N, ...]:
    """Return `nodes` less one of them and all that came of it.

    Raises
    ------
    SpecError
        If there is no such node, or it is on the way to the `present` one.
    """
    goes = branch(nodes, find(nodes, number).number)
    if find(nodes, number).parent is None:
        raise SpecError("The network as it came stays: it is where all steps begin.")
    if present in goes:
        raise SpecError(
            "This step is on the way to the present network.",
            fix="Go to a step before it first, then forget it.",
        )
    return tuple(node for node in nodes if node.number not in goes)


def bounded(
    nodes: Sequence[N],
    present: int,
    *,
    most: int,
    most_bytes: float,
    size: Callable[[N], int],
    moved: Callable[[N, N], N],
) -> tuple[tuple[N, ...], frozenset[int]]:
    """Return as many of the nodes as may be kept, and the numbers of those that may not.

    The oldest ends of branches that do not lead to `present` go first. Where only the way to it is
    left, its oldest steps go, but never the root, nor `present`.

    Parameters
    ----------
    most, most_bytes
        How many may be kept, and how many bytes they may take together.
    size
        Bytes that a node takes.
    moved
        Returns a node that hangs where its parent did, for one whose parent goes, the second.
    """
    kept, gone = list(nodes), set()
    while len(kept) > most or sum(map(size, kept)) > most_bytes:
        way = path(kept, present)
        parents = {node.parent for node in kept}
        on_way = {node.number for node in way}
        ends = [n for n in kept if n.number not in parents and n.number not in on_way]
        if ends:
            goes = min(ends, key=lambda node: node.number)
        elif len(way) > 2:
            goes = way[1]
            kept = [moved(n, goes) if n.parent == goes.number else n for n in kept]
        else:
            break
        kept = [node for node in kept if node.number != goes.number]
        gone.add(goes.number)
    return tuple(kept), frozenset(gone)


def placed(nodes: Sequence[N]) -> dict[int, tuple[int, int]]:
    """Return where each node is drawn, as (column, row) by number.

    A column is how many steps it took; the first child goes on in its parent's row, every other one
    begins a row beneath all that is drawn so far, so that no two nodes share a place and branches
    do not cross.
    """
    found: dict[int, tuple[int, int]] = {}
    rows = 0

    def place(node: N, column: int, row: int) -> None:
        nonlocal rows
        found[node.number] = (column, row)
        rows = max(rows, row + 1)
        for i, child in enumerate(children(nodes, node.number)):
            place(child, column + 1, row if i == 0 else rows)

    for node in nodes:
        if node.parent is None:
            place(node, 0, rows)
    return found


def checked_name(text: Any) -> str:
    """Return `text` as the name of a step: one line of plain text; "" takes a name away.

    Raises
    ------
    SpecError
        If it is no text, or longer than `MAX_NAME` characters.
    """
    if not isinstance(text, str):
        raise SpecError("A name is text.", got=type(text).__name__)
    # read no further than needed: a browser may send megabytes
    plain = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_NAME])
    plain = " ".join(plain.split())
    if len(plain) > MAX_NAME or len(text) > 4 * MAX_NAME:
        raise SpecError(
            "This name is too long.", expected=f"at most {MAX_NAME} characters", got=len(text)
        )
    return plain
