"""Optimisers by name, by a function that makes one, or as an object, behind one small face."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.training.sgd import Sgd

#: What takes a closure or sparse gradients does not fit a plain step.
_UNFIT = frozenset({"lbfgs", "sparseadam", "optimizer"})


class Stepper(Protocol):
    """What the training loop asks of an optimiser; `base` is its learning rate at factor 1."""

    base: float

    def step(self, learning_rate: float) -> None:
        """Move the parameters."""

    def clear_gradients(self) -> None:
        """Forget the gradients."""

    def forget(self) -> None:
        """Forget moments, as if no step had been taken."""

    def state(self) -> Any:
        """Return copies of the moments."""

    def load(self, state: Any) -> None:
        """Take back what `state` returned."""


class TorchOptimizer:
    """An optimiser of `torch.optim`; its groups keep the proportions of their learning rates.

    Parameters
    ----------
    optimizer
        Over the parameters that are trained.
        The largest learning rate of its groups is its `base`.

    Raises
    ------
    SpecError
        If it has no learning rate above 0, or takes steps of another kind.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        if type(optimizer).__name__.lower() in _UNFIT:
            raise SpecError(
                f"{type(optimizer).__name__} does not fit: it needs a closure or sparse gradients.",
                expected=", ".join(optimizer_names()),
            )
        rates = [float(group.get("lr", 0.0)) for group in optimizer.param_groups]
        self.base = max(rates, default=0.0)
        if not 0 < self.base < math.inf:
            raise SpecError(
                "The optimiser has no learning rate to train with.",
                expected="a number above 0",
                got=", ".join(f"{rate:g}" for rate in rates) or "no parameters",
            )
        self.optimizer = optimizer
        self._shares = [rate / self.base for rate in rates]

    def step(self, learning_rate: float) -> None:
        """Move the parameters."""
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            group["lr"] = learning_rate * share
        self.optimizer.step()

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Forget moments, as if no step had been taken."""
        self.optimizer.state.clear()

    def state(self) -> Any:
        """Return copies of the moments."""
        return _copied(self.optimizer.state_dict())

    def load(self, state: Any) -> None:
        """Take back what `state` returned."""
        self.optimizer.load_state_dict(_copied(state))


def optimizer_names() -> tuple[str, ...]:
    """Return the names of optimisers that can be asked for; this imports all of `torch.optim`."""
    return ("sgd", *sorted(set(_classes()) - {"sgd"}))


def make_optimizer(
    wanted: str | Callable[..., Any],
    named: Mapping[str, Tensor],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    original: nn.Module | None = None,
) -> Stepper:
    """Return an optimiser over `named` parameters.

    Parameters
    ----------
    wanted
        "sgd", the lower-case name of a class in `torch.optim`, a function that takes a list of
        parameters and returns an optimiser, or an optimiser: one of its kind is made, with its
        groups and settings, over the same parameters of the network that is trained.
    named
        By dotted name.
    lr, momentum, weight_decay
        Handed over to one by name that knows them; all others have their own.
    original
        The network whose parameters an optimiser object holds; None: the one trained.

    Raises
    ------
    SpecError
        If there is no such optimiser, or it does not fit.
    """
    parameters = list(named.values())
    if isinstance(wanted, str):
        if wanted == "sgd":
            return Sgd(parameters, momentum, weight_decay, lr)
        kind = _classes().get(wanted)
        if kind is None:
            raise SpecError(
                f"There is no optimiser called {wanted[:80]!r}.",
                expected=", ".join(optimizer_names()),
            )
        known = inspect.signature(kind).parameters
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        return _made(kind, parameters, **{k: v for k, v in options.items() if k in known})
    if isinstance(wanted, torch.optim.Optimizer):
        return _of_its_kind(wanted, named, original)
    if not callable(wanted):
        raise SpecError(
            "An optimiser is a name, a function that makes one, or an optimiser.",
            got=repr(wanted)[:80],
        )
    return _made(wanted, parameters)


def _made(make: Callable[..., Any], parameters: Any, **options: Any) -> TorchOptimizer:
    """Return what `make` makes over `parameters`, checked."""
    try:
        made = make(parameters, **options)
    except Exception as error:
        raise SpecError(
            "Making the optimiser raised an error.",
            got=f"{type(error).__name__}: {error}",
            fix="A function that makes one is called with a list of parameters: "
            "lambda p: torch.optim.Adam(p, lr=1e-3).",
        ) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise SpecError(
            "The function made no optimiser.",
            expected="a torch.optim.Optimizer",
            got=type(made).__name__,
        )
    return TorchOptimizer(made)


def _of_its_kind(
    optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor], original: nn.Module | None
) -> Stepper:
    """Return an optimiser like a person's, over the parameters of the same names."""
    places = {
        id(p): name for name, p in (original.named_parameters() if original else named.items())
    }
    groups = []
    for group in optimizer.param_groups:
        names = [places.get(id(parameter), "") for parameter in group["params"]]
        if "" in names:
            raise SpecError(
                "The optimiser holds parameters of another network.",
                fix="Make it over the parameters of the model that you pass.",
            )
        kept = [named[name] for name in names if name in named]
        if kept:
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": kept})
    if not groups:
        raise SpecError("The optimiser holds none of the parameters that can be trained.")
    # what is trained beside the network, as noise outputs are
    beside = [t for name, t in named.items() if name not in places.values()]
    if beside:
        groups.append({"params": beside})
    known = inspect.signature(type(optimizer)).parameters
    defaults = {k: v for k, v in optimizer.defaults.items() if k in known}
    return _made(type(optimizer), groups, **defaults)


def _classes() -> dict[str, Any]:
    found: Iterable[tuple[str, Any]] = vars(torch.optim).items()
    return {
        name.lower(): kind
        for name, kind in found
        if inspect.isclass(kind)
        and issubclass(kind, torch.optim.Optimizer)
        and name.lower() not in _UNFIT
    }


def _copied(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)) and not isinstance(state, torch.Size):
        made: Sequence[Any] = [_copied(value) for value in state]
        return type(state)(made) if type(state) in (list, tuple) else made
    return state
