import sys
from pathlib import Path

import pytest
import torch

# networks of a few lines, which other tests share
sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("graph", "evaluation"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
