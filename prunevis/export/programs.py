"""A network as a program that needs none of its Python code: `torch.export` and ONNX.

Each is run before it is handed over, on one and on several examples, and must give what the network
gives: within `TOLERANCE` of the largest answer, or of 1 where that is smaller.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError, SpecError
from prunevis.evaluation.oneshot import Pruned
from prunevis.export.files import written
from prunevis.graph.checks import check_model
from prunevis.graph.state import untouched
from prunevis.pruning.exchange import made_permanent

#: Largest difference of an answer, as a share of the largest answer.
TOLERANCE = 1e-5
#: What ONNX needs: the format, torch's translator, and the runtime that checks the outcome.
ONNX_NEEDS = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Program:
    """A network as a program, checked.

    Attributes
    ----------
    contents
        Bytes of the file.
    difference
        The largest difference to the network's own answers, as a share of the largest answer.
    any_batch
        Whether it takes any number of examples, or only as many as the example had.
    """

    contents: bytes
    difference: float
    any_batch: bool

    def __repr__(self) -> str:
        batch = "any number of examples" if self.any_batch else "a fixed number of examples"
        size = f"{len(self.contents):,} bytes"
        return f"Program({size}, {batch}, differs by {self.difference:.1g} at most)"


def save_program(model: nn.Module | Pruned, path: str | Path, example_input: Tensor) -> Program:
    """Write a network as a `torch.export` program (``.pt2``), which `torch.export.load` reads.

    Parameters
    ----------
    model
        The network, or what `prune` returned; it is not changed.
    path
        Where to write; a file there is replaced.
    example_input
        A batch, shape (N, ...).

    Raises
    ------
    ModelError
        If the network cannot be exported, or the program gives other answers.
    """
    found = program_of(model, example_input)
    written(Path(path), found.contents)
    return found


def save_onnx(model: nn.Module | Pruned, path: str | Path, example_input: Tensor) -> Program:
    """Write a network as ONNX, checked by running it in onnxruntime; parameters as `save_program`.

    Raises
    ------
    SpecError
        If onnx, onnxscript or onnxruntime is not installed.
    ModelError
        As `save_program`.
    """
    found = onnx_of(model, example_input)
    written(Path(path), found.contents)
    return found


def onnx_missing() -> list[str]:
    """Return which packages that ONNX needs are not installed."""
    return [name for name in ONNX_NEEDS if find_spec(name) is None]


def program_of(model: nn.Module | Pruned, example_input: Tensor) -> Program:
    """Return what `save_program` writes."""

    def export(own: nn.Module, example: Tensor, shapes: Any) -> bytes:
        exported = torch.export.export(own, (example,), dynamic_shapes=shapes, strict=False)
        buffer = io.BytesIO()
        torch.export.save(exported, buffer)
        return buffer.getvalue()

    def opened(contents: bytes) -> Callable[[Tensor], Tensor]:
        return torch.export.load(io.BytesIO(contents)).module()

    return _checked(model, example_input, export, opened, "torch.export")


def onnx_of(model: nn.Module | Pruned, example_input: Tensor) -> Program:
    """Return what `save_onnx` writes."""
    missing = onnx_missing()
    if missing:
        raise SpecError(
            "ONNX needs packages that are not installed.",
            got=f"no {', no '.join(missing)}",
            fix='Run pip install "prunevis[onnx]".',
        )

    def export(own: nn.Module, example: Tensor, shapes: Any) -> bytes:
        found = torch.onnx.export(
            own,
            (example,),
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
            input_names=["input"],
            output_names=["output"],
        )
        assert found is not None, "without a path the program is returned"
        return found.model_proto.SerializeToString()

    def opened(contents: bytes) -> Callable[[Tensor], Tensor]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            contents, options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])

    return _checked(model, example_input, export, opened, "ONNX")


def _checked(
    model: nn.Module | Pruned,
    example_input: Tensor,
    export: Callable[[nn.Module, Tensor, Any], bytes],
    opened: Callable[[bytes], Callable[[Tensor], Tensor]],
    kind: str,
) -> Program:
    """Export a copy for any number of examples, or a fixed one, and see that it runs."""
    source = model.model if isinstance(model, Pruned) else model
    if not isinstance(example_input, Tensor) or example_input.dim() < 1 or not len(example_input):
        raise SpecError(
            "The example must be a batch.",
            expected="a tensor (N, ...)",
            got=repr(example_input)[:80],
        )
    own = made_permanent(source).eval().cpu()
    check_model(own)
    # a batch of one is taken for a number that never changes; a view drags its storage along
    example = example_input.detach().cpu()[:2].clone()
    example = example if len(example) > 1 else torch.cat([example, example])
    with untouched(own), quiet(), torch.no_grad():
        try:
            contents = export(own, example, ({0: torch.export.Dim("batch")},))
            any_batch = True
        except Exception:
            try:
                contents, any_batch = export(own, example, None), False
            except Exception as error:
                raise ModelError(
                    f"{kind} cannot follow this network.",
                    got=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}",
                    fix="Its forward may look at values; the weights as safetensors still work.",
                ) from error
        run = opened(contents)
        batches = [example[:1], torch.cat([example, example[:1]])] if any_batch else [example]
        difference = max(_difference(run(batch), own(batch)) for batch in batches)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"The {kind} program gives other answers than the network.",
            expected=f"a difference of at most {TOLERANCE:g}",
            got=f"{difference:.2g} of the largest answer",
        )
    return Program(contents, difference, any_batch)


def _difference(found: Any, expected: Any) -> float:
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor):
        raise ModelError("The network must give one tensor.", got=type(expected).__name__)
    if found.shape != expected.shape:
        return float("inf")
    largest = max(1.0, float(expected.abs().max()))
    return float((found.double() - expected.double()).abs().max()) / largest


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' notes on their own progress from the person's screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
