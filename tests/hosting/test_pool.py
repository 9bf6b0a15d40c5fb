"""Kernels end with their tabs, never before, and there are never more visitors than places."""

from types import SimpleNamespace

import pytest
from apart import run_apart

pytest.importorskip("voila")

from prunevis.hosting import pool
from prunevis.hosting.settings import Settings


class Kernel:
    def __init__(self):
        self.alive = True

    async def is_alive(self):
        return self.alive


class Base:
    """What Jupyter's manager has of what is used here."""

    cull_idle_timeout = 10

    def __init__(self):
        self._kernel_connections, self._pools, self.ended = {}, {}, []
        self.kernels = {}

    def get_kernel(self, kernel_id):
        return self.kernels.setdefault(kernel_id, Kernel())

    async def start_kernel(self, kernel_id):
        return kernel_id

    async def get_rendered_notebook(self, name):
        return None, [], self._pools[name].pop(0).result()["kernel_id"]

    def fill_if_needed(self, notebook_name):
        self.filled = notebook_name

    async def shutdown_kernel(self, kernel_id, now=False):
        for kept in getattr(self, "_pools", {}).values():
            kept[:] = [task for task in kept if task.kernel_id != kernel_id]
        self.ended.append(kernel_id)
        self._kernel_connections.pop(kernel_id, None)

    async def cull_kernel_if_idle(self, kernel_id):
        raise AssertionError("Jupyter's own culling spares what is busy, and must not be asked")


class Bare(Base):
    """Made without a pool."""

    def __init__(self):
        super().__init__()
        del self._pools


class Task:
    def __init__(self, kernel_id=None, *, done=True, cancelled=False, error=None):
        self.state, self.kernel_id, self.error = (done, cancelled), kernel_id, error

    def done(self):
        return self.state[0]

    def cancelled(self):
        return self.state[1]

    def exception(self):
        assert self.state == (True, False), "would raise"
        return self.error

    def result(self):
        assert self.state == (True, False), "would raise"
        assert self.error is None, "would raise"
        return {"kernel_id": self.kernel_id}


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


class Managed:
    """A manager whose visitors came with `connections` tabs each, at time 0."""

    def __init__(self, clock, base=Base, settings=None, **connections):
        self.clock = clock
        make = pool.manager_factory(lambda base, *args: base, settings or Settings())
        self.manager = make(base, True, 1)()
        clock.now = 1000.0
        for kernel_id, count in connections.items():
            run_apart(self.manager.start_kernel(kernel_id))
            self.manager._kernel_connections[kernel_id] = count

    def tabs(self, **connections):
        self.manager._kernel_connections.update(connections)

    def at(self, seconds):
        self.clock.now = 1000.0 + seconds
        for kernel_id in list(self.manager._kernel_connections):
            run_apart(self.manager.cull_kernel_if_idle(kernel_id))
        return self.manager.ended


@pytest.mark.parametrize("base", [Base, Bare])
def test_a_kernel_without_a_tab_ends_after_the_time_busy_or_idle(clock, base):
    made = Managed(clock, base, a=0)
    assert made.at(0) == made.at(5) == made.at(9.9) == []
    assert made.at(10) == ["a"]
    assert made.at(100) == ["a"]  # once
    assert made.manager.visitors == 0


def test_one_with_a_tab_never_does_and_its_neighbours_end_is_not_its_own(clock):
    made = Managed(clock, a=1, b=0, c=2)
    for seconds in range(0, 100_000, 50):
        made.at(seconds)
    assert made.manager.ended == ["b"]
    assert made.manager.visitors == 2


def test_a_tab_that_comes_back_starts_the_clock_again(clock):
    made = Managed(clock, a=0)
    made.at(0)
    made.tabs(a=1)
    assert made.at(9) == []
    made.tabs(a=0)
    assert made.at(11) == made.at(20.9) == []
    assert made.at(21) == ["a"]


def test_one_whose_tab_nobody_uses_ends_after_the_idle_time(clock):
    made = Managed(clock, settings=Settings(idle=60), a=1, b=1)
    made.at(50)
    made.manager.heard("b")
    assert made.at(59) == []
    assert made.at(60) == ["a"]
    assert made.at(109) == ["a"]
    assert made.at(110) == ["a", "b"]
    made.manager.heard("a")  # a late word of a visitor that left is no error


def test_one_that_waits_in_the_pool_never_does_and_has_the_whole_time_once_handed_over(clock):
    made = Managed(clock)
    made.tabs(a=0)
    made.manager._pools = {"x.ipynb": [Task("other")], "y.ipynb": [Task("a")]}
    for seconds in range(0, 1000, 5):
        made.at(seconds)
    assert made.manager.ended == []
    assert made.manager.visitors == 0
    made.clock.now = 1000.0 + 1000
    run_apart(made.manager.get_rendered_notebook("y.ipynb"))
    assert made.manager.visitors == 1
    assert made.at(1001) == made.at(1010.9) == []
    assert made.at(1011) == ["a"]


def test_one_that_died_in_the_pool_is_not_handed_over(clock):
    made = Managed(clock)
    made.manager._pools = {"x": [Task("dead"), Task("alive")]}
    made.manager.get_kernel("dead").alive = False
    assert run_apart(made.manager.get_rendered_notebook("x"))[2] == "alive"
    assert made.manager.ended == ["dead"]
    assert made.manager.visitors == 1


def test_one_that_died_in_the_pool_is_replaced(clock):
    made = Managed(clock)
    made.tabs(dead=0, alive=0)
    made.manager._pools = {"x": [Task("dead"), Task("alive")]}
    made.manager.get_kernel("dead").alive = False
    assert made.at(1) == ["dead"]
    assert made.manager.filled == "x"
    assert made.at(2) == ["dead"]


def test_one_that_died_makes_room(clock):
    made = Managed(clock, a=1)
    assert made.at(1) == []
    made.manager.get_kernel("a").alive = False
    assert made.at(2) == ["a"]
    assert made.manager.visitors == 0


def test_a_pool_that_is_being_filled_or_could_not_be_does_no_harm(clock):
    made = Managed(clock, b=0)
    made.tabs(a=0, starting=0)
    made.manager._pools = {
        "x": [
            Task(done=False),
            Task(cancelled=True),
            Task(error=RuntimeError("no kernel")),
            Task("a"),
        ]
    }
    made.at(0)
    assert made.at(60) == ["b"]


def test_there_is_room_until_all_places_are_taken(clock):
    made = Managed(clock, settings=Settings(visitors=2), a=1)
    manager = made.manager
    assert (manager.visitors, manager.room) == (1, True)
    # a request that is still being answered has its place, and is counted once
    visit = pool.Visit()
    manager.arriving.add(visit)
    assert (manager.visitors, manager.room) == (2, False)
    token = pool.ARRIVING.set(visit)
    run_apart(manager.start_kernel("b"))
    pool.ARRIVING.reset(token)
    assert (manager.visitors, manager.room) == (2, False)
    manager.arriving.discard(visit)
    assert (manager.visitors, manager.room) == (2, False)
    run_apart(manager.shutdown_kernel("a"))
    assert (manager.visitors, manager.room) == (1, True)


def test_no_cap(clock):
    made = Managed(clock, **{f"k{number}": 1 for number in range(50)})
    assert (made.manager.visitors, made.manager.room) == (50, True)
