"""How many bytes a pruned network takes as a file: by arithmetic, and really compressed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph.cost import cost
from prunevis.pruning.masking import masked_tensors
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove
from prunevis.steps import finished

#: Names that the .safetensors format gives to element types.
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

#: Bytes that are compressed between two yields: about 25 ms.
CHUNK = 500_000


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of a network's parameters and buffers in several forms.

    Attributes
    ----------
    dense
        All elements in full.
    bitmask, csr
        Pruned tensors stored sparsely where that is smaller; see `prunevis.graph.cost`.
    compressed
        The .safetensors file, header included, through zlib: measured.
    """

    dense: int
    bitmask: int
    csr: int
    compressed: int

    @property
    def best_name(self) -> str:
        """The smallest form: "dense", "bitmask", "csr" or "compressed"; the simplest if tied."""
        return min(("dense", "bitmask", "csr", "compressed"), key=lambda n: getattr(self, n))

    @property
    def best(self) -> int:
        """Bytes of the smallest form."""
        return getattr(self, self.best_name)


def compressed_bytes(tensors: Mapping[str, Tensor], level: int = 6) -> int:
    """Return the size of a .safetensors file of `tensors` after zlib.

    Parameters
    ----------
    tensors
        By name.
    level
        0 (none) to 9 (smallest, slowest), as for `zlib.compress`. About 25 MB a second at 6.

    Raises
    ------
    SpecError
        If the level is not between 0 and 9.
    """
    return finished(_compressing(tensors, level))


def _compressing(tensors: Mapping[str, Tensor], level: int) -> Generator[None, None, int]:
    if not isinstance(level, int) or not 0 <= level <= 9:
        raise SpecError("A compression level is a whole number from 0 to 9.", got=repr(level))
    compressor = zlib.compressobj(level)
    size = 0
    for part in _file_parts(tensors):
        for start in range(0, len(part), CHUNK):
            size += len(compressor.compress(memoryview(part)[start : start + CHUNK]))
            yield
    return size + len(compressor.flush())


def _file_parts(tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
    """Yield the bytes of a .safetensors file: length of the header, header, tensors."""
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": DTYPES.get(tensor.dtype, str(tensor.dtype)),
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        # through uint8, since numpy knows no bfloat16
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def stored_bytes(model: nn.Module, plan: PruningPlan, *, level: int = 6) -> Storage:
    """Return the bytes that `model` takes as a file once pruned by `plan`.

    Parameters
    ----------
    model
        The network that the plan was made for; not changed. Tied parameters count once.
    plan
        From `Ranking.plan`.
    level
        As for `compressed_bytes`.

    Raises
    ------
    ModelError
        If the plan was made for another network.
    SpecError
        If the level is not between 0 and 9.
    """
    return finished(storage_steps(model, plan, level=level))


def storage_steps(
    model: nn.Module, plan: PruningPlan, *, level: int = 6
) -> Generator[None, None, Storage]:
    """As `stored_bytes`, about 25 ms between two yields; returns the `Storage`."""
    changed: dict[str, Tensor] = {}
    if plan.granularity == "unit":
        model = remove(model, plan)
    else:
        changed = masked_tensors(model, plan)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers()), **changed}
    known = cost(plan.graph, plan)
    return Storage(
        dense=known.dense_bytes,
        bitmask=known.bitmask_bytes,
        csr=known.csr_bytes,
        compressed=(yield from _compressing(tensors, level)),
    )
