"""What a person asks for, checked once."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prunevis.errors import SpecError
from prunevis.pruning.patterns import pattern_of

Granularity = Literal["weight", "unit"]
Scope = Literal["layer", "global"]

GRANULARITIES: tuple[Granularity, ...] = ("weight", "unit")
SCOPES: tuple[Scope, ...] = ("layer", "global")
#: What a share can be kept of.
OF = ("sparsity", "units", "params", "macs", "bytes")


def check_sparsity(value: object, where: str = "sparsity") -> float:
    """Return `value` as a float in [0, 1).

    Raises
    ------
    SpecError
        If it is no number or outside of [0, 1).
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number < 1.0:
        fix = "Sparsity is the share that is removed: 0.9 removes 90 %."
        # 30 is a percentage; 1.3 may be anything
        if 2.0 <= number < 100.0:
            fix += f" Did you mean {number / 100:g}?"
        raise SpecError(
            "A sparsity must be at least 0 and below 1.", got=_short(value), where=where, fix=fix
        )
    return number


def check_of(of: object, granularity: str) -> str:
    """Return `of` if a request may be one of that.

    Raises
    ------
    SpecError
        If there is nothing of this name to keep a share of.
    """
    if of not in OF:
        raise SpecError(
            f"There is nothing called {_short(of)} to keep a share of.", expected=", ".join(OF)
        )
    if of == "units" and granularity != "unit":
        raise SpecError(
            "Single weights leave all units in place.",
            fix='Choose granularity="unit", or keep a share of "params", "macs" or "bytes".',
        )
    return str(of)


def check_keep(value: object) -> float:
    """Return `value` as a float in (0, 1].

    Raises
    ------
    SpecError
        If it is no number or outside of (0, 1].
    """
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0.0 < number <= 1.0:
        raise SpecError(
            "What is kept is a share above 0 and at most 1.",
            got=_short(value),
            fix="keep=0.5 keeps half.",
        )
    return float(number)


def amount_of(amount: object, left: int, names: Iterable[str]) -> int:
    """Return how many of `left` go by an amount as `torch.nn.utils.prune` counts.

    Parameters
    ----------
    amount
        A float in [0, 1): a share, rounded as Python does; or a whole number from 0 to `left`.
    left
        Weights or units that are not gone yet.
    names
        Of the layers that they are of, for a message.

    Raises
    ------
    SpecError
        If it is neither.
    """
    if isinstance(amount, float):
        return round(check_sparsity(amount, "amount") * left)
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
        raise SpecError(
            "An amount is a share or a number.",
            expected="a float in [0, 1), or a whole number from 0",
            got=_short(amount),
        )
    if amount > left:
        raise SpecError(
            "That is more than is left.",
            expected=f"a whole number from 0 to {left}",
            got=amount,
            where=", ".join(f"`{name}`" for name in list(names)[:3]),
            fix="A share is written as a float: 1.0 is all, 1 is a single one."
            if amount == 1
            else "Ask for less, or for a share: 0.5 is half of what is left.",
        )
    return amount


def _one_of_both(sparsity: object, keep: object) -> SpecError:
    return SpecError(
        "A request takes a sparsity or a share to keep, not both.",
        got=f"sparsity={_short(sparsity)} and keep={_short(keep)}",
        fix="Leave one of them out.",
    )


