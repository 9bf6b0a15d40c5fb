"""What layers read: first and second moments, in the layout of the columns of their weight.

Convolutions are laid out as matrix products (im2col), so that a row of numbers, the *sample*, is
what one output position reads, zero padding included. With the samples as rows of X, n of them,
the second moment is ``XᵀX / n``: all that least squares, Wanda and optimal brain surgeon need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.layers import LayerInfo
from prunevis.graph.observe import LayerRead, Window

#: Most output positions of an example that enter.
MAX_POSITIONS = 256

#: As many samples are wanted, if the positions of the examples allow: at least this number, and
#: `PER_COLUMN` for each column of the weight.
SAMPLES = 16_384
PER_COLUMN = 4

#: Most columns of a matrix of second moments: 162 MiB in float64 (512 channels of 3×3).
MAX_COLUMNS = 4_608

#: Most bytes of second moments that one pass keeps, all layers together.
MOMENT_BYTES = 2**30

#: Most numbers of samples that are laid out at once (16 MiB), and multiply-adds of a step.
AT_ONCE, STEP_MACS = 2**21, 300_000_000


@dataclass(frozen=True, eq=False, slots=True)
class InputStatistics:
    """Moments of what a layer reads in its first call.

    The columns are those of ``weight.reshape(out, -1)``: for a convolution input channel by input
    channel and in it the positions of the kernel, zero padding included; the groups are those of a
    grouped convolution, else one. All tensors are float64 on the CPU, not centred.

    Attributes
    ----------
    layer
        Dotted name.
    mean, square
        Shape (groups, columns): mean of x, and of x², over samples.
    moment
        Shape (groups, columns, columns): mean of x xᵀ, or None.
    reason
        Why there is no moment, one sentence; None if there is.
    num_samples, num_examples
        Examples × output positions that entered, and examples.
    """

    layer: str
    mean: Tensor
    square: Tensor
    moment: Tensor | None = field(repr=False)
    reason: str | None
    num_samples: int
    num_examples: int

    def __repr__(self) -> str:
        return (
            f"InputStatistics({self.layer!r}: {self.columns:,} columns on {self.num_samples:,} "
            f"samples of {self.num_examples:,} examples)"
        )

    @property
    def groups(self) -> int:
        """Groups of the convolution; 1 for every other layer."""
        return int(self.mean.shape[0])

    @property
    def columns(self) -> int:
        """Numbers that a unit reads."""
        return int(self.mean.shape[1])

    def moments(self) -> Tensor:
        """Return `moment`; SpecError with the reason if there is none."""
        if self.moment is None:
            raise SpecError(
                str(self.reason),
                where=self.layer,
                fix="Choose another layer, or a criterion that needs no second moments.",
            )
        return self.moment


def samples_of(values: Tensor, window: Window, places: Tensor) -> Tensor:
    """Return what a convolution reads at some of its output positions.

    Parameters
    ----------
    values
        Shape (N, channels, \\*space).
    window
        Of the convolution.
    places
        int64, shape (N, P): output positions in row-major order, own ones for each example.

    Returns
    -------
    Tensor
        Shape (N × P, groups, channels / groups × kernel), examples first.
    """
    padded = F.pad(values, [pad for size in reversed(window.padding) for pad in (size, size)])
    for axis, (kernel, stride, dilation) in enumerate(
        zip(window.kernel, window.stride, window.dilation, strict=True)
    ):
        reach = dilation * (kernel - 1) + 1
        # a view: nothing is copied before the positions are chosen
        padded = padded.unfold(2 + axis, reach, stride)[..., ::dilation]
    axes = len(window.kernel)
    space = padded.shape[2 : 2 + axes]
    where, rest = [], places.to(values.device)
    for size in reversed(space):
        where.insert(0, rest % size)
        rest = rest // size
    example = torch.arange(len(values), device=values.device)[:, None]
    chosen = padded[(example, slice(None), *where)]  # (N, P, channels, *kernel)
    return chosen.reshape(places.numel(), window.groups, -1)


def output_positions(values: Tensor, window: Window) -> int:
    """Return at how many positions a convolution over `values` answers."""
    count = 1
    for size, kernel, stride, padding, dilation in zip(
        values.shape[2:], window.kernel, window.stride, window.padding, window.dilation, strict=True
    ):
        count *= (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return count


class InputSums:
    """Running sums of what one layer reads; `add` batch by batch, then read the `result`.

    Parameters
    ----------
    layer
        Which.
    num_examples
        How many examples will come, for the number of positions that are taken from each.
    seed
        For the choice of positions.
    moments
        Whether to accumulate second moments.
    room
        Bytes that they may take.
    """

    def __init__(
        self,
        layer: LayerInfo,
        num_examples: int,
        seed: int,
        *,
        moments: bool = True,
        room: int = MOMENT_BYTES,
    ) -> None:
        self._layer, self._expected = layer, max(1, num_examples)
        self._generator = torch.Generator().manual_seed(seed)
        self._moments, self._room = moments, room
        self._examples = self._samples = 0
        self._moment: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of second moments that are kept."""
        return 0 if self._moment is None else self._moment.nbytes

    def add(self, read: LayerRead, count: int) -> Iterator[None]:
        """Take in what the layer reads for `count` examples, yielding between pieces.

        Raises
        ------
        NonFiniteError
            If some of it is NaN or infinite.
        """
        for values, window, places in self._pieces(read, count):
            if window is None:
                assert places is None
                samples = values[:, None]
            else:
                assert places is not None
                samples = samples_of(values, window, places)
            self._add(samples.to("cpu", torch.float64))
            yield
        self._examples += count

    def _pieces(
        self, read: LayerRead, count: int
    ) -> Iterator[tuple[Tensor, Window | None, Tensor | None]]:
        values, window = read.values, read.window
        if window is None:
            rows, columns = values.shape
            self._start(1, columns)
            # what does not depend on the example has fewer rows than there are examples
            each = max(1, rows // count)
            if rows == count * each and each > self._take(each):
                offsets = (torch.arange(count) * each)[:, None]
                values = values[(offsets + self._places(count, each)).flatten()]
            for part in values.split(self._step(columns, 1)):
                yield part, None, None
            return
        columns = values.shape[1] // window.groups
        for size in window.kernel:
            columns *= size
        self._start(window.groups, columns)
        each = output_positions(values, window)
        places = self._places(len(values), each)
        step = max(1, self._step(columns, window.groups) // places.shape[1])
        for part, where in zip(values.split(step), places.split(step), strict=True):
            yield part, window, where

    def _start(self, groups: int, columns: int) -> None:
        if hasattr(self, "_sum"):
            return
        self._columns = columns
        self._sum = torch.zeros(groups, columns, dtype=torch.float64)
        self._square = torch.zeros_like(self._sum)
        self._reason = self._refusal(groups, columns)
        if self._reason is None:
            self._moment = torch.zeros(groups, columns, columns, dtype=torch.float64)

    def _refusal(self, groups: int, columns: int) -> str | None:
        if not self._moments:
            return "Second moments were not asked for when the statistics were collected."
        needed = groups * columns**2 * 8
        if columns > MAX_COLUMNS:
            return (
                f"Second moments of {columns:,} inputs are too large to keep: "
                f"they are made for layers that read up to {MAX_COLUMNS:,} at a time."
            )
        if needed > self._room:
            return (
                f"Second moments of `{self._layer.name}` take {needed / 2**20:,.0f} MiB, and "
                f"{self._room / 2**20:,.0f} MiB are left for them: collect fewer layers at once."
            )
        return None

    def _step(self, columns: int, groups: int) -> int:
        """Return how many samples are laid out at once."""
        step = AT_ONCE // (columns * groups)
        if self._moment is not None:
            step = min(step, STEP_MACS // (groups * columns**2))
        return max(1, step)

    def _take(self, positions: int) -> int:
        """Return how many positions of an example enter."""
        wanted = max(SAMPLES, PER_COLUMN * self._columns)
        return min(positions, MAX_POSITIONS, -(-wanted // self._expected))

    def _places(self, count: int, positions: int) -> Tensor:
        """Return (count, taken): positions spread over each example, one at random in each part.

        Drawn example by example, so that the size of the batches changes nothing.
        """
        taken = self._take(positions)
        if taken == positions:
            return torch.arange(positions).expand(count, -1)
        draws = [
            torch.rand(taken, generator=self._generator, dtype=torch.float64) for _ in range(count)
        ]
        places = (torch.arange(taken) + torch.stack(draws)) * (positions / taken)
        return places.long().clamp_(max=positions - 1)

    def _add(self, samples: Tensor) -> None:
        """Add (samples, groups, columns)."""
        total = samples.sum(0)
        if not bool(torch.isfinite(total).all()):
            raise NonFiniteError(
                f"What `{self._layer.name}` reads is NaN or infinite.",
                where=self._layer.name,
                fix="Check the model's weights and that the inputs are scaled as in training.",
            )
        self._sum += total
        if self._moment is None:
            self._square += samples.square().sum(0)
        else:
            groups = samples.transpose(0, 1)
            if len(groups) == 1:
                self._moment[0].addmm_(groups[0].T, groups[0])
            else:
                self._moment += groups.mT @ groups
        self._samples += len(samples)

    def result(self) -> InputStatistics:
        """Return what has been found; at least one batch must have been added."""
        count = self._samples
        moment, square = None, self._square / count
        if self._moment is not None:
            moment = self._moment / count
            square = moment.diagonal(dim1=1, dim2=2).clone()
        return InputStatistics(
            layer=self._layer.name,
            mean=self._sum / count,
            square=square,
            moment=moment,
            reason=self._reason,
            num_samples=count,
            num_examples=self._examples,
        )
