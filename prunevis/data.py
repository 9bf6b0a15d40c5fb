"""Labelled examples in one form, whatever form a person has them in.

Everything below the session works on `Examples`: two tensors in memory. A `Dataset` or
`DataLoader` is read once, up to a stated budget of memory, and what was left out is said in
`Data.note`, never silently.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from prunevis.errors import DataError

#: Most bytes of inputs that are kept of a Dataset or DataLoader (2 GiB).
MEMORY_BUDGET = 2 * 1024**3


class Examples(NamedTuple):
    """Labelled examples: a pair of tensors.

    Attributes
    ----------
    inputs
        Shape (N, ...); what the model's forward takes, batch first.
    targets
        int64, shape (N,); class indices from 0.
    """

    inputs: Tensor
    targets: Tensor

    @property
    def count(self) -> int:
        """Number of examples, N."""
        return int(self.inputs.shape[0])

    def take(self, indices: Tensor | slice) -> Examples:
        """Return the examples at `indices`, in that order."""
        return Examples(self.inputs[indices], self.targets[indices])


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Data:
    """A task: examples to measure on and, optionally, examples to train on.

    Attributes
    ----------
    train
        Examples for statistics and fine-tuning, or None.
    test
        Examples that accuracy is measured on.
    class_names
        One name a class, or empty.
    name, license, source
        Where the data come from, for the page.
    mean, std
        Inputs were normalised as ``(x - mean) / std``; None if unknown (pictures are then
        scaled to their own range).
    note
        A sentence that says what was left out when the data were read, or "".
    """

    train: Any
    test: Any
    class_names: Sequence[str] = ()
    name: str = ""
    license: str = ""
    source: str = ""
    mean: float | None = None
    std: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(str(c) for c in self.class_names))

    def __repr__(self) -> str:
        def said(part: Any) -> str:
            if not isinstance(part, Examples):
                return _kind(part)
            return f"{part.count:,} of shape {tuple(part.inputs.shape[1:])}"

        words = [self.name] if self.name else []
        if self.train is not None:
            words.append(f"train: {said(self.train)}")
        words.append(f"test: {said(self.test)}")
        if self.class_names:
            words.append(f"{len(self.class_names)} classes")
        return f"Data({', '.join(words)})"


def as_data(data: Any, *, num_classes: int | None = None) -> Data:
    """Return `data` as a `Data` whose parts are checked `Examples`.

    Parameters
    ----------
    data
        A ``(inputs, targets)`` pair of tensors, a map-style `Dataset`, a `DataLoader`, or `Data`
        whose parts are any of these. A single set becomes `Data.test`.
    num_classes
        If known, targets must be in ``[0, num_classes)``.

    Raises
    ------
    DataError
        If the data are empty, of different lengths, not class labels, not finite or out of range.
    """
    if isinstance(data, Data):
        notes = [data.note] if data.note else []
        test, note = as_examples(data.test, where="data.test", num_classes=num_classes)
        notes += [note] if note else []
        train = None
        if data.train is not None:
            train, note = as_examples(data.train, where="data.train", num_classes=num_classes)
            notes += [note] if note else []
            if train.inputs.shape[1:] != test.inputs.shape[1:]:
                raise DataError(
                    "Training and test inputs differ in shape.",
                    expected=f"(N, {', '.join(map(str, test.inputs.shape[1:]))})",
                    got=tuple(train.inputs.shape),
                    where="data.train",
                )
        return replace(data, train=train, test=test, note=" ".join(notes))
    test, note = as_examples(data, where="data", num_classes=num_classes)
    return Data(train=None, test=test, note=note)


def as_examples(
    data: Any, *, where: str = "data", num_classes: int | None = None
) -> tuple[Examples, str]:
    """Return `data` as checked `Examples` and a note on what was left out ("" if nothing)."""
    note = ""
    if isinstance(data, Data):
        data = data.test
    if isinstance(data, Examples):
        examples = data
    elif isinstance(data, (tuple, list)) and len(data) == 2 and isinstance(data[0], Tensor):
        examples = Examples(data[0], _as_targets(data[1], where))
    elif isinstance(data, DataLoader):
        with _same_random_state():
            examples, note = _read_batches(data, where)
    elif isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        with _same_random_state():
            examples, note = _read_dataset(data, where)
    else:
        raise DataError(
            "These data are of a kind that cannot be read.",
            expected="a pair of tensors (inputs, targets), a Dataset, a DataLoader or Data",
            got=_kind(data),
            where=where,
            fix="Arrays become tensors by torch.from_numpy. Accuracy is measured of networks with "
            "one input; those with several can be traced, ranked and removed from."
            if isinstance(data, (tuple, list))
            else None,
        )
    return _checked(examples, where, num_classes), note


def _kind(item: Any) -> str:
    """Return what something is, in words: its kind, and its parts' kinds and shapes."""
    name = type(item).__name__
    if isinstance(item, (tuple, list)) and 0 < len(item) <= 8:
        return f"{name} of {', '.join(_kind(part) for part in item)}"
    shape = getattr(item, "shape", None)
    return name if shape is None else f"{name} {tuple(shape)}"


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Leave random states as they were: a loader draws a seed, and augmentations draw more."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 the person's own
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _read_batches(loader: Iterable[Any], where: str) -> tuple[Examples, str]:
    inputs: list[Tensor] = []
    targets: list[Tensor] = []
    size, full = 0, False
    for batch in loader:
        x, y = _pair(batch, where)
        if size + x.nbytes > MEMORY_BUDGET and inputs:
            full = True
            break
        inputs.append(x.detach())
        targets.append(torch.atleast_1d(_as_targets(y, where)))
        size += x.nbytes
    if not inputs:
        raise DataError(
            "The loader gives no batch.",
            where=where,
            fix="Give a loader with at least one example.",
        )
    examples = Examples(_joined(torch.cat, inputs, where), torch.cat(targets))
    return examples, _left_out_note(examples.count, None) if full else ""


