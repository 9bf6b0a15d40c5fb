"""Figures of reports are read by their artists, and the small sums of reports by hand."""

import torch

from prunevis.reproduce.keras_guide import eight_bits
from prunevis.reproduce.pictures import lines


def test_each_curve_is_a_line_with_its_numbers():
    curves = {"one": ([0, 1, 2], [3.0, 4.0, 5.0]), "random": ([0, 2], [1.0, 0.0])}
    ax = lines(curves, title="Two", across="steps", up="share")
    found = {line.get_gid(): line for line in ax.get_lines()}
    assert list(found) == ["one", "random"]
    assert found["one"].get_xydata().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["random"].get_linestyle() == "--"
    assert found["one"].get_linestyle() == "-"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "random"]


def test_eight_bits_by_hand():
    weight = torch.tensor([[127.0, -63.6], [0.0, 1.4]])
    bias = torch.tensor([0.3])
    stored, used = eight_bits({"weight": weight, "bias": bias})
    # the largest weight is 127: the scale is 1, and rounding is to whole numbers
    assert stored["weight"].tolist() == [[127, -64], [0, 1]]
    assert stored["weight"].dtype == torch.int8
    assert stored["weight.scale"].tolist() == [1.0]
    assert used["weight"].tolist() == [[127.0, -64.0], [0.0, 1.0]]
    assert stored["bias"] is bias


def test_eight_bits_of_zeros_stay_zero():
    _, used = eight_bits({"weight": torch.zeros(2, 2)})
    assert used["weight"].tolist() == [[0.0, 0.0], [0.0, 0.0]]
