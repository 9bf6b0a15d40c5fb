"""Figures of the page: which are wanted, drawn on the worker, kept until they are stale.

Each figure has a key of all that it shows; a figure whose key has not changed is not drawn again.
matplotlib and seaborn are imported where something is drawn: they take a second that the first page
need not wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import torch

from prunevis.app.views.pieces import terms_of
from prunevis.graph.layers import LayerInfo
from prunevis.session.jobs import SOON
from prunevis.session.state import Session, Stage
from prunevis.statistics import cosine_steps, most_similar_pairs, unit_rows

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer

#: Similar pairs that are listed.
PAIRS = 8
#: Dots an inch: figures are laid out for 100, screens of visitors have up to twice that.
DPI = 180

Drawing = Callable[[], Generator[None, None, dict[str, Any]]]


class Figures:
    """Keeps what is drawn up to date with what is looked at.

    Parameters
    ----------
    explorer
        Told through its `drawn` method when a figure has changed.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.shown: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, tuple[Any, ...]] = {}

    def update(self) -> None:
        """Start drawing what the open tab needs and is not there; called on the worker."""
        session = self.explorer.session
        network, view = session.network, session.view
        if network is None or view.layer not in network.stage.graph.layers:
            return
        stage = network.stage
        layer = stage.graph.layers[view.layer]
        base = (stage.number, view.layer, view.theme)
        if view.tab == "redundancy":
            key = (*base, session.statistics is not None)
            self._want("redundancy", key, lambda: redundancy(session, stage, layer))
        if view.tab == "neurons" and view.unit is not None and session.statistics is not None:
            key = (*base, view.unit)
            unit = view.unit
            self._want("unit", key, lambda: unit_detail(session, stage, layer, unit))
        if view.tab == "criteria":
            for name, drawing in judged(session).items():
                comparison = session.judging.race if name == "race" else session.judging.agreement
                self._want(name, (comparison.number, id(comparison.result), view.theme), drawing)
        if view.tab == "layers":
            table = session.table
            index = -1 if table is None else table.index(session.position)
            key = (stage.number, view.theme, "" if table is None else table.key, index)
            self._want("layers", key, lambda: layer_costs(session, stage))
            if session.scan.result is not None:
                key = (id(session.scan.result), view.theme)
                self._want("sensitivity", key, lambda: sensitivity(session))

    def _want(self, name: str, key: tuple[Any, ...], drawing: Drawing) -> None:
        if self._keys.get(name) == key:
            return
        self._keys[name] = key

        def steps() -> Generator[None, None, None]:
            found = yield from drawing()
            self.shown[name] = found
            self.explorer.drawn(name)

        self.explorer.controller.worker.submit(f"figure {name}", steps, SOON)

    def forget(self) -> None:
        """Drop all figures: another network is shown."""
        self.shown.clear()
        self._keys.clear()


def _png(ax: Any) -> bytes:
    from prunevis import plots

    return plots.png(ax.figure, DPI, transparent=True)


def redundancy(
    session: Session, stage: Stage, layer: LayerInfo
) -> Generator[None, None, dict[str, Any]]:
    """Draw the similarity of a layer's units, by weights and by what they answer."""

    theme = session.view.theme
    kinds = []
    rows = unit_rows(stage.graph, layer, stage.model.get_parameter(layer.weight).detach())
    yield
    by_weights = yield from cosine_steps(rows)
    kinds.append(
        (
            yield from _kind(
                "weights", "By their weights", by_weights, "cosine of incoming weights", theme
            )
        )
    )
    yield
    reason, matrix = "Watching the neurons on training images...", None
    if session.statistics is not None:
        found = session.statistics.activations.get(layer.name)
        reason = "What the units of this layer answer could not be observed."
        if found is not None:
            matrix, reason = found.correlation, found.correlation_reason
    text = "correlation of what they answer to training images"
    if matrix is None:
        kinds.append(
            {
                "name": "activations",
                "label": "By what they answer",
                "png": None,
                "alt": "",
                "reason": reason,
                "text": text,
                "pairs": [],
            }
        )
    else:
        kinds.append((yield from _kind("activations", "By what they answer", matrix, text, theme)))
    return {"layer": layer.name, "kinds": kinds}


def _kind(
    name: str, label: str, matrix: torch.Tensor, text: str, theme: str
) -> Generator[None, None, dict[str, Any]]:
    from prunevis import plots

    ax = plots.similarity_matrix(matrix, title="", theme=theme)
    yield
    pairs = most_similar_pairs(matrix, PAIRS)
    alt = plots.alt.similarity_matrix(matrix)
    yield
    return {
        "name": name,
        "label": label,
        "png": _png(ax),
        "alt": alt,
        "reason": None,
        "text": text,
        "pairs": [{"a": p.a, "b": p.b, "value": round(p.value, 4)} for p in pairs],
    }


