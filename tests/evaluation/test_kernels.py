"""The faster operators give what torch gives, for every argument."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from prunevis.evaluation.kernels import alternatives, linear, max_pool2d

SPECIAL = (float("nan"), -torch.inf, torch.inf, 0.0, -0.0)


def filled(shape, seed, special):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if special and x.numel():
        for place, value in enumerate(SPECIAL):
            x.view(-1)[(seed + 7 * place) % x.numel()] = value
    return x


def laid(x, how):
    if how == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    return x.transpose(2, 3).contiguous().transpose(2, 3) if how == "transposed" else x


pair = st.integers(1, 4) | st.tuples(st.integers(1, 4), st.integers(1, 4)).map(list)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    pair,
    st.just([]) | pair,
    st.integers(0, 1),
    st.integers(1, 2),
    st.booleans(),
    st.sampled_from(["plain", "channels_last", "transposed"]),
    st.integers(0, 99),
    st.booleans(),
)
def test_max_pool2d(shape, kernel, stride, padding, dilation, ceil_mode, how, seed, special):
    x = laid(filled(shape, seed, special), how)
    args = (kernel, stride, padding, dilation, ceil_mode)
    before = x.clone()
    try:
        wanted = F.max_pool2d(x, kernel, stride or None, padding, dilation, ceil_mode)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            max_pool2d(x, *args)
        return
    found = max_pool2d(x, *args)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(x, before, rtol=0, atol=0, equal_nan=True)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["none", "full", "one"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_linear(count, inputs, outputs, bias, turned, strided, seed, kind):
    x = filled((count, 2 * inputs), seed, False).to(kind)
    x = x[:, ::2] if strided else x[:, :inputs]
    weight = filled((inputs, outputs), seed + 1, False).to(kind).t()
    weight = weight if turned else weight.contiguous()
    length = {"none": None, "full": outputs, "one": 1}[bias]
    b = None if length is None else filled((length,), seed + 2, False).to(kind)
    try:
        wanted = F.linear(x, weight, b)
    except RuntimeError:
        return
    torch.testing.assert_close(linear(x, weight, b), wanted)


def test_linear_of_more_dimensions_and_wrong_ones():
    x, weight = torch.randn(2, 3, 4), torch.randn(5, 4)
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight))
    with pytest.raises(RuntimeError):
        linear(torch.randn(2, 3), weight)


def test_linear_of_what_is_not_finite():
    x = torch.tensor([[torch.nan, 0.0], [torch.inf, 1.0], [1.0, 2.0]])
    weight = torch.tensor([[1.0, 2.0], [1.0, -1.0]])
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight), equal_nan=True)


def test_they_stand_in_for_operators():
    aten = torch.ops.aten
    assert alternatives()[aten.max_pool2d.default] is max_pool2d
    assert alternatives()[aten.linear.default] is linear
    # a kernel of oneDNN for every width that pruning leaves would stay in memory
    assert aten.linear.default not in alternatives(one_shape=False)
