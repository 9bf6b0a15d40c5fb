import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from prunevis import data as data_module
from prunevis.data import Data, Examples, as_data, as_examples
from prunevis.errors import DataError

INPUTS = torch.arange(12, dtype=torch.float32).reshape(6, 2)
TARGETS = torch.tensor([0, 1, 2, 0, 1, 2])


class Items(Dataset):
    """A map-style dataset over a list of items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


def pairs():
    return [(INPUTS[k], int(TARGETS[k])) for k in range(6)]


FORMS = {
    "tuple": lambda: (INPUTS, TARGETS),
    "list": lambda: [INPUTS, TARGETS],
    "targets as a list": lambda: (INPUTS, TARGETS.tolist()),
    "targets as an array": lambda: (INPUTS, TARGETS.numpy()),
    "targets as whole floats": lambda: (INPUTS, TARGETS.float()),
    "targets as a column": lambda: (INPUTS, TARGETS[:, None]),
    "targets as int32": lambda: (INPUTS, TARGETS.int()),
    "examples": lambda: Examples(INPUTS, TARGETS),
    "tensor dataset": lambda: TensorDataset(INPUTS, TARGETS),
    "dataset of numbers": lambda: Items(pairs()),
    "dataset of tensors": lambda: Items([(x, torch.tensor([y])) for x, y in pairs()]),
    "loader": lambda: DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=4),
    "loader of a dataset": lambda: DataLoader(Items(pairs()), batch_size=5),
    "data": lambda: Data(train=None, test=(INPUTS, TARGETS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_examples(form):
    data = as_data(FORMS[form]())
    assert isinstance(data.test, Examples)
    assert torch.equal(data.test.inputs, INPUTS)
    assert torch.equal(data.test.targets, TARGETS)
    assert data.test.targets.dtype == torch.int64
    assert data.train is None
    assert data.note == ""
    examples, note = as_examples(FORMS[form]())
    assert torch.equal(examples.inputs, INPUTS)
    assert note == ""


def test_data_with_both_parts_keeps_what_is_known_of_them():
    data = Data(
        train=TensorDataset(INPUTS[:4], TARGETS[:4]),
        test=(INPUTS, TARGETS),
        class_names=["a", "b", 3],
        name="numbers",
        license="MIT",
        source="here",
        mean=0.5,
        std=2.0,
        note="Shortened.",
    )
    checked = as_data(data)
    assert checked.class_names == ("a", "b", "3")
    assert checked.train.count == 4
    assert checked.test.count == 6
    assert (checked.name, checked.license, checked.source) == ("numbers", "MIT", "here")
    assert (checked.mean, checked.std, checked.note) == (0.5, 2.0, "Shortened.")
    assert not isinstance(data.train, Examples)  # what came in stays as it was


def test_examples_take():
    examples = Examples(INPUTS, TARGETS)
    assert examples.count == 6
    taken = examples.take(torch.tensor([4, 1]))
    assert torch.equal(taken.inputs, INPUTS[[4, 1]])
    assert taken.targets.tolist() == [1, 1]
    assert examples.take(slice(2, 4)).targets.tolist() == [2, 0]


def test_inputs_without_gradient_history_come_out_of_a_loader():
    inputs = INPUTS.clone().requires_grad_()
    data = as_data(DataLoader(Items([(x, 0) for x in inputs]), batch_size=3))
    assert not data.test.inputs.requires_grad


def test_a_shuffled_loader_is_read_once_and_stays_in_step():
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=2, shuffle=True)
    examples, _ = as_examples(loader)
    order = (examples.inputs[:, 0] / 2).long()
    assert sorted(order.tolist()) == list(range(6))
    assert torch.equal(examples.targets, TARGETS[order])


class Noisy(Dataset):
    """Draws from every global generator, as augmentations do."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.rand(2) + random.random() + np.random.rand(), index % 3  # noqa: NPY002


