"""The click path as Python: code that runs as it stands, with public names only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunevis.pruning.repairs import REPAIRS
from prunevis.pruning.spec import PruningSpec
from prunevis.training.schedules import Schedule
from prunevis.training.settings import FineTuneSettings

#: Longest line of the code.
WIDTH = 88
#: How many examples repairs of the page read and run.
CALIBRATION = (2048, 512)


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that was applied to a network.

    Attributes
    ----------
    text
        In words, as the page says it.
    spec
        What was pruned; None if nothing was.
    hold_zeros
        Whether the network had been pruned before, so that training keeps its zeros.
    settings
        How it was trained; None if it was not.
    schedule
        When it was pruned, if that was during training.
    source
        The training examples: "train" for all, "quarter" for a quarter of them.
    """

    text: str
    spec: PruningSpec | None = None
    hold_zeros: bool = False
    settings: FineTuneSettings | None = None
    schedule: Schedule | None = None
    source: str = "train"


@dataclass(frozen=True)
class Start:
    """Where a click path begins.

    Attributes
    ----------
    model, data
        Names in the zoo; None for a person's own, for which the code is a function of both.
    attention
        As for `prunevis.trace`.
    threads
        Of torch, which decide in which order training adds numbers up.
    layers
        What is pruned unless layers are named, by granularity; layers of a step that are these are
        not written out.
    """

    model: str | None
    data: str | None
    attention: str = "heads"
    threads: int = 1
    layers: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)


def script(
    start: Start, steps: Iterable[Step], *, accuracy: float | None = None, count: int | None = None
) -> str:
    """Return Python code that takes the same steps and gives the same numbers.

    Parameters
    ----------
    start
        Where they begin.
    steps
        What was applied, in order.
    accuracy
        What came out, in [0, 1], to compare with; None if it is not known.
    count
        On how many test examples; None: all of them.

    Examples
    --------
    >>> print(script(Start("lenet5", "fashion-mnist"), [Step("80 %", PruningSpec(sparsity=0.8))]))
    import prunevis as pv
    ...
    """
    steps = list(steps)
    own = start.model is None or start.data is None
    body = [line for step in steps for line in _step(start, step)]
    imports = ["import prunevis as pv"]
    if any(step.settings for step in steps):
        imports.insert(0, "import torch")
        body = [f"torch.set_num_threads({start.threads})  # sums in the same order", "", *body]
    if any(step.source == "quarter" for step in steps):
        imports.insert(0, "from dataclasses import replace")
    head = [*imports, ""] if len(imports) == 1 else [*imports[:-1], "", imports[-1], ""]
    if imports[0].startswith("from") and len(imports) == 3:
        head = [imports[0], "", imports[1], "", imports[2], ""]
    if own:
        words = '"""Return the network after all steps; `data` is a pv.Data."""'
        inner = [words, *body, "return model"]
        lines = [*head, "", "def pruned(model, data):", *_indented(inner)]
    else:
        of = "" if count is None else f" of {count:,}"
        expected = "" if accuracy is None else f"  # the page: {accuracy:.2%}{of}"
        lines = [
            *head,
            f"model = pv.load_model({_literal(start.model)})",
            f"data = pv.load_data({_literal(start.data)})",
            "",
            *body,
            *([""] if body and body[-1] else []),
            f'print(f"{{pv.evaluate(model, data.test).accuracy:.2%}}"){expected}',
            f'pv.save(model, "{start.model}-pruned.safetensors")',
        ]
    return "\n".join(lines).rstrip() + "\n"


def _step(start: Start, step: Step) -> list[str]:
    """Return the lines of one step, with an empty one behind."""
    lines = [f"# {' '.join(step.text.split())}"]
    data = "data"
    if step.source == "quarter" and step.settings is not None:
        data = "part"
        lines += [
            "order = torch.randperm(data.train.count, generator=torch.Generator().manual_seed(0))",
            "quarter = data.train.take(order[: data.train.count // 4])",
            "part = replace(data, train=quarter)",
        ]
    if step.schedule is not None and step.spec is not None:
        lines += _call("spec = pv.PruningSpec.make", [], _spec(start, step.spec))
        kind = next(name for name, entry in _schedules() if entry is type(step.schedule))
        lines += _call("schedule = pv.make_schedule", [_literal(kind)], _changed(step.schedule))
        lines += _settings(step.settings)
        names = {"spec": "spec", "settings": "settings", **_held(step)}
        lines += _call("trained = pv.run_schedule", ["model", data, "schedule"], names, plain=True)
        return [*lines, "model = trained.model", ""]
    if step.spec is not None:
        options = {**_spec(start, step.spec), **_repairing(step.spec)}
        if start.attention != "heads":
            options["attention"] = start.attention
        lines += _call("result = pv.prune", ["model", "data"], options)
        if step.settings is None:
            return [*lines, "model = result.model", ""]
    if step.settings is None:
        return []
    lines += _settings(step.settings)
    plan = {} if step.spec is None else {"plan": "result.plan"}
    names = {**plan, "settings": "settings", **_held(step)}
    lines += _call("tuned = pv.fine_tune", ["model", data], names, plain=True)
    return [*lines, "model = tuned.model", ""]


def _schedules() -> Iterable[tuple[str, type[Schedule]]]:
    from prunevis.training.schedules import SCHEDULES

    return SCHEDULES.items()


def _held(step: Step) -> dict[str, str]:
    return {"hold_zeros": "True"} if step.hold_zeros else {}


def _settings(settings: FineTuneSettings | None) -> list[str]:
    changed = {} if settings is None else _changed(settings)
    return _call("settings = pv.FineTuneSettings", [], changed)


def _changed(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are not at their defaults."""
    return {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if getattr(record, field.name) != field.default
    }


def _spec(start: Start, spec: PruningSpec) -> dict[str, Any]:
    """Return what was asked, without what goes without saying."""
    options: dict[str, Any] = {
        "criterion": spec.criterion,
        "granularity": spec.granularity,
        "scope": spec.scope,
        "sparsity": spec.sparsity,
    }
    changed = _changed(spec)
    if spec.layers is not None:
        names = [name for name, _ in spec.layers]
        if spec.own_sparsity:
            options["layers"] = dict(spec.layers)
        elif set(names) != set(start.layers.get(spec.granularity, ())):
            options["layers"] = names
    for name in ("seed", "repair", "keep", "of", "multiple_of", "min_units", "pattern"):
        if name in changed:
            options[name] = changed[name]
    return options


def _repairing(spec: PruningSpec) -> dict[str, Any]:
    reads = spec.repair != "none" and REPAIRS[spec.repair].needs
    return {"calibration": CALIBRATION} if reads else {}


def _call(
    function: str,
    positional: Sequence[str],
    options: Mapping[str, Any],
    *,
    plain: bool = False,
) -> list[str]:
    """Return a call in one line if it fits, else with an argument a line."""
    words = [
        *positional,
        *(f"{name}={value if plain else _literal(value)}" for name, value in options.items()),
    ]
    line = f"{function}({', '.join(words)})"
    if len(line) <= WIDTH:
        return [line]
    inner = ", ".join(words)
    if len(inner) + 4 <= WIDTH:
        return [f"{function}(", f"    {inner}", ")"]
    return [f"{function}(", *(f"    {word}," for word in words), ")"]


def _literal(value: Any) -> str:
    """Return a value as Python writes it, strings in double quotes."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]
