"""What there is to draw of a network: by hand for small ones, properties for all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import IMAGE, LeNet5, Net, Residual, conv
from torch import nn

from prunevis.graph.drawing import MOST_NODES, Drawing, draw, fold
from prunevis.graph.trace import trace
from prunevis.zoo import load_model


class Blocks(nn.Module):
    """A stem and stages of residual blocks of two convolutions, 4 channels each."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = conv(3, 4)
        self.stages = nn.ModuleList(
            nn.ModuleList(self._block() for _ in range(depth)) for depth in depths
        )
        self.fc = nn.Linear(4, 2)

    @staticmethod
    def _block() -> nn.Module:
        return Net(
            lambda net, x: torch.relu(x + net.b(torch.relu(net.a(x)))), a=conv(4, 4), b=conv(4, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.fc(x.mean((2, 3)))


def inception() -> nn.Module:
    def forward(net, x):
        x = net.stem(x)
        x = net.mix(x)
        return net.fc(x.mean((2, 3)))

    mix = Net(
        lambda net, x: torch.cat([net.one(x), net.two_b(net.two_a(x))], 1),
        one=conv(4, 2, 1), two_a=conv(4, 3), two_b=conv(3, 5),
    )  # fmt: skip
    return Net(forward, stem=conv(3, 4), mix=mix, fc=nn.Linear(7, 2))


def dense() -> nn.Module:
    def forward(net, x):
        x = net.stem(x)
        for layer in net.layers:
            x = torch.cat([x, layer(x)], 1)
        return net.fc(x.mean((2, 3)))

    layers = nn.ModuleList([conv(4, 3), conv(7, 3), conv(10, 3)])
    return Net(forward, stem=conv(3, 4), layers=layers, fc=nn.Linear(13, 2))


def gate() -> nn.Module:
    """A squeeze-and-excitation block."""

    def forward(net, x):
        x = torch.relu(net.stem(x))
        scale = torch.sigmoid(net.up(torch.relu(net.down(x.mean((2, 3), keepdim=True)))))
        return net.fc((x * scale).mean((2, 3)))

    return Net(forward, stem=conv(3, 4), down=conv(4, 2, 1), up=conv(2, 4, 1), fc=nn.Linear(4, 2))


def crossing() -> nn.Module:
    """Blocks that are not one piece: `a.two` runs after `b`."""

    def forward(net, x):
        x = net.a.two(net.b.two(net.b.one(net.a.one(x))))
        return net.fc(x.mean((2, 3)))

    a = nn.ModuleDict({"one": conv(3, 4), "two": conv(6, 4)})
    b = nn.ModuleDict({"one": conv(4, 5), "two": conv(5, 6)})
    return Net(forward, a=a, b=b, fc=nn.Linear(4, 2))


def again() -> nn.Module:
    """One convolution that runs three times."""

    def forward(net, x):
        x = net.stem(x)
        for _ in range(3):
            x = torch.relu(net.turn(x))
        return net.fc(x.mean((2, 3)))

    return Net(forward, stem=conv(3, 4), turn=conv(4, 4), fc=nn.Linear(4, 2))


def two_outputs() -> nn.Module:
    def forward(net, x):
        x = net.stem(x).mean((2, 3))
        return net.left(x), net.right(x)

    return Net(forward, stem=conv(3, 4), left=nn.Linear(4, 2), right=nn.Linear(4, 3))


NETWORKS = {
    "residual": Residual,
    "blocks": lambda: Blocks((2, 1)),
    "inception": inception,
    "dense": dense,
    "gate": gate,
    "crossing": crossing,
    "again": again,
    "two outputs": two_outputs,
}
DRAWN: dict[str, Drawing] = {}


def drawn(name: str) -> Drawing:
    if name not in DRAWN:
        DRAWN[name] = draw(trace(NETWORKS[name](), torch.zeros(IMAGE)))
    return DRAWN[name]


def lines(drawing: Drawing) -> list[str]:
    """The whole drawing, one line a node: what it is, and what it reads by its place."""
    found = []
    for index, node in enumerate(drawing.nodes):
        reads = [str(a) for a, b in drawing.edges if b == index]
        found.append(f"{node.name or node.kind} < {' '.join(reads)}".rstrip(" <"))
    return found


def seen(drawing: Drawing, *shut: str) -> list[str]:
    """What is seen while `shut` is folded: a block by its name and number of nodes."""
    view = fold(drawing, shut)
    found = []
    for index, members in enumerate(view.parts):
        node = drawing.nodes[members[0]]
        block = None if node.block is None else drawing.blocks[node.block]
        while block is not None and block.name not in shut:
            block = None if block.parent is None else drawing.blocks[block.parent]
        name = f"[{block.name} {len(members)}]" if block is not None else node.name or node.kind
        reads = [str(a) for a, b in view.edges if b == index]
        found.append(f"{name} < {' '.join(reads)}".rstrip(" <"))
    return found


def test_lenet5_is_a_chain():
    drawing = draw(trace(LeNet5(), torch.zeros(1, 1, 28, 28)))
    assert lines(drawing) == ["input", "0 < 0", "2 < 1", "5 < 2", "7 < 3", "output < 4"]
    assert drawing.blocks == ()
    assert drawing.shut == ()
    assert drawing.again == ()


def test_resnet8():
    drawing = draw(trace(load_model("resnet8"), torch.zeros(1, 1, 28, 28)))
    assert lines(drawing) == [
        "input",
        "conv1 < 0",
        "block1.conv1 < 1",
        "block1.conv2 < 2",
        "addition < 1 3",
        "block2.conv1 < 4",
        "block2.conv2 < 5",
        "block2.shortcut.0 < 4",
        "addition < 6 7",
        "block3.conv1 < 8",
        "block3.conv2 < 9",
        "block3.shortcut.0 < 8",
        "addition < 10 11",
        "fc < 12",
        "output < 13",
    ]
    assert [block.name for block in drawing.blocks] == ["block1", "block2", "block3"]
    assert [node.place for node in drawing.nodes if node.kind == "addition"] == [
        "block1", "block2", "block3",
    ]  # fmt: skip
    assert drawing.shut == ()  # small enough to be seen whole
    assert seen(drawing, "block1", "block3") == [
        "input", "conv1 < 0", "[block1 3] < 1", "block2.conv1 < 2", "block2.conv2 < 3",
        "block2.shortcut.0 < 2", "addition < 4 5", "[block3 4] < 6", "fc < 7", "output < 8",
    ]  # fmt: skip


def test_a_projection_in_the_models_own_forward():
    drawing = drawn("residual")
    assert lines(drawing) == [
        "input", "stem < 0", "conv1 < 1", "conv2 < 2", "project < 1", "addition < 3 4", "fc < 5",
        "output < 6",
    ]  # fmt: skip
    assert drawing.nodes[5].place == ""


def test_branches_are_concatenated_in_their_block():
    drawing = drawn("inception")
    assert lines(drawing) == [
        "input", "stem < 0", "mix.one < 1", "mix.two_a < 1", "mix.two_b < 3",
        "concatenation < 2 4", "fc < 5", "output < 6",
    ]  # fmt: skip
    assert drawing.nodes[5].block == 0
    assert seen(drawing, "mix") == ["input", "stem < 0", "[mix 4] < 1", "fc < 2", "output < 3"]


def test_concatenations_of_a_dense_block_build_on_each_other():
    assert lines(drawn("dense")) == [
        "input",
        "stem < 0",
        "layers.0 < 1",
        "concatenation < 1 2",
        "layers.1 < 3",
        "concatenation < 3 4",
        "layers.2 < 5",
        "concatenation < 5 6",
        "fc < 7",
        "output < 8",
    ]


def test_a_gate_multiplies():
    assert lines(drawn("gate")) == [
        "input", "stem < 0", "down < 1", "up < 2", "multiplication < 1 3", "fc < 4", "output < 5",
    ]  # fmt: skip


def test_a_block_in_two_pieces_leads_back():
    drawing = drawn("crossing")
    assert seen(drawing) == [
        "input", "a.one < 0", "b.one < 1", "b.two < 2", "a.two < 3", "fc < 4", "output < 5",
    ]  # fmt: skip
    assert seen(drawing, "a", "b") == [
        "input", "[a 2] < 0", "[b 2] < 1", "fc < 1", "output < 3",
    ]  # fmt: skip
    assert fold(drawing, ["a", "b"]).again == ((2, 1),)


def test_a_layer_that_reads_itself():
    drawing = drawn("again")
    turn = [node.name for node in drawing.nodes].index("turn")
    assert drawing.again == ((turn, turn),)
    assert fold(drawing, ()).again == ((turn, turn),)


def test_several_outputs_are_not_joined():
    assert lines(drawn("two outputs")) == [
        "input", "stem < 0", "left < 1", "right < 1", "output < 2 3",
    ]  # fmt: skip


def test_a_join_that_is_left_with_one_thing_is_not_seen():
    # the paths of each addition meet inside the folded blocks
    drawing = drawn("blocks")
    assert seen(drawing, "stages.0") == [
        "input", "stem < 0", "[stages.0 6] < 1", "stages.1.0.a < 2", "stages.1.0.b < 3",
        "addition < 2 4", "fc < 5", "output < 6",
    ]  # fmt: skip
    assert "addition" not in " ".join(seen(drawing, "stages"))


@pytest.mark.parametrize(
    ("depths", "shut"),
    [
        ((2, 1), 0),  # 3 blocks of 2 layers and an addition each: whole
        ((3, 4, 3), 10),  # 34 nodes: each block is folded
        ((9, 9, 9), 3),  # 27 blocks and more: each stage is folded
    ],
)
def test_a_drawing_is_folded_as_far_as_it_must_be(depths, shut):
    drawing = draw(trace(Blocks(depths), torch.zeros(IMAGE)))
    outer = {b.name for b in drawing.blocks if b.name in drawing.shut}
    parents = {b.name: b.parent and drawing.blocks[b.parent].name for b in drawing.blocks}
    assert sum(parents[name] not in outer for name in outer) == shut
    assert len(fold(drawing, drawing.shut).parts) <= MOST_NODES


@given(st.data())
def test_however_it_is_folded_every_node_is_in_one_part_and_no_edge_leads_back(data):
    drawing = drawn(data.draw(st.sampled_from(sorted(NETWORKS))))
    names = [block.name for block in drawing.blocks]
    shut = data.draw(st.sets(st.sampled_from(names))) if names else set()
    view = fold(drawing, shut)
    found = [index for members in view.parts for index in members]
    assert len(found) == len(set(found))
    missing = set(range(len(drawing.nodes))) - set(found)
    # only joins may be left out
    assert all(not drawing.nodes[index].name for index in missing)
    assert all(drawing.nodes[index].kind not in ("input", "output") for index in missing)
    assert all(a < b for a, b in view.edges)
    assert len(set(view.edges)) == len(view.edges)
    # nothing hangs in the air: everything but the input reads something
    reading = {b for _, b in view.edges} | {b for a, b in view.again if a != b}
    assert reading == set(range(1, len(view.parts)))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_who_reads_whom_is_what_the_trace_says(name):
    graph, drawing = trace(NETWORKS[name](), torch.zeros(IMAGE)), drawn(name)
    reads: dict[int, set[str]] = {}
    for index, _ in enumerate(drawing.nodes):
        before = {a for a, b in drawing.edges if b == index}
        named = {drawing.nodes[a].name for a in before} - {""}
        joined = [reads[a] for a in before if drawing.nodes[a].kind not in ("input", "layer")]
        reads[index] = named.union(*joined)
    back = {(drawing.nodes[a].name, drawing.nodes[b].name) for a, b in drawing.again}
    for index, node in enumerate(drawing.nodes):
        if node.kind == "layer":
            known = {n for n, layer in graph.layers.items() if node.name in layer.consumers}
            assert reads[index] == {n for n in known if (n, node.name) not in back}
    assert [n.name for n in drawing.nodes if n.kind == "layer"] == list(graph.layers)