@pytest.mark.parametrize("make", [Noisy, lambda: DataLoader(Noisy(), 2, shuffle=True)])
def test_reading_leaves_the_random_state_alone(make):
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    as_data(make())
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_dataset_beyond_the_budget_is_read_in_part_and_says_so(monkeypatch):
    monkeypatch.setattr(data_module, "MEMORY_BUDGET", 3 * INPUTS[0].nbytes)
    examples, note = as_examples(Items(pairs()))
    assert examples.count == 3
    assert note.startswith("Using 3 of 6 examples: more would not fit into")
    # a fixed random subset in the order of the data
    again, _ = as_examples(Items(pairs()))
    assert torch.equal(examples.inputs, again.inputs)
    rows = (examples.inputs[:, 0] / 2).long()
    assert rows.tolist() == sorted(rows.tolist())
    assert torch.equal(examples.targets, TARGETS[rows])


def test_a_loader_beyond_the_budget_is_read_in_part_and_says_so(monkeypatch):
    monkeypatch.setattr(data_module, "MEMORY_BUDGET", 4 * INPUTS[0].nbytes)
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=2)
    data = as_data(Data(train=None, test=loader, note="Shortened."))
    assert data.test.count == 4
    assert data.note.startswith("Shortened. Using 4 examples: more would not fit into")


def test_a_loader_gives_at_least_one_batch_however_large(monkeypatch):
    monkeypatch.setattr(data_module, "MEMORY_BUDGET", 1)
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=4)
    assert as_examples(loader)[0].count == 4


