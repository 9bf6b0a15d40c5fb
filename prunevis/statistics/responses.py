"""How units respond to single examples: what some criteria need beyond means and correlations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.graph.layers import LayerInfo

#: Examples of which one answer of each unit is kept.
SAMPLES = 256
#: Examples whose feature maps have their rank taken.
MAPS = 32
#: Most bytes of mean answers that one pass keeps, all layers together.
RESPONSE_BYTES = 2**28
#: Numbers of feature maps decomposed between two yields.
MAP_STEP = 2**16


@dataclass(frozen=True, eq=False, slots=True)
class ResponseStatistics:
    """What the units of one layer answer, example by example.

    Units are looked at where `ActivationStatistics` looks at them. All tensors are on the CPU.

    Attributes
    ----------
    layer
        Dotted name.
    means
        float32, shape (examples, units): mean answer over the positions of each example, in the
        order of `Statistics.indices`; None if there was no room for them.
    samples
        float32, shape (at most `SAMPLES`, units): the answers to one example at one position, drawn
        at random, the same for all units.
    map_rank
        float64, shape (units,): mean rank of the unit's feature map over `num_maps` examples, None
        if not asked for or if there are no maps. Singular values below 1.2e-7 × the longer side ×
        the largest one count as zero.
    num_maps
        Examples behind `map_rank`.
    """

    layer: str
    means: Tensor | None = field(repr=False)
    samples: Tensor = field(repr=False)
    map_rank: Tensor | None
    num_maps: int

    def example_means(self) -> Tensor:
        """Return `means`; SpecError if there was no room for them."""
        if self.means is None:
            raise SpecError(
                f"The answers of `{self.layer}` to every example take too much memory to keep.",
                where=self.layer,
                fix="Collect statistics of fewer examples.",
            )
        return self.means

    def map_ranks(self) -> Tensor:
        """Return `map_rank`; SpecError if it was not collected."""
        if self.map_rank is None:
            raise SpecError(
                f"The ranks of the feature maps of `{self.layer}` were not collected.",
                where=self.layer,
                fix="Pass statistics=collect_statistics(model, data, maps=True), "
                "or leave out layers without feature maps.",
            )
        return self.map_rank


class ResponseSums:
    """What one layer answers, kept example by example; `add` batches, then read the `result`.

    Parameters
    ----------
    layer
        Which.
    num_examples
        How many examples will come.
    seed
        For the positions that are sampled.
    maps
        Whether to take the rank of feature maps.
    room
        Bytes that mean answers may take.
    """

    def __init__(
        self, layer: LayerInfo, num_examples: int, seed: int, maps: bool, room: int
    ) -> None:
        self._layer, self._maps = layer, maps
        self._generator = torch.Generator().manual_seed(seed)
        #: Bytes that the mean answers of all examples take; 0 if there is no room for them.
        self.nbytes = num_examples * layer.num_units * 4
        if self.nbytes > room:
            self.nbytes = 0
        self._means: list[Tensor] = []
        self._samples: list[Tensor] = []
        self._sampled = self._ranked = 0
        self._ranks = torch.zeros(layer.num_units, dtype=torch.float64)

    def add(self, answers: Tensor, space: tuple[int, ...]) -> Iterator[None]:
        """Take in answers (N, units, positions), the positions of shape `space`; yield at times."""
        values = answers.detach().to("cpu", torch.float32)
        if self.nbytes:
            self._means.append(values.mean(2))
        count = min(len(values), SAMPLES - self._sampled)
        if count > 0:
            # drawn one by one, so that the size of the batches changes nothing
            places = torch.cat(
                [
                    torch.rand(1, generator=self._generator, dtype=torch.float64)
                    for _ in range(count)
                ]
            )
            where = (places * values.shape[2]).long()
            self._samples.append(values[torch.arange(count), :, where])
            self._sampled += count
        if self._maps and len(space) == 2:
            yield from self._add_maps(values[: MAPS - self._ranked].unflatten(2, space))

    def _add_maps(self, maps: Tensor) -> Iterator[None]:
        for example in maps:
            for part in torch.arange(len(example)).split(max(1, MAP_STEP // example[0].numel())):
                self._ranks[part] += torch.linalg.matrix_rank(example[part]).double()
                yield
            self._ranked += 1

    def result(self) -> ResponseStatistics:
        """Return what has been found; at least one batch must have been added."""
        return ResponseStatistics(
            layer=self._layer.name,
            means=torch.cat(self._means) if self._means else None,
            samples=torch.cat(self._samples),
            map_rank=self._ranks / self._ranked if self._ranked else None,
            num_maps=self._ranked,
        )
