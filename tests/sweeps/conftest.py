from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_cells import Folder

from prunevis.sweeps.running import forget


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    # a name of its own, since a module is imported once in a process
    name = f"own_cells_{os.getpid()}_{abs(hash(tmp_path))}"
    yield Folder(tmp_path, name)
    forget()
    sys.modules.pop(name, None)