def unit_detail(
    session: Session, stage: Stage, layer: LayerInfo, unit: int
) -> Generator[None, None, dict[str, Any]]:
    """Draw one unit: its weights, and the training images that excite it most."""
    from prunevis import plots

    statistics, data = session.statistics, session.network.data
    found = statistics.activations.get(layer.name)
    yield
    weight = stage.model.get_parameter(layer.weight).detach().cpu()
    own = _incoming(layer, weight, unit)
    examples = data.train if statistics.split == "train" and data.train is not None else data.test
    first = next(iter(stage.graph.layers)) == layer.name
    shape = tuple(stage.graph.input_shape)
    facts: list[list[str]] = []
    pictures, values = None, ()
    if found is not None:
        share = float(found.zero_share[unit])
        facts = [
            ["fires in", f"{100 * (1 - share):.1f} % of its answers"],
            ["mean answer", f"{float(found.mean[unit]):.3g}"],
            ["largest answer", f"{float(found.maximum[unit]):.3g}"],
        ]
        values = found.top_values[unit]
        if examples.inputs.ndim == 4 and not bool(found.never_fires[unit]):
            pictures = examples.inputs[found.top_examples[unit]].cpu()
            if data.mean is not None and data.std is not None:
                pictures = pictures * data.std + data.mean
    facts.append(["norm of its weights", f"{float(own.norm()):.3g}"])
    ax = plots.unit_profile(
        own,
        pictures,
        values,
        input_shape=shape if first and len(shape) == 3 else None,
        title="",
        theme=session.view.theme,
    )
    yield
    never = found is not None and bool(found.never_fires[unit])
    return {
        "layer": layer.name,
        "unit": unit,
        "png": _png(ax),
        "alt": plots.alt.unit_profile(own, values),
        "text": "It fired on none of the images." if never else "",
        "facts": facts,
    }


def _incoming(layer: LayerInfo, weight: torch.Tensor, unit: int) -> torch.Tensor:
    """Return the weights that compute one unit, shape (inputs, *kernel)."""
    if not layer.kind.startswith("ConvTranspose"):
        return weight[unit]
    # (inputs, units of a group, *kernel): a group's units read a group's inputs
    each = weight.shape[1]
    inputs = weight.shape[0] // (layer.num_units // each)
    group = unit // each
    return weight[group * inputs : (group + 1) * inputs, unit % each]


def layer_costs(session: Session, stage: Stage) -> Generator[None, None, dict[str, Any]]:
    """Draw each layer's parameters and multiply-adds at the slider's position."""
    from prunevis import plots

    table = session.table
    before = stage.costs.cost()
    after = before if table is None else table.costs[table.index(session.position)]
    yield
    ax = plots.layer_costs(after, before=before, title="", theme=session.view.theme)
    return {
        "png": _png(ax),
        "alt": plots.alt.layer_costs(after),
        "text": "Where the parameters are is rarely where the multiply-adds are: convolutions "
        "reuse each weight at every position.",
    }


def judged(session: Session) -> dict[str, Drawing]:
    """Return what draws the comparisons of criteria that there are, by name."""
    agreement, race = session.judging.agreement.result, session.judging.race.result

    def drawn(name: str, result: Any, **options: Any) -> Generator[None, None, dict[str, Any]]:
        from prunevis import plots

        yield
        theme = session.view.theme
        ax = getattr(plots, name)(result, title="", theme=theme, **options)
        yield
        return {"png": _png(ax), "alt": getattr(plots.alt, name)(result)}

    found: dict[str, Drawing] = {}
    if agreement is not None:
        found["agreement"] = lambda: drawn("agreement", agreement)
        found["agreement_layers"] = lambda: drawn("agreement", agreement, show="layers")
    if race is not None:
        found["race"] = lambda: drawn("race", race)
    return found


def sensitivity(session: Session) -> Generator[None, None, dict[str, Any]]:
    """Draw the scan of sensitivities as far as it has come."""
    from prunevis import plots

    result = session.scan.result
    yield
    ax = plots.sensitivity(result, title="", theme=session.view.theme)
    return {
        "png": _png(ax),
        "alt": plots.alt.sensitivity(result),
        "text": "One layer pruned at a time, the others whole: a line that falls early is a layer "
        f"to prune less (Han et al. 2015).{terms_of(result.spec)}",
    }
