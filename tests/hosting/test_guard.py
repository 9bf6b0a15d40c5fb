"""What a browser may say: made anew from what was checked, in both forms; all else is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.hosting.guard import PROTOCOL, Budget, Refused, checked

HEADER = {"msg_id": "a-1", "msg_type": "comm_msg", "session": "b2", "username": "me"}


def message(content, kind="comm_msg", channel="shell", metadata=None, **header):
    return {
        "channel": channel,
        "header": {**HEADER, "msg_type": kind, **header},
        "parent_header": {"msg_id": "x"},
        "metadata": metadata or {},
        "content": content,
    }


def newer(body, *buffers):
    parts = [body["channel"].encode()]
    names = ("header", "parent_header", "metadata", "content")
    parts += [json.dumps(body[name]).encode() for name in names]
    parts += buffers
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    numbers = [len(offsets), *offsets]
    return b"".join(n.to_bytes(8, "little") for n in numbers) + b"".join(parts)


def said(**data):
    return {"comm_id": "c0ffee", "data": data}


FORMS = [(json.dumps, None), (newer, PROTOCOL)]


@pytest.mark.parametrize(("form", "protocol"), FORMS)
def test_what_a_page_says_passes(form, protocol):
    def passed(*args, **more):
        return checked(form(message(*args, **more)), protocol)

    found = passed(said(method="update", state={"position": 0.5, "_esm": "x"}, buffer_paths=[1]))
    assert found["content"] == said(method="update", state={"position": 0.5}, buffer_paths=[])
    assert found["header"]["msg_id"] == "a-1"
    assert found["header"]["username"] == ""
    assert found["parent_header"] == {}
    custom = said(method="custom", content={"action": "ping"})
    assert passed(custom)["content"] == custom
    assert passed(said(method="request_state"))["content"] == said(method="request_state")
    control = {"comm_id": "c1", "target_name": "jupyter.widget.control", "data": {"x": 1}}
    opened = passed(control, "comm_open", metadata={"version": "1.0.0", "y": 1})
    assert opened["content"] == {**control, "data": {}}
    assert opened["metadata"] == {"version": "1.0.0"}
    assert passed({"x": 1}, "kernel_info_request")["content"] == {}
    assert passed({}, "comm_info_request")["content"] == {"target_name": "jupyter.widget"}
    assert passed({"comm_id": "c1"}, "comm_close")["content"] == {"comm_id": "c1", "data": {}}


@pytest.mark.parametrize(("form", "protocol"), FORMS)
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (message({"code": "1"}, kind), "kind")
        for kind in (
            *("execute_request", "inspect_request", "complete_request", "history_request"),
            *("debug_request", "input_reply", "interrupt_request", "shutdown_request"),
            *("create_subshell_request", "is_complete_request", "usage_request", "", "Comm_msg"),
        )
    ]
    + [
        (message({"comm_id": "x", "target_name": "jupyter.widget"}, "comm_open"), "opens"),
        (message(said(method="ping")), "method"),
        (message(said(method=["update"])), "method"),
        (message(said(method="update", state=[])), "method"),
        (message({"comm_id": "x"}), "data"),
        (message({"comm_id": "../x", "data": {"method": "request_state"}}), "name"),
        (message(said(method="request_state"), msg_id="a" * 65), "name"),
        (message(said(method="request_state"), channel="control"), "channel"),
        (message(said(method="request_state"), channel="stdin"), "channel"),
        (message(said(method="custom", content={"a": "b" * 300_000})), "long"),
        (message(said(method="custom", content={"a": float("nan")})), "malformed"),
        (message(said(method="custom", content={"a": "\ud800"})), "malformed"),
        (message([]), "malformed"),
    ],
)
def test_nothing_else_passes(form, protocol, body, why):
    with pytest.raises(Refused, match=why):
        checked(form(body), protocol)


def test_of_two_values_the_one_that_was_checked_is_passed_on():
    """A kernel that takes the first of two equal names would see another message than the guard."""
    body = json.dumps(message(said(method="request_state")))
    twice = body.replace('"msg_type": ', '"msg_type": "execute_request", "msg_type": ')
    assert checked(twice, None)["header"]["msg_type"] == "comm_msg"
    assert "execute_request" not in json.dumps(checked(twice, None))


def test_no_file_comes_over_the_line():
    body = message(said(method="custom", content={"action": "ping"}))
    with pytest.raises(Refused, match="file"):
        checked(newer(body, b"abc"), PROTOCOL)


@pytest.mark.parametrize("raw", ["", "[]", "1", "null", "[" * 100_000, "{}", "{" * 9, "9" * 9999])
def test_malformed_text(raw):
    for protocol in (None, PROTOCOL):
        with pytest.raises(Refused, match="malformed"):
            checked(raw, protocol)


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(raw):
    for protocol in (None, PROTOCOL):
        with pytest.raises(Refused):
            checked(raw, protocol)


def test_the_page_takes_no_more_than_the_guard_passes(monkeypatch):
    from prunevis.hosting.guard import SETTABLE
    from prunevis.widgets.page import Page

    page = Page()
    taken = []
    monkeypatch.setattr("anywidget.AnyWidget.set_state", lambda self, state: taken.extend(state))
    page.set_state(dict.fromkeys(Page.class_trait_names(sync=True), 1))
    assert set(taken) == SETTABLE


def test_the_budget_fills_up_again():
    now = [0.0]
    budget = Budget(lambda: now[0])
    assert all(budget.spend(1, 100) for _ in range(600))
    assert not budget.spend(1, 100)
    now[0] += 1
    assert all(budget.spend(1, 100) for _ in range(59))
    assert not budget.spend(1, 100)
    assert not Budget(lambda: 0.0).spend(1, 25 * 2**20)
