"""Models and data that come along: four trained networks and Fashion-MNIST.

``load_model(name)`` and ``load_data(name)`` with the names in `MODELS` and `DATASETS`. All of it
is inside the package, under `files/`; `prunevis.zoo.build` is the script that made it.
"""

from prunevis.zoo.datasets import DATASETS, DatasetEntry, load_data
from prunevis.zoo.models import MODELS, ZooEntry, load_model, manifest

__all__ = [
    "DATASETS",
    "MODELS",
    "DatasetEntry",
    "ZooEntry",
    "load_data",
    "load_model",
    "manifest",
]
