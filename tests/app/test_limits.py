"""What a visitor may use, read from the environment."""

import pytest

from prunevis.app.limits import Limits
from prunevis.errors import SpecError


def test_nothing_said_limits_nothing():
    assert Limits.from_environment({}) == Limits(None, None, None, None)
    assert Limits.from_environment({"PRUNEVIS_IMAGES": "0", "PRUNEVIS_EPOCHS": " "}) == Limits()
    assert Limits().in_words() == ""


def test_there_and_back():
    limits = Limits(images=1000, epochs=3, minutes=5, memory_mb=900)
    found = limits.as_environment()
    assert found == {
        "PRUNEVIS_IMAGES": "1000",
        "PRUNEVIS_EPOCHS": "3",
        "PRUNEVIS_MINUTES": "5",
        "PRUNEVIS_MEMORY": "900",
    }
    assert Limits.from_environment(found) == limits
    assert Limits.from_environment(Limits().as_environment()) == Limits()


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "1e3"])
def test_a_limit_that_is_no_number(text):
    with pytest.raises(SpecError, match="PRUNEVIS_MINUTES is not a number"):
        Limits.from_environment({"PRUNEVIS_MINUTES": text})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(images=2000), "For each visitor: accuracy on up to 2,000 images."),
        (Limits(epochs=1), "For each visitor: trainings of up to 1 epoch."),
        (
            Limits(epochs=4, minutes=1, memory_mb=1500),
            "For each visitor: trainings of up to 4 epochs or 1 minute and 1,500 MB of memory.",
        ),
        (
            Limits(images=500, minutes=10, memory_mb=800),
            "For each visitor: accuracy on up to 500 images, trainings of up to 10 minutes and "
            "800 MB of memory.",
        ),
    ],
)
def test_in_words(limits, words):
    assert limits.in_words() == words
