"""The page: one anywidget whose panels each read one synced slice.

The browser answers by itself. Python sends tables once (what every slider position costs, what each
histogram bin loses there); a move is a look-up and one animation frame. Python then fills in what
only it can know: accuracy, statistics, figures. Nothing here computes; slices are plain JSON made
by `prunevis.app.views`, and whatever the browser sends is checked there before it is believed.

The scripts in `static/` are joined in the order of their names into one ES module; there is no
build step. Each panel is one file with one function ``xxxPanel(root, model, bus)``.

Slices (Python → browser)
-------------------------
``head``
    ``{title, note, limits}``, e.g. "LeNet-5 on Fashion-MNIST, 10,000 test images"; `limits` says
    what one visitor may use, "" where that is as much as there is.
``status``
    ``{kind: "loading" | "busy" | "idle" | "error", text, done, total}``; `done` of `total` or null.
``controls``
    ``{models: [{name, label, detail}], model, granularities: [{name, label, help, disabled}],
    granularity, criteria: [{name, label, group, summary, formula, source, url, disabled}],
    criterion, basis, caution, repairs: [as criteria], repair, repair_notes: [text],
    scopes: [{name, label, help}], scope, seed, seed_shown, layer,
    layers: [{name, kind, shape, params, share, ticked, own, disabled, is_output,
    together: [name]}], ofs: [{name, label}], of, patterns: [{name, label}], pattern, pattern_help,
    multiples: [number], multiple_of, min_units, pieces_note, pending}`` where `disabled` is null or
    the reason in words, `own` null or a sparsity in [0, 1), `share` of all parameters in [0, 1],
    `layer` the layer that the views show, `together` the layers whose units leave with this one's,
    and `pending` says that the table is still another setting's. `models` is empty for a person's
    own network. `group` is the heading that a criterion stands under, `basis` what the chosen one
    was computed from and `caution` why that is little, or "". `of` is what the slider counts in,
    `patterns` are empty for units and `multiples` for weights, and `pieces_note` says which layers
    are too small to lose units in such multiples.
``table``
    What each slider position costs: ``{key, granularity, of, words, sparsity: [K],
    achieved: [K], params: [K],
    bytes: [K], storage: [K of "dense" | "bitmask" | "csr"], dense_bytes: [K],
    effective_flops: [K], removed_flops: [K], threshold: [K of number | null] | null,
    layers: {name: [K shares removed]}, base: {accuracy, bytes, params, flops}}``. `base` is the
    network as it came (accuracy null while that is being measured). K is 101, or more where a
    person typed a position in between, or fewer where not that much can go; `sparsity` ascends, and
    is the share removed of what `of` names, in `words`. Slices with a `key` other than the
    table's belong to another setting: ignore them.
``curve``
    What is known of accuracy: ``{key, value: [K of number | null], low: [K], high: [K], seen: [K],
    exact: [K of 0 | 1], total, known, compressed: [K of bytes | null],
    deleted: [K of number | null] | [], deleted_exact: [K of 0 | 1] | []}``; `compressed` is the
    size of the compressed file, `deleted` the accuracy without the repair, [] if none is chosen.
``network``
    The drawn network, in columns, one entry a node (see `prunevis.graph.drawing`): ``{stage,
    kind: [N], name: [N], block: [N of index | -1], group: [N of index | -1], what: [N], units: [N],
    weights: [N], params: [N], macs: [N], place: [N], edges: [[from, to]],
    again: [[from, to]], blocks: [{name, parent: index | -1}], shut: [name],
    groups: [{text, stays}], other_macs, unreached: [name]}``. `what` is a layer's kind and kernel,
    the input's shape or the number of outputs; `place` the module that a join stands in; `text`
    says why the channels of a group leave together, with names in backticks, those of layers as @
    and the index of their node, `stays` whether they may not leave; `shut` are the blocks that are
    folded at first. Folding concerns only the browser. Sent when its tab is opened.
``weights``
    ``{key, layer, reason, edges: [B + 1], counts: [B], original: [B] | null, cut: bytes, K,
    threshold: [K of number | null] | null, removed: [K], total, summary}``; `cut` is uint32
    little-endian, K × B: how many weights of a bin go at a position. `threshold` is null where the
    criterion does not cut by |w|. `original` counts the network as it came, if it changed since.
``neurons``
    ``{key, layer, reason, mean: [n], zero_share: [n], never: [n of 0 | 1], rank: [n] | null,
    cuts: [K] | null, examples, selected}``; a unit goes at position k if ``rank < cuts[k]``.
``unit``
    ``{layer, unit, png, alt, text, facts: [[label, value]]}`` of the picked unit, or {}.
``redundancy``
    ``{layer, kinds: [{name, label, png, alt, reason, text, pairs: [{a, b, value}]}]}``.
``layers_view``
    ``{png, alt, text, sensitivity: {state: "none" | "running" | "done", png, alt, text}}``.
``criteria_view``
    How good criteria are: ``{reason, costs: [{images, text, seconds}], agreement: {state, progress,
    doing, figures: [{name: "summary" | "layers", png, alt}], text}, race: {state, progress, doing,
    png, alt, rows: [{label, seconds, accuracy, spread, share}], text}, criteria: [{name, label}],
    usual: [name], most, measures: [{name, label, help}], help}``, or {}. `costs` says what the
    oracle takes, before it starts; `state` is "none", "running", "done", "cancelled" or "failed",
    `doing` what is being done or went wrong, `usual` the criteria that are ticked at first.
``judged_view``
    Beneath the trade-off: ``{timing: {state, progress, doing, rows: [{batch, name, share, low,
    high, text, note}], text}, published: [{params | null, flops | null, accuracy, paper, method,
    source}], cards: [{title, verdict, items: [{state, title, why, how}]}]}``, or {}. `share`, `low`
    and `high` are median and quartiles over the dense network's median; `published` holds what is
    known of the same network on the same data; an item's `state` is "met", "not met" or "not
    applicable".
``fine_tune``
    ``{state: "off" | "ready" | "running" | "paused" | "done" | "cancelled" | "failed", reason,
    epochs, learning_rate, sources: [{name, label}], source, progress, text, steps: [..],
    loss: [..], accuracy: [[step, value]], events: [[step, text]], before, after, can_keep, step,
    phase, sparsity, seconds_left, sight: {step, layer, edges: [B + 1], kept: [B], began: [B],
    gone, total, pixels: {layer, rows, columns, most, values} | null} | null,
    costs: {weights: [before, after]} | null}``; accuracies and sparsities in [0, 1]. `sight` is
    the chosen layer at the last measurement: weights that stay, those it began with, and of a first
    layer that reads pixels how many weights of each stay.
``schedule``
    When to prune: ``{menu: [{name, label, disabled}], name, summary, source, url,
    knobs: [{name, label, kind: "number" | "flag" | "choice", value, least, most, whole, choices}],
    points: [[share of steps, share of sparsity]] | null, more: [as knobs], advice,
    advised: {criterion, scope}, refusal, per_epoch, steps, sparsity,
    curve: [[step, sparsity]], events: [[step, sparsity, text, reset]],
    phases: [[first, last, text]], untrained}``, or {}; `curve` is what is run while something
    runs, else what would be at the slider's sparsity. `points` are those of a schedule that is
    drawn, `advised` what the schedule's source prunes by where that is not chosen, `refusal` says
    why it cannot run, or "". Sent when its tab is opened.
``history``
    Every step that was applied: ``{nodes: [{number, parent: number | null, column, row, name, text,
    accuracy | null, params, bytes, macs, repair, tuned, present, on_path, came_of_it}], text,
    longest_name, comparison: {state, progress, doing, pair: [number, number] | null, names: [2],
    rows: [{label, kind: "share" | "loss" | "count" | "bytes", values: [2]}],
    layers: [{name, params: [2], macs: [2], units: [2]}], classes: [{name, count, values: [2]}],
    counts: {forgotten, learned, other}, samples: [{kind, index, label, said: [2], sure: [2], alt,
    facts, width, height, channels, pixels: bytes | null}], text, note}}``, or {}. `column` and
    `row` say where a node is drawn, `on_path` whether it leads to the present one, `came_of_it` how
    many go if it is forgotten, itself included; pairs are before and after. `pixels` has 1 or 3
    bytes a pixel, row by row; an example that is no picture is told in `facts`. Sent when its tab
    is opened.
``texts``
    The language: ``{language, languages: [{name, label}], entries: {English: text}}``; see
    `prunevis.texts`. `entries` are empty for English.
``steps``
    ``{applied: [text], can_apply, can_undo, can_redo, can_reset, apply_text, redo_text}``.
``problem``
    ``{id, text, fix, detail}`` or {}; `detail` is a traceback, only in a notebook.
``recipe``
    What reproduces the page (see `prunevis.session.recipe`), sent when it is at rest: ``{text,
    json, can, note, opened: {number, tab}}``; `text` is for an address, "" where it is too long for
    one or not known yet, `json` the same for a file, or null; `can` whether there is a text, `note`
    why not, or what may differ here. `opened` counts the recipes that were followed or refused, and
    names the tab that the last one shows. While one is followed it is the page's own.

Both ways
---------
``position``
    The share asked to be removed, in [0, 1): the sparsity, or of what the table says. The browser
    sends it at most every 50 ms.
``watched``
    Whether the page asks every few seconds if Python still answers (`ping`, answered at once by a
    message ``{pong}``) and says so when it does not: on a page for visitors. In a notebook a long
    cell would look the same, and Jupyter itself says when a kernel has died.

Messages (browser → Python), each ``{action, ...}``
---------------------------------------------------
``model | granularity | criterion | scope | of | repair {name}``, ``pattern {name | ""}``,
``seed | multiple_of | min_units {value}``, ``tick {layer, on}``,
``own {layer, value | null}``, ``layer {name}``, ``unit {unit}``, ``tab {name}``,
``theme {name: "light" | "dark"}``, ``language {name}``, ``apply``, ``undo``, ``redo``, ``reset``,
``go | forget {stage}``, ``name {stage, text}``, ``compare {a, b}``,
``draft | fine_tune {schedule, knobs: {name: value}, learning_rate, source, more: {name: value}}``
(of ``fine_tune {epochs, learning_rate, source}`` the rest is as for "one-shot"), ``pause``,
``go_on``,
``cancel {name: "fine_tune" | "scan" | "agreement" | "race" | "latency" | "compare"}``,
``keep``, ``discard``,
``sensitivity``, ``latency``, ``agreement {images}``,
``race {criteria, at: "sparsity" | "params" | "macs"}``, ``dismiss``,
``recipe {text}`` (as it stands in an address, or JSON).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


@cache
def _joined(suffix: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(STATIC.glob(f"*.{suffix}")))


class Page(anywidget.AnyWidget):
    """The explorer's page; see the module's docstring for the slices."""

    _esm = _joined("js")
    _css = _joined("css")

    head = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict({"kind": "loading", "text": "Starting"}).tag(sync=True)
    controls = traitlets.Dict().tag(sync=True)
    table = traitlets.Dict().tag(sync=True)
    curve = traitlets.Dict().tag(sync=True)
    network = traitlets.Dict().tag(sync=True)
    weights = traitlets.Dict().tag(sync=True)
    neurons = traitlets.Dict().tag(sync=True)
    unit = traitlets.Dict().tag(sync=True)
    redundancy = traitlets.Dict().tag(sync=True)
    layers_view = traitlets.Dict().tag(sync=True)
    criteria_view = traitlets.Dict().tag(sync=True)
    judged_view = traitlets.Dict().tag(sync=True)
    fine_tune = traitlets.Dict().tag(sync=True)
    schedule = traitlets.Dict().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    steps = traitlets.Dict().tag(sync=True)
    problem = traitlets.Dict().tag(sync=True)
    recipe = traitlets.Dict().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    #: Checked by whoever observes it: what a browser sends may be anything.
    position: Any = traitlets.Any(0.0).tag(sync=True)
    watched = traitlets.Bool(False).tag(sync=True)
    #: Whether a browser's state is being taken over: `position` may be new and nobody told of it.
    arriving = False

    #: Slices that Python publishes.
    SLICES = (
        "head",
        "status",
        "controls",
        "table",
        "curve",
        "network",
        "weights",
        "neurons",
        "unit",
        "redundancy",
        "layers_view",
        "criteria_view",
        "judged_view",
        "fine_tune",
        "schedule",
        "history",
        "steps",
        "problem",
        "recipe",
        "texts",
    )

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what a browser may set; the slices go one way."""
        views = sync_data.get("_view_count")
        allowed = {"position"} | ({"_view_count"} if type(views) is int else set())
        self.arriving = True
        try:
            super().set_state({key: sync_data[key] for key in allowed & set(sync_data)})
        finally:
            self.arriving = False

    def listen(self, handler: Callable[[dict[str, Any]], None]) -> None:
        """Call `handler` with each message of the browser that is a dict with an action."""

        def on_message(_: object, content: object, __: object) -> None:
            if not isinstance(content, dict) or not isinstance(content.get("action"), str):
                return
            if content["action"] == "ping":
                self.send({"pong": True})
            else:
                handler(content)

        self.on_msg(on_message)
