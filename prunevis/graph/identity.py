"""Which network something was made from: a short mark of its weights, cheap to take."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

#: Values of each parameter that are looked at, evenly spaced: training changes them all.
VALUES = 64


def fingerprint(model: nn.Module) -> str:
    """Return a mark that two networks share only if their parameters are the same.

    Names and shapes of all parameters, and some values of each: two networks of one architecture
    differ as soon as they are trained or drawn differently. The device does not matter. "" where
    there are no values (on the meta device).
    """
    mark = hashlib.blake2b(digest_size=16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.is_meta:
                return ""
            flat = parameter.detach().reshape(-1)
            some = flat[:: max(1, len(flat) // VALUES)].to("cpu")
            if not some.is_complex():
                some = some.double()
            mark.update(f"{name} {tuple(parameter.shape)}".encode())
            mark.update(some.contiguous().numpy().tobytes())
    return mark.hexdigest()