def _short(value: object) -> str:
    # what arrives from a browser may be of any length
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _pairs(layers: Any) -> tuple[tuple[str, float | None], ...]:
    """Return names, pairs of name and sparsity, or a mapping, as pairs, each name once."""
    if isinstance(layers, str):
        raise SpecError("`layers` is one string.", got=repr(layers), fix=f"Write [{layers!r}].")
    items = layers.items() if isinstance(layers, Mapping) else layers
    try:
        items = [item if isinstance(item, tuple) else (item, None) for item in items]
        pairs = tuple(
            (str(name), None if own is None else check_sparsity(own, f"layers[{name!r}]"))
            for name, own in items
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(
            "`layers` must be names of layers, or a mapping from names to sparsities.",
            got=_short(layers),
        ) from error
    if not pairs:
        raise SpecError("`layers` is empty.", fix="Name at least one layer, or pass None.")
    known: dict[str, float | None] = {}
    for name, own in pairs:
        if known.setdefault(name, own) != own:
            raise SpecError(
                f"`layers` names {_short(name)} twice, with different sparsities.",
                got=f"{known[name]} and {own}",
                fix="Name each layer once.",
            )
    return tuple(known.items())


@dataclass(frozen=True)
class PruningSpec:
    """A request: by which rule, in what pieces, how compared, how much, where; always checked.

    Attributes
    ----------
    criterion
        A name in `prunevis.CRITERIA`.
    granularity
        "weight" (single weights become zero) or "unit" (whole neurons or channels can leave).
    scope
        "layer": every layer loses its share; "global": one ranking over all layers.
    sparsity
        Removed / prunable, in [0, 1).
    layers
        None: every prunable layer except the output layer. A sequence of names: only these. A
        mapping from names to a sparsity (or None): only these, and a layer with a value of its own
        loses exactly that share, whatever `scope` and `sparsity` say. Kept as pairs of name and
        sparsity or None.
    seed
        For criteria that draw at random.
    repair
        A name in `prunevis.REPAIRS`: what is done for what stays, without training.
    keep, of
        In the place of `sparsity`: the share that stays, in (0, 1], and of what: "params", "macs"
        or "bytes" of the whole network as it is (zeros not counted, of bytes the smallest file),
        "units" of the layers that can lose some (a unit that several layers compute counts in each
        of them), or "sparsity", the share of prunable weights or units. The smallest removal that
        meets it. A sparsity of its own beside `keep` is refused, and `of` without `keep`.
    multiple_of
        Units: layers that lose some keep a multiple of this, as hardware likes it (8, 16).
    min_units
        Units of each layer that always stay, from 1.
    pattern
        Weights: "2:4" (N:M), "4x4" (blocks; also "block"), or None; see
        `prunevis.pruning.patterns`. N:M takes at most 1 − N/M of the weights; more is refused.

    Raises
    ------
    SpecError
        If a value is not allowed; the message names it.
    """

    criterion: str = "magnitude"
    granularity: Granularity = "weight"
    scope: Scope = "global"
    sparsity: float = 0.5
    layers: tuple[tuple[str, float | None], ...] | None = None
    seed: int = 0
    repair: str = "none"
    keep: float | None = None
    of: str = "sparsity"
    multiple_of: int = 1
    min_units: int = 1
    pattern: str | None = None

    @staticmethod
    def make(
        criterion: str = "magnitude",
        granularity: str = "weight",
        scope: str = "global",
        sparsity: float | None = None,
        layers: Iterable[str] | Mapping[str, float | None] | None = None,
        seed: int = 0,
        repair: str = "none",
        *,
        keep: float | None = None,
        of: str = "sparsity",
        multiple_of: int = 1,
        min_units: int = 1,
        pattern: str | None = None,
    ) -> PruningSpec:
        """Return a checked `PruningSpec`; `layers` may be a sequence or a mapping.

        `sparsity` is 0.5 where neither it nor `keep` is given.

        Raises
        ------
        SpecError
            If a value is not allowed, or both `sparsity` and `keep` are given; the message says so.
        """
        if sparsity is not None and keep is not None:
            raise _one_of_both(sparsity, keep)
        return PruningSpec(
            criterion,
            granularity,  # type: ignore[arg-type]
            scope,  # type: ignore[arg-type]
            0.5 if sparsity is None else sparsity,
            layers,  # type: ignore[arg-type]
            seed,
            repair,
            keep,
            of,
            multiple_of,
            min_units,
            pattern,
        )

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("granularity", self.granularity, GRANULARITIES),
            ("scope", self.scope, SCOPES),
        ):
            if value not in allowed:
                raise SpecError(
                    f"There is no {name} {_short(value)}.", expected=" or ".join(map(repr, allowed))
                )
        check_of(self.of, self.granularity)
        if self.keep is not None:
            object.__setattr__(self, "keep", check_keep(self.keep))
        elif self.of != "sparsity":
            raise SpecError(
                f"Nothing says how much of the {self.of} is to stay.",
                fix=f"Pass keep too: keep=0.5, of={self.of!r} keeps half.",
            )
        self._check_pieces()
        seed = self.seed
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise SpecError("A seed is a whole number from 0.", got=repr(seed))
        object.__setattr__(self, "sparsity", check_sparsity(self.sparsity))
        if self.keep is not None and self.sparsity != 0.5:
            raise _one_of_both(self.sparsity, self.keep)
        if self.repair != "none":
            # repairs read plans, and plans their spec
            from prunevis.pruning.repairs.base import check_repair_name

            check_repair_name(self.repair, self.granularity)
        if self.layers is not None:
            object.__setattr__(self, "layers", _pairs(self.layers))
        self._check_limit()

    def _check_pieces(self) -> None:
        """Raise SpecError unless a pattern is for weights, and numbers of units are for units."""
        for name in ("multiple_of", "min_units"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 4096:
                raise SpecError(
                    f"`{name}` is a whole number of units.", expected="1 to 4096", got=_short(value)
                )
            if value > 1 and self.granularity != "unit":
                raise SpecError(
                    f"`{name}` counts units, and single weights are to go.",
                    fix='Choose granularity="unit", or leave it at 1.',
                )
        pattern_of(self.pattern)
        if self.pattern is not None and self.granularity != "weight":
            raise SpecError(
                "A pattern is one of weights, and whole units are to go.",
                got=f"pattern {self.pattern!r}",
                fix='Choose granularity="weight", or no pattern.',
            )

    def _check_limit(self) -> None:
        """Raise SpecError if more is to go of a layer, or of all, than the pattern lets go."""
        pattern = pattern_of(self.pattern)
        asked = dict(self.own_sparsity)
        if self.keep is None:
            asked["sparsity"] = self.sparsity
        for what, share in asked.items():
            if pattern is not None and share > pattern.most + 1e-9:
                raise SpecError(
                    f"The pattern {self.pattern!r} lets at most {pattern.most:.4g} of the weights "
                    "go.",
                    got=f"{share:g}",
                    where=what if what == "sparsity" else f"layers[{what!r}]",
                    fix=f"Ask for a sparsity of {pattern.most:.4g}, where the pattern holds in "
                    "full, or for another pattern.",
                )

    def at(self, sparsity: float, keep: float | None = None, of: str = "sparsity") -> PruningSpec:
        """Return the same request at what a plan came to, which need not be one to ask for.

        A plan for a share that is kept knows the sparsity that this means; and where weights are
        zero already, more may be gone than a pattern takes.
        """
        found = copy.copy(self)
        for name, value in (("sparsity", sparsity), ("keep", keep), ("of", of)):
            object.__setattr__(found, name, value)
        return found

    @property
    def layer_names(self) -> tuple[str, ...] | None:
        """Names of the chosen layers, or None for all."""
        return None if self.layers is None else tuple(name for name, _ in self.layers)

    @property
    def own_sparsity(self) -> dict[str, float]:
        """Layers with a sparsity of their own."""
        return {name: value for name, value in self.layers or () if value is not None}
