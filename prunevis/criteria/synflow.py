"""Importance of a weight: synaptic flow, scored anew as weights leave."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.errors import ModelError, NonFiniteError, SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.graph.state import untouched

#: Rounds of scoring and removing, and the share of weights that is left after the last of these.
ROUNDS, LAST_KEPT = 100, 1e-3
#: What each further round keeps of what is left, down to one weight a layer.
TAIL_KEPT = 0.9


@CRITERIA.register("synflow")
class SynapticFlow(Criterion):
    """``|θ · ∂R/∂θ|``, R the sum of the outputs to an input of ones, all parameters made positive.

    R is the sum over all paths through the network of the products of their weights; no data are
    needed. After each of `ROUNDS` rounds the lowest scores leave, so that ``kept = LAST_KEPT^(k /
    ROUNDS)`` after round k, and what is left is scored again: that keeps whole layers from
    vanishing. Rounds that keep `TAIL_KEPT` of what is left follow, until as many weights are left
    as there are layers. Every weight goes at some round, and the ranking is that order; the last
    ones follow by their last score. In double precision, running statistics made positive too,
    over all layers that are ranked together.
    """

    label = "Synaptic flow (SynFlow)"
    summary = "Weights that carry least of the flow through the network go first, without any data."
    formula = "order of |θ · ∂R/∂θ| over 100 rounds,  R = 1ᵀ Π|θₗ| 1"
    source = "Tanaka et al. 2020 (SynFlow)"
    url = "https://arxiv.org/abs/2006.05467"
    granularities = ("weight",)
    needs = frozenset({"weights", "model"})

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Say so where an input of ones means nothing."""
        if not graph.input_dtype.is_floating_point:
            return "An input of ones means nothing to a network that reads whole numbers."
        return super().unavailable(graph)

    def prepare(self, context: ScoreContext) -> Generator[None, None, dict[str, Tensor]]:
        """Return the place of each weight in the order of removal, by layer, in (0, 1]."""
        layers = {n: la for n, la in context.graph.layers.items() if la.weight_reason is None}
        if context.layers is not None:
            layers = {n: la for n, la in layers.items() if n in context.layers}
        weights = {layer.weight: layer.name for layer in layers.values()}
        total = sum(context.tensors[name].numel() for name in weights)
        flow = _Flow(context)
        flat = torch.cat([context.tensors[name].detach().flatten().abs() for name in weights])
        # the same order in every round, of which a True has not gone
        left = torch.ones(total, dtype=torch.bool, device=flat.device)
        order = torch.zeros(total, dtype=torch.float64)
        gone = 0
        for keep in _left_after_rounds(total, len(weights)):
            scores = flow.scores(list(weights), left)
            yield
            count = total - keep - gone
            if count <= 0:
                continue
            remaining = left.nonzero().flatten()
            places = remaining[scores[remaining].argsort(stable=True)[:count]]
            order[places.cpu()] = torch.arange(gone, gone + count, dtype=torch.float64)
            left[places] = False
            gone += count
            yield
        order = (order + 1) / total
        sizes = [context.tensors[name].numel() for name in weights]
        return {
            name: part.reshape(context.tensors[weight].shape)
            for (weight, name), part in zip(weights.items(), order.split(sizes), strict=True)
        }

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return places in the order of removal, float64, shape of the weight, in (0, 1]."""
        found = context.prepared
        if layer.name not in found:
            raise SpecError(f"`{layer.name}` is not among the layers that were ranked.")
        return found[layer.name]


def _left_after_rounds(total: int, layers: int) -> list[int]:
    """Return how many of `total` weights are left after each round, falling to 0."""
    kept = [max(1, round(total * LAST_KEPT ** (k / ROUNDS))) for k in range(1, ROUNDS + 1)]
    while kept[-1] > layers:
        kept.append(max(layers, min(kept[-1] - 1, round(TAIL_KEPT * kept[-1]))))
    return [*kept, 0]


class _Flow:
    """R as a function of which weights are left."""

    def __init__(self, context: ScoreContext) -> None:
        self._model = context.network()
        named = (*self._model.named_parameters(), *self._model.named_buffers())
        args: tuple[Any, ...] = (torch.ones(1, *context.graph.input_shape),)
        kwargs: dict[str, Any] = {}
        if context.graph.example is not None:
            args, kwargs = context.graph.example.args, dict(context.graph.example.kwargs)
        with torch.inference_mode(False):
            self._tensors = {name: _positive(tensor.detach()) for name, tensor in named}
            device = next(iter(self._tensors.values())).device

            def ones(leaf: Any) -> Any:
                if not isinstance(leaf, Tensor):
                    return leaf
                if leaf.is_floating_point():
                    return torch.ones(leaf.shape, dtype=torch.float64, device=device)
                return leaf.to(device)

            self._inputs = tree_map(ones, args), tree_map(ones, kwargs)

    def scores(self, weights: list[str], left: Tensor) -> Tensor:
        """Return float64 scores of all weights in a row; those that have gone score 0."""
        sizes = [self._tensors[name].numel() for name in weights]
        masks = left.split(sizes)
        with torch.inference_mode(False), torch.enable_grad(), untouched(self._model):
            own = {
                name: (self._tensors[name] * mask.reshape(self._tensors[name].shape))
                .detach()
                .requires_grad_()
                for name, mask in zip(weights, masks, strict=True)
            }
            try:
                # copies, since a forward may write into its buffers
                rest = {n: t.clone() for n, t in self._tensors.items() if n not in own}
                found = functional_call(self._model, {**rest, **own}, *self._inputs)
                answers = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
                total = torch.stack([leaf.sum() for leaf in answers]).sum()
                gradients = torch.autograd.grad(
                    total, list(own.values()), allow_unused=True, materialize_grads=True
                )
            except (RuntimeError, TypeError, AttributeError, ValueError) as error:
                raise ModelError(
                    "The network does not run in double precision on an input of ones.",
                    got=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
                    fix="Choose another criterion.",
                ) from error
        parts = [
            (g * t.detach()).abs().flatten() for g, t in zip(gradients, own.values(), strict=True)
        ]
        scores = torch.cat(parts)
        if not bool(torch.isfinite(scores).all()):
            raise NonFiniteError(
                "The flow through the network is too large for its numbers.",
                fix="Choose another criterion.",
            )
        return scores


def _positive(tensor: Tensor) -> Tensor:
    own = tensor.clone() if tensor.is_inference() else tensor
    return own.double().abs() if own.is_floating_point() else own.clone()
