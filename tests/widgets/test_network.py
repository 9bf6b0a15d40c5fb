"""The drawn network in a real browser: folding, ties, keys, bars, and bad data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fixtures import scene, table
from playwright.sync_api import expect
from tiny_networks import TinyResidual
from torch import nn

import prunevis
from benchmarks.resnets import ResNet
from prunevis.app.views.network import drawn
from prunevis.graph.drawing import draw, fold

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def part(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def node(page: Any, name: str) -> Any:
    return page.locator(f"[data-testid=node][data-name='{name}']")


def names(page: Any) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('[data-testid=node]')].map((n) => n.dataset.name)"
    )


def marked(page: Any, mark: str) -> list[str]:
    return page.evaluate(
        "mark => [...document.querySelectorAll(`.pv-node[data-${mark}]`)]"
        ".map((n) => n.dataset.name || n.dataset.kind)",
        mark,
    )


def small_resnet(depths: tuple[int, ...], bottleneck: bool) -> Any:
    with torch.device("meta"):
        model = ResNet(depths, bottleneck=bottleneck)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    return prunevis.trace(model, torch.zeros(1, 3, 32, 32))


@pytest.fixture(scope="module")
def resnet18() -> Any:
    return small_resnet((2, 2, 2, 2), False)


def slices(graph: Any, layer: str, **more: Any) -> dict[str, Any]:
    """The scene of units with another network in it: half of each layer goes at any position."""
    found = scene("units")
    controls, numbers = found["controls"], table("unit")
    rows = [
        controls["layers"][0]
        | {
            "name": name,
            "kind": info.kind,
            "disabled": (info.reason or "").replace("`", "") or None,
        }
        for name, info in graph.layers.items()
    ]
    shares = [0.5 * k / 100 for k in range(101)]
    numbers["layers"] = {name: shares for name, info in graph.layers.items() if not info.reason}
    return {
        "controls": controls | {"layers": rows, "layer": layer},
        "table": numbers,
        "network": drawn(graph) | {"stage": 0},
        "position": 0.5,
        **more,
    }


def opened(open_page: Open, slices_: dict[str, Any] | None = None, **more: Any) -> Any:
    page = open_page(**(slices_ or {}), **more)
    part(page, "tab-network").click()
    page.wait_for_selector("[data-testid=node]")
    return page


def test_a_chain_with_sizes_and_shares(open_page: Open) -> None:
    page = opened(open_page, position=0.5)
    assert names(page) == ["conv1", "conv2", "fc1", "fc2"]
    text = node(page, "fc1").inner_text().replace("\xa0", " ")
    assert "Linear → 500" in text
    assert "401 k" in text  # 400,000 + 500 parameters
    assert "400 k MACs" in text
    share = table()["layers"]["fc1"]
    assert f"{round(100 * share[50])} %" in text
    # one row of boxes, and nothing to scroll
    tops = {node(page, name).bounding_box()["y"] for name in names(page)}
    assert len(tops) == 1
    expect(page.locator("[data-edge]")).to_have_count(5)


def test_bars_follow_the_slider_in_the_same_frame(open_page: Open) -> None:
    page = opened(open_page, position=0.5)
    part(page, "slider").focus()
    seen = page.evaluate(
        """() => new Promise((done) => {
          const bar = document.querySelector("[data-name='fc1'] .pv-node-bar i");
          const before = bar.style.transform;
          document.querySelector("[data-testid=slider]").dispatchEvent(
            new KeyboardEvent("keydown", { key: "PageUp", bubbles: true, cancelable: true }));
          requestAnimationFrame(() => done([before, bar.style.transform]));
        })"""
    )
    shares = table()["layers"]["fc1"]
    assert seen == [f"scaleX({shares[k]:.6g})" for k in (50, 60)]


def test_picking_a_layer_picks_it_for_all_views(open_page: Open) -> None:
    page = opened(open_page)
    node(page, "fc1").click()
    assert page.evaluate("window.model.sent.at(-1)") == {"action": "layer", "name": "fc1"}
    # the choice is Python's: the mark goes there when the slice says so
    assert marked(page, "current") == ["conv2"]
    controls = scene()["controls"] | {"layer": "fc1"}
    page.evaluate("next => window.model.publish(next)", {"controls": controls})
    page.wait_for_selector("[data-name='fc1'][data-current]")
    assert node(page, "fc1").get_attribute("aria-pressed") == "true"
    expect(part(page, "network-caption").get_by_role("heading")).to_have_text("fc1")
    part(page, "to-weights").click()
    expect(part(page, "panel-weights")).to_be_visible()


def test_a_layer_picked_elsewhere_comes_into_sight(open_page: Open, resnet18: Any) -> None:
    page = opened(open_page, slices(resnet18, "conv1"), width=390)
    inside = """() => {
      const box = document.querySelector("[data-testid=network]").getBoundingClientRect();
      const node = document.querySelector(".pv-node[data-current]").getBoundingClientRect();
      return box.top <= node.top && node.bottom <= box.bottom;
    }"""
    assert page.evaluate(inside)
    scrolled = page.evaluate("window.scrollY")
    controls = slices(resnet18, "layer4.1.conv2")["controls"]
    page.evaluate("next => window.model.publish(next)", {"controls": controls})
    page.wait_for_selector("[data-name='layer4.1'][data-current]")
    assert page.evaluate(inside)
    assert page.evaluate("window.scrollY") == scrolled


@pytest.mark.parametrize("width", [1280, 390])
def test_arrow_keys_go_from_box_to_box(open_page: Open, width: int) -> None:
    page = opened(open_page, width=width)
    ahead, back = ("ArrowRight", "ArrowLeft") if width > 600 else ("ArrowDown", "ArrowUp")
    focused = "document.activeElement.dataset.name"
    expect(page.locator("[data-testid=node][tabindex='0']")).to_have_count(1)
    page.locator("[data-testid=node][tabindex='0']").focus()
    assert page.evaluate(focused) == "conv2"
    for key, name in (
        (ahead, "fc1"),
        (back, "conv2"),
        ("End", "fc2"),
        (ahead, "fc2"),
        ("Home", "conv1"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == name, key
    assert part(page, "network-caption").inner_text().startswith("conv1")
    page.keyboard.press("Enter")
    assert page.evaluate("window.model.sent.at(-1)") == {"action": "layer", "name": "conv1"}


def test_what_leaves_together_is_shown_and_said(open_page: Open) -> None:
    graph = prunevis.trace(TinyResidual(), torch.zeros(1, 1, 6, 6))
    page = opened(open_page, slices(graph, "conv1"))
    assert marked(page, "mate") == []
    node(page, "conv2").hover()
    page.wait_for_selector("[data-name='stem'][data-mate]")
    assert marked(page, "mate") == ["stem", "addition"]
    assert marked(page, "source") == ["conv2"]
    caption = part(page, "network-caption").inner_text()
    assert "stem and conv2 share 6 channels because of the addition in the model's own" in caption
    assert "`" not in caption
    page.mouse.move(2, 2)
    page.wait_for_selector("[data-mate]", state="detached")
    # the same by keyboard, and in what a screen reader is told
    node(page, "stem").focus()
    assert marked(page, "mate") == ["conv2", "addition"]
    assert "tie A" in node(page, "stem").text_content()
    described = node(page, "stem").get_attribute("aria-describedby")
    assert page.locator(f"#{described}").inner_text() == part(page, "network-caption").inner_text()
    assert "tie" not in node(page, "conv1").text_content()


def test_layers_that_stay_are_hatched_and_say_why(open_page: Open) -> None:
    graph = prunevis.trace(TinyResidual(), torch.zeros(1, 1, 6, 6))
    page = opened(open_page, slices(graph, "conv1"))
    assert marked(page, "off") == ["fc"]
    assert "stays" in node(page, "fc").inner_text()
    node(page, "fc").focus()
    caption = part(page, "network-caption").inner_text()
    assert "fc gives the model's outputs, so its units stay" in caption
    assert caption.count("gives the model's outputs") == 1


def test_folding_is_pythons_folding(open_page: Open, resnet18: Any) -> None:
    page = opened(open_page, slices(resnet18, "layer2.0.conv1"))
    drawing = draw(resnet18)

    def same(shut: set[str]) -> None:
        view = fold(drawing, shut)
        edges = page.evaluate(
            "[...document.querySelectorAll('[data-edge]')].map((e) => e.dataset.edge)"
        )
        assert edges == [f"{a} {b}" for a, b in view.edges]
        kinds = [drawing.nodes[members[0]].kind for members in view.parts]
        assert page.locator(".pv-node").count() == len(kinds)
        assert part(page, "join").count() == sum(
            kind == "addition" and len(members) == 1
            for kind, members in zip(kinds, view.parts, strict=True)
        )

    shut = set(drawing.shut)
    assert len(shut) == 8
    same(shut)
    node(page, "layer1.0").click()
    same(shut := shut - {"layer1.0"})
    # a block of 2 convolutions and their addition
    assert names(page)[:4] == ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1"]
    assert page.evaluate("document.activeElement.dataset.name") == "layer1.0.conv1"
    page.locator("[data-testid=fold][data-name='layer2']").click()
    same(shut := shut | {"layer2"})
    assert page.evaluate("document.activeElement.dataset.name") == "layer2"
    assert marked(page, "current") == ["layer2"]
    # by keyboard: the fold of a block comes before its first box
    node(page, "layer1.0.conv1").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    same(shut := shut | {"layer1.0"})
    assert page.evaluate("document.activeElement.dataset.name") == "layer1.0"
    part(page, "unfold-all").click()
    same(set())
    assert len(names(page)) == 21
    part(page, "fold-again").click()
    same(set(drawing.shut))
    expect(part(page, "fold-again")).to_be_hidden()
    expect(page.locator("[data-testid=stage] [tabindex='0']")).to_have_count(1)
    # nobody but the browser is concerned
    assert "fold" not in {message["action"] for message in page.evaluate("window.model.sent")}


def test_a_block_has_the_sums_and_ties_of_its_layers(open_page: Open, resnet18: Any) -> None:
    page = opened(open_page, slices(resnet18, "conv1"))
    inside = [info for name, info in resnet18.layers.items() if name.startswith("layer1.1.")]
    text = node(page, "layer1.1").inner_text().replace("\xa0", " ")
    assert "2 layers" in text
    assert f"{sum(info.num_params for info in inside) / 1e3:.1f} k" in text
    assert "25 %" in text  # half of half
    # conv1 is chosen: its channels go on through the additions of layer1
    assert marked(page, "mate") == ["layer1.0", "layer1.1"]
    page.get_by_test_id("slider").focus()
    page.keyboard.press("Home")
    page.wait_for_selector(".pv[data-k='0']")
    assert "0 %" in node(page, "layer1.1").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_boxes_do_not_overlap_and_the_page_does_not_scroll_sideways(
    open_page: Open, resnet18: Any, width: int
) -> None:
    page = opened(open_page, slices(resnet18, "conv1"), width=width)
    for folded in (True, False):
        if not folded:
            part(page, "unfold-all").click()
        boxes = [found.bounding_box() for found in page.locator(".pv-node").all()]
        for i, one in enumerate(boxes):
            for two in boxes[:i]:
                apart = (
                    one["x"] >= two["x"] + two["width"]
                    or two["x"] >= one["x"] + one["width"]
                    or one["y"] >= two["y"] + two["height"]
                    or two["y"] >= one["y"] + one["height"]
                )
                assert apart, (one, two)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width > 600:
            # rows are filled like text: nothing to scroll sideways in the box either
            assert page.evaluate(
                "(() => { const b = document.querySelector('[data-testid=network]');"
                " return b.scrollWidth <= b.clientWidth; })()"
            )


def test_long_names_are_broken(open_page: Open) -> None:
    name = "backbone_" * 9
    slices_ = scene()
    slices_["network"]["name"][2] = slices_["controls"]["layers"][1]["name"] = name
    slices_["network"]["groups"][1]["text"] = f"`@2` and `{name}` share 50 channels."
    slices_["controls"]["layer"] = name
    page = opened(open_page, slices_, width=390)
    assert part(page, "network-caption").get_by_role("heading").inner_text() == name
    assert part(page, "network-caption").inner_text().count(name) == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = node(page, name).bounding_box()
    assert box["width"] == 134


def test_it_waits_it_is_empty_and_it_fails_in_words(open_page: Open) -> None:
    page = open_page(network={})
    part(page, "tab-network").click()
    panel = part(page, "panel-network")
    assert "Looking who reads whom" in panel.inner_text()
    usual = scene()["network"]
    bare = {name: [] if isinstance(value, list) else value for name, value in usual.items()}
    page.evaluate("next => window.model.publish(next)", {"network": bare})
    panel.get_by_text("There is nothing to draw").wait_for()
    forged = usual | {"edges": [[0, 1], [1, 99]], "stage": 1}
    page.evaluate("next => window.model.publish(next)", {"network": forged})
    panel.get_by_text("This network could not be drawn").wait_for()
    page.evaluate("next => window.model.publish(next)", {"network": usual})
    page.wait_for_selector("[data-testid=node]")
    assert names(page) == ["conv1", "conv2", "fc1", "fc2"]
    expect(panel.get_by_text("could not be drawn")).to_be_hidden()


def test_text_stays_text(open_page: Open) -> None:
    page = opened(open_page, name="hostile")
    node(page, "conv2").hover()
    assert "<img src=x" in part(page, "network-caption").inner_text()
    assert "<b>bold</b>" in part(page, "network-caption").inner_text()
    assert page.evaluate("window.hacked") is None
    expect(page.locator(".pv-views img[src=x]")).to_have_count(0)


def test_single_weights_are_told_apart_from_units(open_page: Open) -> None:
    page = opened(open_page)
    assert "single weights become zeros" in part(page, "network-caption").inner_text()
    controls = scene("units")["controls"]
    page.evaluate("next => window.model.publish(next)", {"controls": controls})
    page.wait_for_selector("[data-name='fc1'][data-current]")
    assert "single weights" not in part(page, "network-caption").inner_text()


def test_branches_side_by_side_stand_one_above_the_other(open_page: Open) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = (nn.Conv2d(3, 4, 1) for _ in range(3))
            self.fc = nn.Linear(12, 2)

        def forward(self, x: Any) -> Any:
            x = torch.cat([self.one(x), self.two(x), self.three(x)], 1)
            return self.fc(x.mean((2, 3)))

    graph = prunevis.trace(Branches(), torch.zeros(1, 3, 4, 4))
    page = opened(open_page, slices(graph, "one"))
    boxes = [node(page, name).bounding_box() for name in ("one", "two", "three")]
    assert len({round(box["x"]) for box in boxes}) == 1
    assert len({round(box["y"]) for box in boxes}) == 3
    assert part(page, "join").get_attribute("data-kind") == "concatenation"
    assert marked(page, "mate") == []  # side by side, each may leave alone
