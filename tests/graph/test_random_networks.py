"""Whatever a network is made of: removal equals zeros in place, and arithmetic equals counting."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_networks import settle
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from prunevis.graph.cost import cost
from prunevis.graph.trace import trace
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove
from prunevis.pruning.spec import PruningSpec

KINDS = (
    "plain",
    "norm",
    "residual",
    "projected",
    "dense",
    "branches",
    "depthwise",
    "grouped",
    "excite",
    "shuffle",
    "pool",
    "transposed",
)
ACTIVATIONS = (F.relu, F.silu, torch.sigmoid, F.leaky_relu, F.hardswish)


class Block(nn.Module):
    """One of `KINDS`, from `inputs` channels to ``self.outputs``."""

    def __init__(self, kind: str, inputs: int, outputs: int, activation: int) -> None:
        super().__init__()
        self.kind, self.outputs = kind, outputs
        self.activation = ACTIVATIONS[activation]
        if kind in ("residual", "depthwise", "excite", "shuffle", "pool"):
            self.outputs = inputs
        if kind == "dense":
            self.outputs = inputs + outputs
        if kind == "branches":
            self.outputs = 2 * outputs
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(inputs if kind == "dense" else outputs)
        if kind == "residual":
            self.second = nn.Conv2d(outputs, inputs, 1)
        if kind in ("projected", "branches"):
            self.second = nn.Conv2d(inputs, outputs, 1, bias=False)
        if kind == "depthwise":
            self.first = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        if kind == "grouped":
            # inputs and outputs are even
            self.first = nn.Conv2d(inputs, outputs, 3, padding=1, groups=2)
        if kind == "excite":
            self.first, self.second = nn.Conv2d(inputs, 2, 1), nn.Conv2d(2, inputs, 1)
        if kind == "transposed":
            self.first = nn.ConvTranspose2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        act = self.activation
        if self.kind == "norm":
            return act(self.bn(self.first(x)))
        if self.kind == "residual":
            return act(x + self.second(act(self.bn(self.first(x)))))
        if self.kind == "projected":
            return act(self.bn(self.first(x)) + self.second(x))
        if self.kind == "dense":
            return torch.cat([x, self.first(act(self.bn(x)))], 1)
        if self.kind == "branches":
            return torch.cat([act(self.second(x)), self.bn(self.first(x))], 1)
        if self.kind == "excite":
            gate = self.second(act(self.first(x.mean((2, 3), keepdim=True))))
            return x * torch.sigmoid(gate)
        if self.kind == "shuffle":
            return torch.channel_shuffle(x, 2)
        if self.kind == "pool":
            return F.avg_pool2d(x, 3, stride=1, padding=1)
        return act(self.first(x))


class Random(nn.Module):
    """A stem, random blocks, then a mean or a flatten, and two linear layers."""

    def __init__(self, plan: list[tuple[str, int, int]], flat: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        channels, blocks = 4, []
        for kind, outputs, activation in plan:
            blocks.append(Block(kind, channels, outputs, activation))
            channels = blocks[-1].outputs
        self.blocks, self.flat = nn.ModuleList(blocks), flat
        self.hidden = nn.Linear(channels * (16 if flat else 1), 6)
        self.norm, self.out = nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = x.flatten(1) if self.flat else x.mean((2, 3))
        return self.out(torch.relu(self.norm(self.hidden(x))))


networks = st.builds(
    Random,
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from([2, 4, 6]), st.integers(0, 4)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)


def random_plan(graph, draw):
    """Return a plan that takes a random share of each prunable group and empties no layer."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    ranks, cuts = {}, {}
    for name, group in graph.groups.items():
        if group.reason is None:
            order = torch.randperm(group.size, generator=generator).tolist()
            # a group may span layers of different sizes: one unit of every tensor stays
            stay = {next(unit for unit in m.units.tolist() if unit >= 0) for m in group.members}
            go = [unit for unit in order if unit not in stay]
            ranks[name] = torch.tensor(go + sorted(stay)).argsort()
            cuts[name] = draw(st.integers(0, len(go)))
    return PruningPlan(
        graph=graph,
        spec=PruningSpec(granularity="unit"),
        ranks=ranks,
        cuts=cuts,
        removed=cuts,
        total={name: len(rank) for name, rank in ranks.items()},
    )


def zeroed(model, plan):
    """Return the model's tensors with zeros at every position of every unit that goes."""
    tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
    for name, kept in plan.kept.items():
        for member in plan.graph.groups[name].members:
            gone = (member.units >= 0) & ~torch.isin(member.units, kept)
            if member.role != "statistic":
                tensors[member.tensor].index_fill_(member.axis, gone.nonzero().flatten(), 0)
    return tensors


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(model=networks, data=st.data())
def test_removal(model, data):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    settle(model)
    flags = [module.training for module in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    graph = trace(model, torch.zeros(1, 1, 4, 4))
    plan = random_plan(graph, data.draw)
    assert plan.kept, graph.groups
    smaller = remove(model, plan)

    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())

    x = torch.randn(3, 1, 4, 4)
    model.eval(), smaller.eval()
    with torch.no_grad():
        expected = torch.func.functional_call(model, zeroed(model, plan), (x,))
        torch.testing.assert_close(smaller(x), expected, rtol=1e-3, atol=1e-4)

    price = cost(graph, plan)
    assert price.num_params == sum(parameter.numel() for parameter in smaller.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        smaller(x[:1])
    again = trace(smaller, x)
    assert counter.get_total_flops() == 2 * again.macs == 2 * price.removed_macs

    smaller.train()
    loss = F.cross_entropy(smaller(x), torch.arange(3))
    loss.backward()
    assert all(p.grad is not None for n, p in smaller.named_parameters() if n.startswith("out"))