UNREADABLE = {
    "nothing": (lambda: None, "of a kind that cannot be read.*Got: NoneType"),
    "a tensor": (lambda: INPUTS, "of a kind that cannot be read.*a pair of tensors.*Got: Tensor"),
    "three tensors": (lambda: (INPUTS, TARGETS, TARGETS), "of a kind that cannot be read"),
    "an iterable dataset": (Stream, "of a kind that cannot be read.*Got: Stream"),
    "arrays": (lambda: (INPUTS.numpy(), TARGETS), "of a kind that cannot be read"),
    "an empty pair": (lambda: (INPUTS[:0], TARGETS[:0]), "There are no examples"),
    "an empty loader": (
        lambda: DataLoader(TensorDataset(INPUTS[:0], TARGETS[:0])),
        "The loader gives no batch.*at least one example",
    ),
    "an empty dataset": (lambda: Items([]), "The dataset is empty"),
    "items that are no pairs": (
        lambda: Items([INPUTS[0]]),
        r"not an \(input, target\) pair.*Got: Tensor",
    ),
    "items of pictures": (
        lambda: Items([("picture", 0)]),
        r"not an \(input, target\) pair.*Got: tuple of str, int.*ToTensor",
    ),
    "batches without targets": (
        lambda: DataLoader(TensorDataset(INPUTS)),
        r"not an \(input, target\) pair.*Got: list of Tensor",
    ),
    "items of different shapes": (
        lambda: Items([(INPUTS[0], 0), (INPUTS[0, :1], 1)]),
        r"differ in shape.*Expected: every one \(2,\), as the first.*Resize",
    ),
    "batches of different shapes": (
        lambda: DataLoader(Items([(INPUTS[0], 0), (INPUTS[0, :1], 1)]), batch_size=1),
        r"differ in shape.*Resize",
    ),
    "fewer targets": (
        lambda: (INPUTS, TARGETS[:5]),
        "not as many targets as inputs. Expected: 6 targets. Got: 5",
    ),
    "one-hot targets": (
        lambda: (INPUTS, torch.eye(3)[TARGETS]),
        r"not class indices. Expected: \(6,\). Got: \(6, 3\).*targets.argmax\(1\)",
    ),
    "one-hot targets of a dataset": (
        lambda: TensorDataset(INPUTS, torch.eye(3)[TARGETS]),
        r"not class indices.*argmax",
    ),
    "one-hot targets of a loader": (
        lambda: DataLoader(TensorDataset(INPUTS, torch.eye(3)[TARGETS]), batch_size=6),
        r"not class indices.*argmax",
    ),
    "targets between": (
        lambda: (INPUTS, TARGETS + 0.5),
        "not class indices. Expected: whole numbers from 0.*regression",
    ),
    "targets between, in a dataset": (
        lambda: Items([(x, y + 0.5) for x, y in pairs()]),
        "not class indices.*regression",
    ),
    "targets that are NaN": (
        lambda: (INPUTS, torch.full((6,), torch.nan)),
        "not class indices",
    ),
    "targets that are words": (
        lambda: Items([(x, "cat") for x, _ in pairs()]),
        "not class indices.*Got: str",
    ),
    "targets that are words, in a list": (
        lambda: (INPUTS, ["cat"] * 6),
        "not class indices.*Got: str",
    ),
    "targets that are words, in a loader": (
        lambda: DataLoader(Items([(x, "cat") for x, _ in pairs()]), batch_size=3),
        "not class indices.*Got: str",
    ),
    "negative targets": (
        lambda: (INPUTS, TARGETS - 1),
        "outside the model's classes. Expected: class indices from 0 and up. Got: -1 to 1",
    ),
    "NaN": (
        lambda: (torch.where((INPUTS == 2) | (INPUTS == 8), torch.nan, INPUTS), TARGETS),
        "Some inputs are NaN or infinite. Got: 2 of 6 examples",
    ),
    "NaN, one in each of several hundreds": (
        lambda: (
            torch.zeros(700, 2).index_put(
                (torch.tensor([3, 300, 699]), torch.tensor([0, 1, 1])), torch.tensor(torch.nan)
            ),
            torch.zeros(700, dtype=torch.int64),
        ),
        "Some inputs are NaN or infinite. Got: 3 of 700 examples",
    ),
    "NaN in plain numbers": (
        lambda: (torch.tensor([1.0, torch.nan, 2.0]), torch.zeros(3, dtype=torch.int64)),
        "Some inputs are NaN or infinite. Got: 1 of 3 examples",
    ),
    "infinity": (
        lambda: (INPUTS.clone().fill_(torch.inf), TARGETS),
        "Some inputs are NaN or infinite. Got: 6 of 6 examples",
    ),
    "an empty part": (
        lambda: Data(train=None, test=(INPUTS[:0], TARGETS[:0])),
        r"There are no examples. Where: data\.test",
    ),
    "no test part": (lambda: Data(train=(INPUTS, TARGETS), test=None), r"Where: data\.test"),
    "a bad training part": (
        lambda: Data(train=(INPUTS, TARGETS[:2]), test=(INPUTS, TARGETS)),
        r"not as many targets.*Where: data\.train",
    ),
    "parts of different shapes": (
        lambda: Data(train=(INPUTS[:, :1], TARGETS), test=(INPUTS, TARGETS)),
        r"Training and test inputs differ in shape. Expected: \(N, 2\). Got: \(6, 1\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_said_in_a_sentence(kind):
    make, match = UNREADABLE[kind]
    with pytest.raises(DataError, match=f"(?s){match}"):
        as_data(make())


def test_targets_above_the_classes():
    with pytest.raises(
        DataError,
        match=r"outside the model's classes\. Expected: class indices from 0 to 1\. Got: 0 to 2",
    ):
        as_data((INPUTS, TARGETS), num_classes=2)
    assert as_data((INPUTS, TARGETS), num_classes=3).test.count == 6


def test_whole_number_inputs_need_no_check_for_nan():
    tokens = torch.randint(0, 9, (6, 3))
    assert torch.equal(as_data((tokens, TARGETS)).test.inputs, tokens)


def test_data_say_what_they_are_without_their_numbers():
    data = Data(
        train=Examples(torch.zeros(6, 1, 4, 4), torch.zeros(6, dtype=torch.int64)),
        test=Examples(torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64)),
        class_names=("a", "b"),
        name="Small",
    )
    assert (
        repr(data)
        == "Data(Small, train: 6 of shape (1, 4, 4), test: 3 of shape (1, 4, 4), 2 classes)"
    )
    pair = (torch.zeros(2, 3), torch.zeros(2))
    assert repr(Data(train=None, test=pair)) == "Data(test: tuple of Tensor (2, 3), Tensor (2,))"


def test_what_cannot_be_read_is_named_with_its_shapes():
    arrays = (np.zeros((5, 4)), np.zeros(5))
    with pytest.raises(
        DataError, match=r"Got: tuple of ndarray \(5, 4\), ndarray \(5,\).*from_numpy"
    ):
        as_data(arrays)
    two_inputs = ((torch.zeros(5, 4), torch.zeros(5, 4)), torch.zeros(5))
    with pytest.raises(DataError, match=r"tuple of tuple of Tensor \(5, 4\), .*one input"):
        as_data(two_inputs)
