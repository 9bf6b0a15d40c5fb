"""Make what lies in `files/`: pack the data, train the networks, write the manifest.

Run as ``python -m prunevis.zoo.build [--data DIR] [--only NAME] [--dataset-only]``. The full
Fashion-MNIST (four ``*-ubyte.gz`` files, as published) is taken from ``--data``, from
``$PRUNEVIS_DATA``, or from where Debian's package ``dataset-fashion-mnist`` puts it. The
networks that are shipped took 42 minutes, one after the other, on one core of a busy machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from prunevis.errors import DataError
from prunevis.zoo.datasets import DATASETS, DatasetEntry, normalise
from prunevis.zoo.models import FILES, MODELS
from prunevis.zoo.packing import pack, unpack
from prunevis.zoo.recipes import RECIPES, Recipe, train

DATASET = "fashion-mnist"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PER_CLASS = 1200
SUBSET_SEED = 0
BATCH = 500  # images a step when measuring; divides 10,000


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in a gzipped IDX file (the format of MNIST).

    Raises
    ------
    DataError
        If the file is missing or is not of that kind.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            "The full data set is not there.",
            where=path,
            fix="Give its folder with --data, or in $PRUNEVIS_DATA.",
        ) from error
    except (OSError, EOFError) as error:
        raise DataError("A file of the data set is damaged.", got=str(error), where=path) from error
    # Two zero bytes, the type (8: uint8), the number of dimensions, then a big-endian size each.
    dimensions = raw[3] if len(raw) > 3 and raw[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
    if not dimensions or len(raw) != start + int(np.prod(shape)):
        raise DataError(
            "This is not an IDX file of bytes.", expected="as published, gzipped", where=path
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_full(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 28, 28) and labels (N,) of `part`, "train" or "t10k"."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return images.copy(), labels.copy()


def stratified(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Return indices of `per_class` random members of each class, in rising order."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise DataError(
                f"There are too few images of class {label}.",
                expected=f"at least {per_class}",
                got=len(members),
            )
        chosen.append(random.choice(members, per_class, replace=False))
    return np.sort(np.concatenate(chosen))


def measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[int, float]:
    """Return how many are right, and the smallest lead of a first class over the second.

    The lead, in units of the logits, says whether rounding (another processor, another batch
    size) could change an answer: where it is far above 1e-5 it cannot.
    """
    correct, lead = 0, float("inf")
    with torch.inference_mode():
        for x, y in zip(inputs.split(BATCH), targets.split(BATCH), strict=True):
            logits = model(x)
            correct += int((logits.argmax(1) == y).sum())
            top = logits.topk(2, dim=1).values
            lead = min(lead, float((top[:, 0] - top[:, 1]).min()))
    return correct, lead


def multiply_adds(model: nn.Module, example: Tensor) -> int:
    """Return the multiply-adds of one forward pass, as torch itself counts them."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(example)
    return counter.get_total_flops() // 2


def write_dataset(folder: Path, out: Path, per_class: int = PER_CLASS) -> dict[str, Any]:
    """Pack the test set and a stratified part of the training set; return their record."""
    entry = DATASETS[DATASET]
    images, labels = read_full(folder, "train")
    chosen = stratified(labels, per_class, SUBSET_SEED)
    parts = {"train": (images[chosen], labels[chosen]), "test": read_full(folder, "t10k")}
    record: dict[str, Any] = {"per_class": per_class, "seed": SUBSET_SEED}
    for part, (pictures, answers) in parts.items():
        path = out / f"{entry.name}-{part}.xz"
        path.write_bytes(pack(pictures, answers))
        record[part] = {"file": path.name, "images": len(answers)}
        print(f"{path.name}: {len(answers):,} images, {path.stat().st_size:,} bytes", flush=True)
    pixels = images / np.float32(255)
    record["mean"], record["std"] = (round(float(f(pixels)), 4) for f in (np.mean, np.std))
    return record


def write_model(name: str, recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train the network called `name`, save its weights, and return its record."""
    from safetensors.torch import load_file, save

    entry, data = MODELS[name], DATASETS[DATASET]
    images, labels = read_full(folder, "train")
    began = time.perf_counter()
    model = train(
        entry.build,
        images,
        labels,
        recipe,
        mean=data.mean,
        std=data.std,
        report=lambda line: print(f"{name}: {line}", flush=True),
    )
    seconds = time.perf_counter() - began
    path = out / f"{name}.safetensors"
    path.write_bytes(save(model.state_dict()))  # save_file would hide it from other users
    # Measured is what a reader of the files gets, not what is in memory here.
    model.load_state_dict(load_file(path))
    inputs, targets = _packed_test(data, out)
    correct, lead = measure(model, inputs, targets)
    accuracy = correct / len(targets)
    print(f"{name}: {accuracy:.2%} of the test set, {seconds:.0f} s", flush=True)
    return {
        "file": path.name,
        "architecture": {
            "class": type(model).__name__,
            "weights": {n: list(p.shape) for n, p in model.named_parameters() if p.ndim > 1},
        },
        "num_params": sum(p.numel() for p in model.parameters()),
        "macs": multiply_adds(model, inputs[:1]),
        "recipe": dataclasses.asdict(recipe),
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "train_images": len(labels),
        "train_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        "test_correct": correct,
        "test_total": len(targets),
        "test_accuracy": accuracy,
        "smallest_lead": lead,
    }


def _packed_test(entry: DatasetEntry, out: Path) -> tuple[Tensor, Tensor]:
    images, labels = unpack((out / f"{entry.name}-test.xz").read_bytes())
    inputs = normalise(torch.from_numpy(images), entry.mean, entry.std)
    return inputs, torch.from_numpy(labels).to(torch.int64)


def update_manifest(out: Path, part: str, name: str, record: dict[str, Any]) -> None:
    """Put one record into `manifest.json` and renew the sizes and sums of all files."""
    path = out / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    manifest.setdefault(part, {})[name] = record
    manifest["files"] = {
        file.name: {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(out.iterdir())
        if file.suffix in {".safetensors", ".xz"}
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and build what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m prunevis.zoo.build", description=__doc__)
    default = Path(os.environ.get("PRUNEVIS_DATA") or DEBIAN)
    parser.add_argument("--data", type=Path, default=default, help="folder of the full set")
    parser.add_argument("--out", type=Path, default=FILES, help="folder to write into")
    parser.add_argument("--only", choices=list(RECIPES), help="train this network alone")
    parser.add_argument("--dataset-only", action="store_true", help="train nothing")
    parser.add_argument("--per-class", type=int, default=PER_CLASS, help="training images to pack")
    parser.add_argument("--epochs", type=int, help="instead of the recipes' own")
    parser.add_argument("--threads", type=int, default=1, help="cores to train on")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        if not options.only:
            record = write_dataset(options.data, options.out, options.per_class)
            update_manifest(options.out, "datasets", DATASET, record)
        names = [] if options.dataset_only else [options.only] if options.only else list(RECIPES)
        for name in names:
            recipe = RECIPES[name]
            if options.epochs:
                recipe = dataclasses.replace(recipe, epochs=options.epochs)
            record = write_model(name, recipe, options.data, options.out)
            update_manifest(options.out, "models", name, record)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
