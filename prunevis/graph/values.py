"""What is known about one intermediate result while a network is traced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prunevis.graph.atoms import Ids
from prunevis.graph.placement import Placement

#: One entry an axis: the atoms of its positions, or None where units are not followed.
Axes = tuple[Ids | None, ...]


@dataclass(eq=False, slots=True)
class Value:
    """One result of an operator (or a parameter, a buffer, an input).

    Attributes
    ----------
    axes
        Atoms by axis.
    shape
        Its sizes in the traced run.
    layers
        Layers whose units it carries, in the order of execution; a contraction starts anew.
    direct
        Those of them with nothing but normalisations in between.
    tensor
        Name of the parameter or buffer that it is, seen through views only; else None.
    batched
        Whether it depends on the model's input.
    examples
        Where the examples lie; None if that is not known, or it depends on none.
    uniform
        Whether all its elements are one constant, so that it fits whatever leaves.
    origin
        What an axis that is not followed belongs to, in words.
    readers
        Numbers of the calls that read it.
    """

    axes: Axes
    shape: tuple[int, ...]
    layers: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    tensor: str | None = None
    batched: bool = False
    examples: Placement | None = None
    uniform: bool = False
    origin: str = "a tensor whose channels are not followed"
    readers: list[int] = field(default_factory=list)

    @property
    def followed(self) -> bool:
        """Whether any axis carries atoms."""
        return any(ids is not None for ids in self.axes)


def merged(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names of all `parts`, each once, in order."""
    return tuple(dict.fromkeys(name for part in parts for name in part))


def listed(names: Iterable[str], limit: int = 3) -> str:
    """Return names as words: "`a`, `b` and `c`", shortened past `limit`."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > limit:
        quoted = [*quoted[: limit - 1], f"{len(quoted) - limit + 1} more"]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
