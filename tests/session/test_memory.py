"""Free memory goes back to the machine where the C library can, and nothing breaks where not."""

import ctypes

import pytest

from prunevis.session import memory


@pytest.fixture(autouse=True)
def looked_up_anew():
    memory._trim.cache_clear()
    yield
    memory._trim.cache_clear()


def test_asks_the_c_library(monkeypatch):
    calls = []

    class Library:
        malloc_trim = staticmethod(lambda keep: calls.append(keep))

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    memory.give_back()
    assert calls == [0]


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_does_nothing_where_it_cannot(monkeypatch, error):
    def fails(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fails)
    memory.give_back()
    memory.give_back()


def test_here():
    memory.give_back()
