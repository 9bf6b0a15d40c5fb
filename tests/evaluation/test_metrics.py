import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunevis.errors import DataError, ModelError, SpecError
from prunevis.evaluation.exact import evaluate
from prunevis.evaluation.measured import placed
from prunevis.evaluation.metrics import estimate


def classifier(seed, total=1500, classes=6, noise=0.0):
    """Return data whose inputs are logits, and a model that passes them on, with noise."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (total,), generator=generator)
    logits = torch.randn(total, classes, generator=generator)
    logits[torch.arange(total), targets] += 2.0
    change = torch.randn(total, classes, generator=generator) * noise
    return (torch.stack([logits, logits + change], 1), targets)


def first(x):
    return x[:, 0]


def second(x):
    return x[:, 1]


def last_of(steps):
    *_, last = steps
    return last


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "loss", "per-class"])
@pytest.mark.parametrize("paired", [False, True])
def test_the_last_value_is_exact_and_the_first_is_near(metric, paired):
    data = classifier(0, noise=0.2)
    known = last_of(estimate(first, data, metric=metric)) if paired else None
    steps = list(estimate(second, data, metric=metric, baseline=known))
    exact = evaluate(second, data)
    logits, targets = data[0][:, 1], data[1]
    expected = {
        "accuracy": exact.accuracy,
        "per-class": exact.accuracy,
        "loss": float(F.cross_entropy(logits, targets)),
        "top-2": float((logits.topk(2).indices == targets[:, None]).any(1).double().mean()),
    }[metric]
    last = steps[-1]
    assert last.exact
    assert last.low == last.value == last.high == pytest.approx(expected, rel=1e-6)
    assert [s.seen for s in steps] == [128, 256, 512, 1024, 1500]
    for step in steps:
        assert step.low <= step.value <= step.high
        assert step.metric == metric
    assert steps[0].half_width > steps[-2].half_width > 0
    if paired:
        plain = next(estimate(second, data, metric=metric))
        assert steps[0].half_width < 0.7 * plain.half_width


def test_an_evaluation_serves_as_baseline():
    data = classifier(1, noise=0.1)
    dense = evaluate(first, data)
    for metric in ("accuracy", "per-class", "loss"):
        paired = next(estimate(second, data, metric=metric, baseline=dense))
        assert paired.half_width < next(estimate(second, data, metric=metric)).half_width


@pytest.mark.parametrize("paired", [False, True])
def test_each_class_has_its_own_interval(paired):
    data = classifier(2, noise=0.5)
    baseline = evaluate(first, data) if paired else None
    exact = evaluate(second, data)
    held, count = 0, 0
    for seed in range(60):
        step = next(estimate(second, data, metric="per-class", baseline=baseline, seed=seed))
        for found, truth in zip(step.per_class, exact.per_class, strict=True):
            held, count = held + (found.low <= truth <= found.high), count + 1
            assert found.low < found.high
    assert held / count >= 0.93
    last = last_of(estimate(second, data, metric="per-class", baseline=baseline))
    assert [c.value for c in last.per_class] == pytest.approx(exact.per_class)
    assert all(c.exact for c in last.per_class)


def test_a_class_without_examples_has_no_accuracy():
    logits, targets = torch.eye(3)[[0, 2, 2]], torch.tensor([0, 2, 2])
    last = last_of(estimate(nn.Identity(), (logits, targets), metric="per-class"))
    assert last.per_class[1] is None
    assert [c.value for c in last.per_class if c] == [1.0, 1.0]


def test_top_k_by_hand():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 0.0]])
    targets = torch.tensor([0, 1, 2, 1])
    right, margin = placed(logits, targets, 1)
    assert right.tolist() == [True, False, False, False]  # of a tie the first
    assert margin.tolist() == [1.0, -1.0, -2.0, 0.0]
    right, margin = placed(logits, targets, 2)
    assert right.tolist() == [True, True, False, True]
    assert margin.tolist() == [2.0, 1.0, -1.0, 1.0]
    right, margin = placed(logits, targets, 3)
    assert right.all()
    assert np.isinf(margin).all()


def regression(seed=0, total=1200):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(total, 4, generator=generator)
    true = nn.Linear(4, 2)
    targets = true(inputs).detach() + 0.5 * torch.randn(total, 2, generator=generator)
    pruned = nn.Linear(4, 2)
    with torch.no_grad():
        pruned.weight.copy_(true.weight)
        pruned.bias.copy_(true.bias)
        pruned.weight[0, 0] = 0.0
    return (inputs, targets), true, pruned


def squared(outputs, targets):
    return (outputs - targets).square().mean(1)


def test_a_regression_error_is_covered_and_ends_exact():
    torch.manual_seed(0)
    data, dense, pruned = regression()
    known = last_of(estimate(dense, data, metric=squared))
    truth = float(squared(pruned(data[0]), data[1]).mean().detach())
    covered, widths = [], []
    for seed in range(100):
        step = next(estimate(pruned, data, metric=squared, baseline=known, seed=seed))
        covered.append(step.low <= truth <= step.high)
        widths.append(step.half_width)
    assert np.mean(covered) >= 0.93
    plain = next(estimate(pruned, data, metric=squared))
    assert np.mean(widths) < plain.half_width
    last = last_of(estimate(pruned, data, metric=squared, baseline=known))
    assert last.value == pytest.approx(truth, rel=1e-6)
    assert last.metric == "squared"
    assert pruned.training


def test_outputs_may_have_any_shape():
    inputs = torch.randint(0, 5, (200, 7))
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 5))

    def token_loss(outputs, targets):
        return (
            F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
            .view(targets.shape)
            .mean(1)
        )

    last = last_of(estimate(model, (inputs, inputs.roll(1, 1)), metric=token_loss))
    expected = token_loss(model(inputs), inputs.roll(1, 1)).mean()
    assert last.value == pytest.approx(float(expected.detach()), rel=1e-6)


def test_equal_numbers_are_not_taken_for_certainty():
    data = (torch.zeros(400, 1), torch.zeros(400))
    step = next(estimate(nn.Identity(), data, metric=lambda outputs, _: outputs[:, 0]))
    assert step.low < 0 < step.high
    known = last_of(estimate(first, classifier(3), metric="loss"))
    same = next(estimate(first, classifier(3), metric="loss", baseline=known))
    assert same.low < same.value < same.high


def test_errors():
    data = classifier(4, total=100)
    with pytest.raises(SpecError, match=r"no such metric.*top-5"):
        estimate(first, data, metric="f1")
    with pytest.raises(ModelError, match="cannot be called"):
        estimate("net", data, metric=squared)
    with pytest.raises(DataError, match="data as tensors"):
        estimate(first, [1, 2, 3], metric=squared)
    with pytest.raises(DataError, match="not as many targets"):
        estimate(first, (torch.zeros(3, 2), torch.zeros(2)), metric=squared)
    with pytest.raises(ModelError, match=r"one number an example.*\(64,\).*\(64, 6\)"):
        next(estimate(first, data, metric=lambda outputs, targets: outputs))
    with pytest.raises(ModelError, match=r"metric raised an error.*RuntimeError"):
        next(estimate(first, data, metric=lambda outputs, targets: outputs @ outputs))
    part = next(estimate(first, classifier(4), metric="loss"))
    with pytest.raises(SpecError, match="not exact yet"):
        estimate(first, classifier(4), metric="loss", baseline=part)
    whole = last_of(estimate(first, data, metric="top-3"))
    with pytest.raises(SpecError, match=r"nothing about this metric.*metric='loss'.*'top-3'"):
        estimate(first, data, metric="loss", baseline=whole)
    with pytest.raises(SpecError, match="nothing about this metric"):
        estimate(first, data, metric="top-3", baseline=evaluate(first, data))
    with pytest.raises(DataError, match="measured on other data"):
        estimate(first, classifier(4), metric="top-3", baseline=whole)
