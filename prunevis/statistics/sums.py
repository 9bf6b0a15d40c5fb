"""Running sums over what the units of one layer answer, batch by batch.

All sums are float64 and *shifted*: each batch is centred on its own mean and merged by the rule of
Chan, Golub & LeVeque (1983), so that a large mean does not eat the variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.errors import NonFiniteError
from prunevis.graph.layers import LayerInfo
from prunevis.statistics.records import CORRELATION_UNASKED, NEAR_ZERO, ActivationStatistics
from prunevis.statistics.similarity import correlation_from_moments, is_constant, too_many_units

#: Most positions of a feature map that enter the correlation, the same ones in every batch.
MAX_POSITIONS = 256


class _Moments:
    """A running mean, and sums of squares (units,) or products (units, units) of deviations."""

    def __init__(self, products: Tensor) -> None:
        self.count, self.products = 0, products
        self.mean = torch.zeros(products.shape[0], dtype=torch.float64)

    def add(self, mean: Tensor, products: Tensor, count: int) -> None:
        """Merge the same sums of `count` more samples (Chan, Golub & LeVeque 1983)."""
        total = self.count + count
        shift = mean - self.mean
        spread = shift.square() if products.ndim == 1 else torch.outer(shift, shift)
        self.products += products + spread * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total


class LayerSums:
    """Running sums of one layer; `add` a batch, then read the `result`."""

    def __init__(self, layer: LayerInfo, num_top: int, correlation: bool, seed: int) -> None:
        self._layer, self._num_top, self._seed = layer, num_top, seed
        self._examples = 0
        self._reason = too_many_units(layer.num_units)
        if not correlation:
            self._reason = CORRELATION_UNASKED

    def add(self, answers: Tensor, indices: Tensor) -> None:
        """Take in float answers (N, units, positions) to the examples at `indices` (N,)."""
        wide = answers.detach().to("cpu", torch.float64, copy=True)
        if not self._examples:
            self._start(wide)
        count, units, positions = wide.shape
        mean = wide.mean(dim=(0, 2))
        if not bool(torch.isfinite(mean).all()):
            bad = int((~torch.isfinite(mean)).sum())
            raise NonFiniteError(
                "Some units answer NaN or infinity.",
                got=f"{bad:,} of {units:,} units",
                where=self._layer.name,
                fix="Check the model's weights and that the inputs are scaled as in training.",
            )
        magnitude = wide.abs()
        self._magnitude += magnitude.sum(dim=(0, 2))
        self._zeros += (magnitude <= self._near).sum(dim=(0, 2))
        self._add_top(wide.amax(dim=2).T, indices)
        if self._reason is None:
            samples = wide if self._places is None else wide[:, :, self._places]
            rows = samples.transpose(0, 1).reshape(units, -1)
            row_mean = rows.mean(dim=1)
            rows = rows - row_mean[:, None]
            self._sampled.add(row_mean, rows @ rows.T, rows.shape[1])
        centred = wide.sub_(mean[:, None])  # in place, into the copy: fresh memory costs more
        squares = torch.linalg.vector_norm(centred, dim=2).square().sum(dim=0)
        self._all.add(mean, squares, count * positions)
        self._examples += count

    def _start(self, wide: Tensor) -> None:
        """Set up sums for (N, units, positions), and what the first batch decides for all."""
        _, units, self._positions = wide.shape
        # A ReLU shows itself: nothing below zero, and exact zeros. Its name settles the rest.
        rectified = bool((wide >= 0).all()) and bool((wide == 0).any())
        self._exact = rectified or self._layer.activation == "relu"
        self._near = 0.0 if self._exact else NEAR_ZERO * float(wide.square().mean().sqrt())
        self._magnitude = torch.zeros(units, dtype=torch.float64)
        self._zeros = torch.zeros(units, dtype=torch.int64)
        self._top_values = torch.empty(units, 0, dtype=torch.float64)
        self._top_examples = torch.empty(units, 0, dtype=torch.int64)
        self._all = _Moments(torch.zeros(units, dtype=torch.float64))
        self._places: Tensor | None = None
        if self._reason is None:
            self._sampled = _Moments(torch.zeros(units, units, dtype=torch.float64))
            if self._positions > MAX_POSITIONS:
                generator = torch.Generator().manual_seed(self._seed)
                order = torch.randperm(self._positions, generator=generator)
                self._places = order[:MAX_POSITIONS].sort().values

    def _add_top(self, best: Tensor, indices: Tensor) -> None:
        values = torch.cat([self._top_values, best], dim=1)
        names = torch.cat([self._top_examples, indices.expand(best.shape[0], -1)], dim=1)
        # Those seen earlier stand first, and a stable sort leaves them first among equals.
        values, order = values.sort(dim=1, descending=True, stable=True)
        self._top_values = values[:, : self._num_top].clone()
        self._top_examples = names.gather(1, order[:, : self._num_top])

    def result(self) -> ActivationStatistics:
        """Return what has been found; at least one batch must have been added."""
        mean, answers = self._all.mean, self._all.count
        variance = self._all.products / answers
        correlation, constant = None, is_constant(mean, variance)
        if self._reason is None:
            correlation, constant = correlation_from_moments(
                self._sampled.mean, self._sampled.products, self._sampled.count
            )
        return ActivationStatistics(
            layer=self._layer.name,
            mean=mean,
            std=variance.sqrt(),
            rms=(variance + mean.square()).sqrt(),
            mean_magnitude=self._magnitude / answers,
            maximum=self._top_values[:, 0].clone(),
            zero_share=self._zeros.double() / answers,
            exact_zeros=self._exact,
            top_examples=self._top_examples,
            top_values=self._top_values,
            constant=constant,
            correlation=correlation,
            correlation_reason=self._reason,
            num_examples=self._examples,
            positions=self._positions,
        )
