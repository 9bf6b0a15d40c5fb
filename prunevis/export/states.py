"""Weights alone, as `load_state_dict` takes them, in a safetensors file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from prunevis.errors import ModelError
from prunevis.evaluation.oneshot import Pruned
from prunevis.export.files import written
from prunevis.graph.checks import check_model
from prunevis.pruning.exchange import made_permanent


def save_state(model: nn.Module | Pruned, path: str | Path, *, masks: bool = False) -> Path:
    """Write a network's state dict, zeros in place, as a safetensors file.

    It is read by ``load_state_dict(safetensors.torch.load_file(path))`` into a network of the same
    shape; where units left, that is the smaller one.

    Parameters
    ----------
    model
        The network, or what `prune` returned.
    path
        Where to write; a file there is replaced.
    masks
        Whether to write pruned parameters as `torch.nn.utils.prune` does, as ``weight_orig`` and
        ``weight_mask``, 0 where a weight is exactly zero.

    Raises
    ------
    ModelError
        If the network cannot be written.
    """
    return written(Path(path), state_of(model, masks=masks))


def state_of(model: nn.Module | Pruned, *, masks: bool = False) -> bytes:
    """Return the bytes of the file that `save_state` writes."""
    from safetensors.torch import save

    source = made_permanent(model.model if isinstance(model, Pruned) else model)
    check_model(source)
    parameters = {name for name, _ in source.named_parameters(remove_duplicate=False)}
    tensors: dict[str, Tensor] = {}
    for name, value in source.state_dict().items():
        if not isinstance(value, Tensor):
            raise ModelError(
                f"`{name}` of the state dict is no tensor.",
                got=type(value).__name__,
                fix="Save the network with prunevis.save, which keeps tensors alone.",
            )
        # tied tensors are written under each of their names, as load_state_dict wants them
        own = value.detach().cpu().clone().contiguous()
        kept = own != 0
        if masks and name in parameters and own.dim() > 1 and not bool(kept.all()):
            tensors[f"{name}_orig"], tensors[f"{name}_mask"] = own, kept.to(own.dtype)
        else:
            tensors[name] = own
    return save(tensors, metadata={"format": "pt"})
