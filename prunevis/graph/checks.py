"""Refuse, before anything happens, networks that cannot be pruned as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune

from prunevis.errors import ModelError, NonFiniteError, SpecError
from prunevis.graph.layers import ModelGraph

#: Old-style hooks that recompute a weight in every forward: class name -> how to end it.
_WEIGHT_HOOKS = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm",
}


def check_model(model: object) -> nn.Module:
    """Return `model` if it is a plain network with finite weights.

    Raises
    ------
    ModelError
        If it is no module, compiled, scripted, quantised or lazy, or if masks of
        `torch.nn.utils.prune`, parametrizations or weight hooks are attached.
    NonFiniteError
        If a parameter or a running statistic is NaN or infinite; the message names it.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(
            "The model is not a torch.nn.Module.", expected="a network", got=type(model).__name__
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "The model is a TorchScript module, whose forward cannot be followed.",
            fix="Pass the Python module that it was made from.",
        )
    if type(model).__name__ == "OptimizedModule":
        raise ModelError(
            "The model is compiled, and its forward cannot be followed.",
            fix="Pass the module that was given to torch.compile.",
        )
    for name, module in model.named_modules():
        _check_module(name, module)
    check_finite(model)
    return model


def _check_module(name: str, module: nn.Module) -> None:
    """Raise `ModelError` if one submodule computes its weights from others, or has none yet."""
    where = f"`{name}`" if name else "the model itself"
    if parametrize.is_parametrized(module):
        raise ModelError(
            f"A parametrization is attached to {where}.",
            got=", ".join(module.parametrizations),  # type: ignore[arg-type]
            fix="Make it permanent with torch.nn.utils.parametrize.remove_parametrizations(...).",
        )
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod):
            raise ModelError(
                f"torch.nn.utils.prune masks are attached to {where}.",
                fix="Pass prunevis.made_permanent(model), a copy with the zeros written in.",
            )
        cure = _WEIGHT_HOOKS.get(type(hook).__name__)
        if cure is not None:
            raise ModelError(
                f"The weight of {where} is recomputed in every forward ({type(hook).__name__}).",
                fix=f"Make it permanent with {cure}(...).",
            )
    package = type(module).__module__
    if package.startswith(("torch.ao.nn.", "torch.nn.quantized")) and "quantized" in package:
        raise ModelError(
            f"{where[0].upper() + where[1:]} is quantised ({type(module).__name__}).",
            fix="Prune the float network, then quantise it.",
        )
    own = [*module._parameters.items(), *module._buffers.items()]
    for key, tensor in own:
        if tensor is not None and is_lazy(tensor):
            raise ModelError(
                f"The parameter `{key}` of {where} has no shape yet.",
                fix="Run one batch through the model first.",
            )
        if tensor is not None and tensor.is_quantized:
            raise ModelError(
                f"The tensor `{key}` of {where} is quantised.",
                fix="Prune the float network, then quantise it.",
            )


def check_weights(model: nn.Module) -> None:
    """Raise `ModelError` if a parameter or buffer lies on the meta device, without numbers."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise on_meta(name)


def on_meta(where: str) -> ModelError:
    """Return what to say of a network without numbers."""
    return ModelError(
        "The model is on the meta device: its weights have shapes and no numbers.",
        where=where,
        fix="Load it on a real device: model.to_empty(device='cpu'), then load_state_dict(...).",
    )


def check_graph(graph: object) -> ModelGraph:
    """Return `graph` if it is one; else raise `SpecError`."""
    if not isinstance(graph, ModelGraph):
        raise SpecError(
            "This is no traced network.",
            expected="a ModelGraph",
            got=type(graph).__name__,
            fix="Pass prunevis.trace(model, example_input).",
        )
    return graph


def check_finite(model: nn.Module) -> None:
    """Raise `NonFiniteError` if a parameter or a running statistic is NaN or infinite.

    Other buffers may hold infinities on purpose (attention masks do), but not NaN.
    """
    statistics = ("running_mean", "running_var")
    for name, tensor in model.named_parameters():
        _check_tensor(name, tensor, infinite=True)
    for name, tensor in model.named_buffers():
        _check_tensor(name, tensor, infinite=name.rpartition(".")[2] in statistics)


def _check_tensor(name: str, tensor: Tensor, *, infinite: bool) -> None:
    if tensor.is_meta or not (tensor.is_floating_point() or tensor.is_complex()):
        return
    values = tensor.detach()
    # a finite sum proves that all are finite, in one pass and without a copy
    if torch.isfinite(values.sum()):
        return
    wrong = ~torch.isfinite(values) if infinite else torch.isnan(values)
    count = int(wrong.sum())
    if count:
        raise NonFiniteError(
            f"`{name}` holds {count:,} NaN or infinite {'value' if count == 1 else 'values'}.",
            where=name,
            fix="Load a checkpoint that is intact, or train with a lower learning rate.",
        )
