"""Families of ATen operators by name, without namespace, overload or in-place underscore."""

from __future__ import annotations


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


#: Activation functions and what they are called. Everything else pointwise is arithmetic.
ACTIVATIONS = {
    name: name
    for name in _names(
        "relu leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus",
        "threshold",
    )
} | {
    "hardtanh": "relu6",
    "clamp_min": "relu",
    "_prelu_kernel": "prelu",
    "log_sigmoid_forward": "logsigmoid",
    "rrelu_with_noise": "rrelu",
}

#: Results with the numbers of their argument.
SAME = _names("clone detach alias lift_fresh lift_fresh_copy _to_copy dropout")

#: Pointwise operators that carry no such tag of their own.
POINTWISE = frozenset(ACTIVATIONS) | SAME | _names("copy masked_fill where")

#: Tensors of one constant, or not yet written.
UNIFORM = _names(
    "zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full",
    "empty empty_like empty_strided new_empty scalar_tensor",
)

#: Noise of dropout and stochastic depth, drawn in training in whatever size is left.
RANDOM = _names("bernoulli rand rand_like randn randn_like uniform normal")

REDUCTIONS = _names(
    "mean sum amax amin max min var std var_mean std_mean all any prod logsumexp median",
    "argmax argmin linalg_vector_norm norm",
)

#: Operators that keep a shape and work along one axis.
ALONG = _names("_softmax _log_softmax softmax log_softmax cumsum cumprod logcumsumexp sort argsort")

#: BatchNorm on every device.
NORMS = _names(
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training",
    "cudnn_batch_norm miopen_batch_norm _batch_norm_with_update _batch_norm_no_update",
)

#: Views and copies: they move numbers without changing them, and a run may need more or fewer.
MOVES = SAME | _names(
    "view _unsafe_view reshape _reshape_copy permute transpose t squeeze unsqueeze expand",
    "contiguous as_strided copy_ empty empty_strided empty_like new_empty",
)
