"""Reading files of strangers and writing whole ones: checked before anything is believed."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunevis.errors import ModelError

#: Longest header that is read, in bytes: names and shapes of 10,000 tensors take about one million.
MAX_HEADER = 32 * 2**20

#: What the record of a file holds, and of which type each part is.
_PARTS: dict[str, type] = {
    "format": int,
    "model": dict,
    "modules": dict,
    "layouts": dict,
    "zeros": dict,
    "pruning": dict,
    "versions": dict,
    "digest": str,
}


def written(path: Path, contents: bytes) -> Path:
    """Write a file whole or not at all, and return its path.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(contents)
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise ModelError(
            "The file cannot be written.", got=error.strerror or str(error), where=path
        ) from error
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the record of a file that `prunevis.save` wrote.

    Raises
    ------
    ModelError
        If it is none, or broken.
    """
    from safetensors import SafetensorError, safe_open

    _check_beginning(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            # cloned: tensors of a file share one block of memory, which looks like a tie
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _broken(path, str(error).splitlines()[0]) from error
    record = _record(path, metadata.get("prunevis"))
    if digest_of(record, tensors) != record["digest"]:
        raise _broken(path, "contents that differ from what was written")
    return tensors, record


def digest_of(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a record without its digest, and of all tensors, as 64 hex digits."""
    rest = {key: value for key, value in record.items() if key != "digest"}
    found = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _check_beginning(path: Path) -> None:
    """Raise unless a file begins as a safetensors file of bearable size does."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelError(
            "There is no such file."
            if isinstance(error, FileNotFoundError)
            else "The file cannot be read.",
            got=None if isinstance(error, FileNotFoundError) else error.strerror,
            where=path,
        ) from error
    ours = start[8:9] == b"{"  # a length may begin as a pickle does
    if not ours and (start[:2] == b"PK" or (start[:1] == b"\x80" and start[1:2] <= b"\x05")):
        raise ModelError(
            "This is a pickle or an archive, whatever its name says; it is not opened.",
            expected="a safetensors file",
            where=path,
            fix="Write the network with prunevis.save(model, path).",
        )
    length = struct.unpack("<Q", start[:8])[0] if len(start) > 8 else 0
    if len(start) < 16 or not ours or length > size - 8:
        raise _broken(path, "a file that does not begin as one")
    if length > MAX_HEADER:
        raise _broken(path, f"a header of {length:,} bytes")


def _broken(path: Path, got: str) -> ModelError:
    return ModelError(
        "This safetensors file is broken, or none.",
        got=got,
        where=path,
        fix="Fetch or write it again.",
    )


def _record(path: Path, text: str | None) -> dict[str, Any]:
    """Return the record in a file's metadata, each part of the type that it must have."""
    if text is None:
        raise ModelError(
            "This file holds weights, but not what is needed to rebuild a network from them.",
            expected="a file that prunevis.save wrote",
            where=path,
            fix="Load its tensors with safetensors and load_state_dict, or write it again.",
        )
    try:
        record = json.loads(text)
        if record["format"] > 1:
            raise ModelError(
                "This file was written by a later version of prunevis.",
                expected="format 1",
                got=f"format {record['format']:g}",
                where=path,
                fix="Update prunevis.",
            )
        good = (
            all(type(record[part]) is kind for part, kind in _PARTS.items())
            and isinstance(record["model"]["class"], str)
            and isinstance(record["model"]["zoo"], str | None)
            and all(_is_module(entry) for entry in record["modules"].values())
            and all(_whole(order) for order in record["layouts"].values())
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _tampered(path) from error
    if not good:
        raise _tampered(path)
    return record


def _is_module(entry: dict[str, Any]) -> bool:
    return isinstance(entry["type"], str) and all(
        type(number) is int or _whole(number) for number in entry["numbers"].values()
    )


def _whole(numbers: object) -> bool:
    return isinstance(numbers, list) and all(type(one) is int for one in numbers)


def _tampered(path: Path) -> ModelError:
    return ModelError(
        "What this file says of its network makes no sense.",
        expected="metadata as prunevis.save writes them",
        where=path,
        fix="Fetch or write it again.",
    )
