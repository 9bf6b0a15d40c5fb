import sys
from pathlib import Path

import pytest
import torch

# networks of a few lines, which the tests of the graph share
sys.path.append(str(Path(__file__).parents[1] / "graph"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
