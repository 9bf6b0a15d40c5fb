import math

import pytest
import torch
from torch import nn

from prunevis.data import Data, Examples
from prunevis.errors import DataError, ModelError, NonFiniteError, SpecError
from prunevis.evaluation.exact import evaluate, evaluate_steps
from prunevis.evaluation.inference import BatchSizer


def identity(inputs):
    """A model whose logits are its inputs."""
    return inputs


LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
TARGETS = torch.tensor([0, 2, 1, 1])


def test_hand_computed():
    result = evaluate(identity, (LOGITS, TARGETS))
    # example 2 ties: the first largest logit counts, so it is wrong, with margin 0
    assert result.examples.correct.tolist() == [True, False, False, True]
    assert result.examples.margin.tolist() == [1.0, -2.0, 0.0, 0.5]
    assert result.examples.predicted.tolist() == [0, 1, 0, 1]
    assert (result.correct, result.total, result.accuracy) == (2, 4, 0.5)
    first = -math.log(math.exp(2) / (math.exp(2) + math.exp(1) + 1))
    assert result.examples.loss[0].item() == pytest.approx(first, rel=1e-6)
    assert result.loss == pytest.approx(result.examples.loss.mean().item(), rel=1e-6)
    assert result.per_class == (1.0, 0.5, 0.0)
    low, high = result.interval  # Wilson (1927) for 2 of 4
    assert (low, high) == (pytest.approx(0.15, abs=5e-3), pytest.approx(0.85, abs=5e-3))
    assert repr(result) == f"Evaluation(50.00%, 2 of 4, loss {result.loss:.4f})"


def test_dtypes_and_ordinary_tensors():
    examples = evaluate(identity, (LOGITS.double(), TARGETS)).examples
    assert examples.correct.dtype == torch.bool
    assert examples.margin.dtype == examples.loss.dtype == torch.float32
    assert examples.predicted.dtype == torch.int64
    assert not any(t.is_inference() for t in (examples.correct, examples.margin, examples.loss))


@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_batch_size_does_not_matter(batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)).double()
    inputs, targets = torch.randn(100, 5).double(), torch.randint(0, 4, (100,))
    whole = model.eval()(inputs)
    result = evaluate(model, (inputs, targets), batch_size=batch_size)
    assert torch.equal(result.examples.predicted, whole.argmax(1))
    assert result.correct == int((whole.argmax(1) == targets).sum())


def test_flags_gradients_buffers_and_random_state_are_kept():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 3))
    model.train()
    model[1].eval()
    model[0].weight.grad = torch.ones(3, 3)
    flags = [m.training for m in model.modules()]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    steps = evaluate_steps(model, (torch.randn(50, 3), torch.zeros(50).long()), batch_size=7)
    state = torch.get_rng_state()
    next(steps)
    assert [m.training for m in model.modules()] == flags  # between steps too
    assert not torch.is_inference_mode_enabled()
    steps.close()
    assert [m.training for m in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones(3, 3))


def test_flags_are_kept_after_an_exception():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout()

        def forward(self, x):
            assert not self.drop.training
            raise ValueError("no luck")

    model = Fails()
    with pytest.raises(ModelError, match=r"forward raised.*ValueError: no luck") as caught:
        evaluate(model, (LOGITS, TARGETS))
    assert isinstance(caught.value.__cause__, ValueError)
    assert model.training
    assert model.drop.training


def test_steps_report_progress_and_end_with_the_result():
    steps = list(evaluate_steps(identity, (LOGITS, TARGETS), batch_size=3))
    assert [(s.seen, s.total, s.correct) for s in steps] == [(3, 4, 1), (4, 4, 2)]
    assert steps[0].evaluation is None
    assert steps[1].evaluation is not None
    assert steps[1].evaluation.correct == 2


def test_single_output_and_single_class_are_noted():
    one = evaluate(lambda x: x[:, :1], (LOGITS, torch.zeros(4)))
    assert one.accuracy == 1.0
    assert "single output" in one.note
    assert bool(torch.isinf(one.examples.margin).all())
    same = evaluate(identity, (LOGITS, torch.ones(4).long()))
    assert "All examples are of class 1" in same.note
    assert math.isnan(same.per_class[0])


def test_a_class_ruled_out_by_minus_infinity_is_fine():
    def masking(x):
        return x.masked_fill(x == 0, -torch.inf)

    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    result = evaluate(masking, (logits, torch.tensor([0, 1])))
    assert result.accuracy == 1.0
    worst = evaluate(masking, (logits, torch.tensor([2, 2])))
    assert worst.accuracy == 0.0
    assert not bool(torch.isnan(worst.examples.margin).any())


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (lambda x: [x], ModelError, r"one tensor of logits.*Got: list"),
        (lambda x: x[:, 0], ModelError, r"one row of logits.*\(4, classes\).*Got: \(4,\)"),
        (lambda x: x[:2], ModelError, r"one row of logits an example"),
        (lambda x: x[:, :, None], ModelError, r"one row of logits an example"),
        (lambda x: x[:, :2], DataError, r"fewer outputs than.*at least 3 outputs.*Got: 2"),
        (lambda x: x[:, :1], DataError, r"single logit for yes or no"),
        (lambda x: x * torch.nan, NonFiniteError, r"NaN or infinite outputs.*4 of 4 examples"),
        (lambda x: x + torch.inf, NonFiniteError, r"NaN or infinite outputs"),
        (7, ModelError, r"cannot be called.*Got: int"),
    ],
)
def test_outputs_that_cannot_be_judged(model, error, match):
    with pytest.raises(error, match=match):
        evaluate(model, (LOGITS, TARGETS))


def test_a_forward_that_depends_on_the_batch_size():
    with pytest.raises(ModelError, match=r"A batch of 3 examples went through before"):
        evaluate(lambda x: x.view(3, 3), (LOGITS, TARGETS), batch_size=3)


def test_data_and_arguments_are_checked():
    with pytest.raises(DataError, match="no examples"):
        evaluate(identity, Examples(torch.zeros(0, 3), torch.zeros(0)))
    with pytest.raises(SpecError, match="batch size is a whole number from 1"):
        evaluate(identity, (LOGITS, TARGETS), batch_size=0)
    data = Data(train=None, test=(LOGITS, TARGETS))
    assert evaluate(identity, data).correct == 2


def test_inputs_are_moved_to_the_device_of_the_model():
    class Meta(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1, device="meta"))

        def forward(self, x):
            assert x.device.type == "meta"
            raise RuntimeError("seen")

    with pytest.raises(ModelError, match="RuntimeError: seen"):
        evaluate(Meta(), (LOGITS, TARGETS))


def test_batch_sizes_follow_the_measured_time():
    sizer = BatchSizer(target=0.03, first=32, largest=1024)
    assert sizer.size == 32
    sizer.record(32, 0.0001)  # very fast: at most four times as many
    assert sizer.size == 128
    for _ in range(5):
        sizer.record(sizer.size, sizer.size * 1e-6)
    assert sizer.size == 1024
    sizer.record(10, 0.001)  # a small rest tells nothing
    assert sizer.size == 1024
    for _ in range(5):
        sizer.record(sizer.size, sizer.size * 1.0)
    assert sizer.size == 1


def test_weights_and_inputs_of_two_kinds_are_named():
    half = nn.Linear(3, 3).half()
    with pytest.raises(ModelError, match=r"weights are torch.float16, the inputs torch.float32"):
        evaluate(half, (LOGITS, TARGETS))
