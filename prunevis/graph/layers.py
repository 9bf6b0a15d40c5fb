"""What a traced network is made of: layers, channel groups, and the tensors they live in.

All of it is data: no module is referenced, so a graph can outlive, or be shared between, copies of
the model. Layers and tensors are addressed by their dotted name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from prunevis.graph.examples import Example
from prunevis.graph.placement import Point

#: What a tensor's axis is to the units on it. `producer`: rows that compute the unit (weight,
#: bias); `norm`: per-unit scale and shift of a normalisation; `statistic`: its running mean and
#: variance; `consumer`: columns that read the unit; `other`: any other parameter or buffer with an
#: element for each unit.
Role = Literal["producer", "norm", "statistic", "consumer", "other"]


@dataclass(frozen=True, eq=False, slots=True)
class TensorInfo:
    """A parameter or buffer of the model.

    Attributes
    ----------
    name, shape
        Dotted name and shape. Tied parameters appear once, under their first name.
    is_parameter
        False for a buffer.
    itemsize
        Bytes an element.
    """

    name: str
    shape: tuple[int, ...]
    is_parameter: bool
    itemsize: int

    @property
    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, eq=False, slots=True)
class LayerInfo:
    """A layer that multiplies: a convolution or a linear layer.

    Attributes
    ----------
    name
        Dotted name of the module.
    kind
        Class name of the module, e.g. "Conv2d".
    weight, bias
        Dotted names of its tensors; `bias` may be None.
    weight_shape
        ``(out, in / groups, *kernel)``.
    num_units
        Output channels or neurons.
    positions
        Output positions an example (1 for a linear layer on vectors), summed over calls, so that
        ``macs == positions * weight.numel()``.
    macs
        Multiply-adds an example; biases are not counted.
    num_params
        Elements of weight and bias.
    group
        Name of the `ChannelGroup` that its output units belong to, or None.
    norms
        Dotted names of the normalisations that its output passes through directly.
    consumers
        Names of the layers that read its units.
    activation
        What its units pass through before they are read, in words ("relu"), or None.
    is_output
        Whether its units are the model's outputs.
    reason
        Why its units cannot be pruned, one sentence; None if they can. The output layer has a
        reason too ("... gives the model's outputs ...") but may be asked for by name.
    weight_reason
        Why its weights cannot be pruned; None if they can.
    """

    name: str
    kind: str
    weight: str
    bias: str | None
    weight_shape: tuple[int, ...]
    num_units: int
    positions: int
    macs: int
    num_params: int
    group: str | None
    norms: tuple[str, ...]
    consumers: tuple[str, ...]
    activation: str | None
    is_output: bool
    reason: str | None
    weight_reason: str | None

    @property
    def num_weights(self) -> int:
        """Elements of the weight alone."""
        count = 1
        for size in self.weight_shape:
            count *= size
        return count


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """One axis of one tensor that the units of a group lie on.

    Attributes
    ----------
    tensor, axis
        Dotted name of the tensor, and the axis.
    units
        int64, shape (length of the axis,): the unit at each position, -1 where the position belongs
        to no unit of this group (another branch of a concatenation).
    role
        What the axis is to the units.
    module
        Dotted name of the module that owns the tensor.
    """

    tensor: str
    axis: int
    units: Tensor = field(repr=False)
    role: Role
    module: str


@dataclass(frozen=True, eq=False, slots=True)
class ChannelGroup:
    """Units that must leave together, in every tensor they lie in.

    Attributes
    ----------
    name
        That of its first producing layer.
    size
        Number of units.
    producers, consumers
        Names of the layers that compute and that read the units, in the order of execution.
    members
        Every axis of every tensor that shrinks when a unit leaves.
    ties
        One sentence for each operator that ties several layers together, e.g. "The addition in
        `block1` adds `stem` and `block1.conv2` channel by channel."
    reason
        Why no unit may leave, one sentence that names the operator; None if they may.
    is_output
        Whether the units are the model's outputs.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    members: tuple[Member, ...] = field(repr=False)
    ties: tuple[str, ...]
    reason: str | None
    is_output: bool


@dataclass(frozen=True, eq=False, slots=True)
class FittedSize:
    """A number on a module that its forward reads, and that must follow what leaves.

    Found by trying: with one unit of every group taken out, the forward runs and gives every
    intermediate result its right shape only if these numbers change.

    Attributes
    ----------
    module, attribute
        Dotted name of the module, and of the attribute, e.g. "num_heads".
    units
        By group name: int64, the units that the number counts, one for each position.
    rest
        Positions that it counts and that always stay.
    """

    module: str
    attribute: str
    units: Mapping[str, Tensor] = field(repr=False)
    rest: int

    def value(self, kept: Mapping[str, Tensor]) -> int:
        """Return the number where the units in `kept` (by group name) stay; others stay whole."""
        count = self.rest
        for name, units in self.units.items():
            found = torch.isin(units, kept[name].cpu()).sum() if name in kept else len(units)
            count += int(found)
        return count


@dataclass(frozen=True, eq=False, slots=True)
class ModelGraph:
    """A network as one traced run shows it.

    Attributes
    ----------
    layers
        By dotted name, in the order of execution.
    groups
        By name, in the order of their first producer.
    tensors
        Every parameter and buffer of the model, by dotted name.
    other_macs
        Multiply-adds an example outside of layers (matrix products of activations).
    input_shape
        Shape of the example input without the batch axis.
    num_outputs
        Size of the last axis of the model's output, or None if it has several outputs.
    untraced
        Names of layers that the traced run never reached.
    operators
        The ATen operators of the trace in order, as words (e.g. "aten.relu.default").
    points
        Where the units of a layer can be observed, by its name: index into `operators`, unit axis,
        and where the examples lie. See `prunevis.graph.observe`.
    input_dtype
        Of the example input.
    batch_axis
        Axis of the input that counts the examples.
    calls
        Layer name -> index into `operators` of its first call.
    repeated
        Names of layers that are called more than once.
    sizes
        Numbers on modules that must follow what leaves.
    example
        The example that was traced; `input_shape` and `input_dtype` are those of its first tensor.
    attention
        What leaves attention layers: "heads" or "dimensions".
    """

    layers: Mapping[str, LayerInfo]
    groups: Mapping[str, ChannelGroup]
    tensors: Mapping[str, TensorInfo]
    other_macs: int
    input_shape: tuple[int, ...]
    num_outputs: int | None
    untraced: tuple[str, ...]
    operators: tuple[str, ...]
    points: Mapping[str, Point]
    input_dtype: torch.dtype = torch.float32
    batch_axis: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    sizes: tuple[FittedSize, ...] = ()
    example: Example | None = field(default=None, repr=False)
    attention: str = "heads"

    @property
    def macs(self) -> int:
        """Multiply-adds an example, all layers."""
        return sum(layer.macs for layer in self.layers.values()) + self.other_macs

    @property
    def num_params(self) -> int:
        """Number of parameters (elements), each tied parameter counted once."""
        return sum(t.numel for t in self.tensors.values() if t.is_parameter)

    def __repr__(self) -> str:
        free = sum(group.reason is None for group in self.groups.values())
        return (
            f"ModelGraph({len(self.layers)} layers, {len(self.groups)} channel groups "
            f"({free} prunable), {self.num_params:,} parameters, {self.macs:,} MACs)"
        )