def _read_dataset(dataset: Any, where: str) -> tuple[Examples, str]:
    total = len(dataset)
    if total == 0:
        raise DataError("The dataset is empty.", where=where, fix="Give at least one example.")
    first, _ = _pair(dataset[0], where)
    keep = min(total, max(1, MEMORY_BUDGET // max(1, first.nbytes)))
    order = range(total)
    if keep < total:  # a fixed random subset, since files are often sorted by class
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(total, generator=generator)[:keep].sort().values.tolist()
    pairs = [_pair(dataset[i], where) for i in order]
    inputs = _joined(torch.stack, [x for x, _ in pairs], where)
    targets = _as_targets([y for _, y in pairs], where)
    return Examples(inputs, targets), _left_out_note(keep, total) if keep < total else ""


def _joined(join: Callable[[list[Tensor]], Tensor], parts: list[Tensor], where: str) -> Tensor:
    try:
        return join(parts)
    except RuntimeError as error:
        raise DataError(
            "The examples differ in shape.",
            expected=f"every one {tuple(parts[0].shape)}, as the first",
            where=where,
            fix="Resize them to one shape, or give a DataLoader that pads.",
        ) from error


def _as_targets(values: Any, where: str) -> Tensor:
    """Return targets as a tensor, still of any shape and type; a list is stacked."""
    try:
        if isinstance(values, list):
            return torch.stack([torch.as_tensor(y).detach() for y in values])
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        first = values[0] if isinstance(values, (list, tuple)) and values else values
        raise DataError(
            "The targets are not class indices.",
            expected="whole numbers from 0",
            got=type(first).__name__,
            where=where,
            fix="Give each class a number.",
        ) from error


def _pair(item: Any, where: str) -> tuple[Tensor, Any]:
    if not (isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], Tensor)):
        got = type(item).__name__
        if isinstance(item, (tuple, list)):
            got += " of " + ", ".join(type(part).__name__ for part in item)
        raise DataError(
            "An item of the data is not an (input, target) pair with a tensor as input.",
            expected="(tensor, class index)",
            got=got,
            where=where,
            fix="Add a transform that makes tensors, e.g. torchvision.transforms.ToTensor().",
        )
    return item[0], item[1]


def _left_out_note(kept: int, total: int | None) -> str:
    of = f" of {total:,}" if total is not None else ""
    return (
        f"Using {kept:,}{of} examples: more would not fit into "
        f"{MEMORY_BUDGET / 1024**3:.0f} GiB of memory."
    )


def _checked(examples: Examples, where: str, num_classes: int | None) -> Examples:
    inputs, targets = examples
    if inputs.ndim == 0 or inputs.shape[0] == 0:
        raise DataError("There are no examples.", where=where, fix="Give at least one example.")
    if targets.ndim == 2 and targets.shape[1] > 1 and targets.shape[0] == inputs.shape[0]:
        raise DataError(
            "The targets are not class indices.",
            expected=f"({inputs.shape[0]},)",
            got=tuple(targets.shape),
            where=where,
            fix="If they are one-hot rows, pass targets.argmax(1).",
        )
    targets = targets.reshape(-1)
    if targets.shape[0] != inputs.shape[0]:
        raise DataError(
            "There are not as many targets as inputs.",
            expected=f"{inputs.shape[0]} targets",
            got=int(targets.shape[0]),
            where=where,
        )
    if targets.is_floating_point() and not bool((targets == targets.round()).all()):
        raise DataError(
            "The targets are not class indices.",
            expected="whole numbers from 0",
            got=targets.dtype,
            where=where,
            fix="Accuracy needs classes; regression targets are not supported yet.",
        )
    targets = targets.to(torch.int64)
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        top = f"0 to {num_classes - 1}" if num_classes is not None else "0 and up"
        raise DataError(
            "Some targets are outside the model's classes.",
            expected=f"class indices from {top}",
            got=f"{low} to {high}",
            where=where,
            fix="Check that labels start at 0 and that the model has one output a class.",
        )
    bad = _not_finite(inputs)
    if bad:
        raise DataError(
            "Some inputs are NaN or infinite.",
            got=f"{bad:,} of {inputs.shape[0]:,} examples",
            where=where,
            fix="Clean the data first; a single NaN makes every average NaN.",
        )
    return Examples(inputs, targets)


def _not_finite(inputs: Tensor) -> int:
    """Return how many examples hold a NaN or an infinity.

    Some hundred at a time: to look at all at once takes more memory than they do.
    """
    if not inputs.is_floating_point():
        return 0
    rows = inputs.flatten(1) if inputs.ndim > 1 else inputs[:, None]
    return sum(int((~torch.isfinite(part)).any(1).sum()) for part in rows.split(256))
