"""Files of strangers: what is none of ours is refused from its first bytes, in our own words."""

import io
import json
import pickle
import struct
import zipfile

import pytest
import torch

import prunevis as pv
from prunevis.errors import ModelError


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def safetensors(header, rest=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../weights", b"\0" * 20_000_000)
    return out.getvalue()


def saved():
    out = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, out)
    return out.getvalue()


TENSOR = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (pickle.dumps(Bomb()), "pickle or an archive"),
        (saved(), "pickle or an archive"),
        (zipped(), "pickle or an archive"),
        (struct.pack("<Q", 10 * 2**30) + b'{"a": 1}', "broken, or none"),
        (struct.pack("<Q", 2**63) + b'{"a": 1}', "broken, or none"),
        (safetensors({"huge": TENSOR}), "broken, or none"),
        (safetensors({"<script>alert(1)</script>": {**TENSOR, "shape": [-1]}}), "broken, or none"),
        (safetensors({"__metadata__": {"prunevis": "[" * 10_000}}), "makes no sense"),
        (b"", "broken, or none"),
    ],
    ids=["pickle", "torch", "zip", "10 GB", "2**63", "lie", "script", "deep", "empty"],
)
def test_a_file_that_is_none(tmp_path, contents, why):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(contents)
    with pytest.raises(ModelError, match=why):
        pv.load(path)
    assert [found.name for found in tmp_path.iterdir()] == ["weights.safetensors"]
