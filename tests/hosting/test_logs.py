"""What is written down says what happened, and not to whom."""

import logging
from types import SimpleNamespace

import pytest

from prunevis.hosting import logs

ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("403 GET /x?recipe=abc&name=me (203.0.113.9) 2 ms", "403 GET /x ((address)) 2 ms"),
        ("from ::1 and 2001:db8::ff00:42", "from (address) and (address)"),
        (f"GET /api/kernels/{ID}/channels?session_id=1", "GET /api/kernels/*/channels"),
        ("at 12:30:05 in version 0.5.13", "at 12:30:05 in version 0.5.13"),
    ],
)
def test_addresses_queries_and_kernels_are_taken_out(text, written):
    assert logs.without_persons(text) == written


def test_lines_of_an_exception_too():
    try:
        raise ValueError("cannot serve /x?name=me to 203.0.113.9")
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, "f", 1, "failed for %s", ("203.0.113.9",), (type(error), error, None)
        )
    text = logs.Impersonal().format(record)
    assert "203.0.113.9" not in text
    assert "name=me" not in text
    assert "cannot serve /x" in text


def request(path, status=200):
    seen = SimpleNamespace(path=path, method="GET", request_time=lambda: 0.0123)
    return SimpleNamespace(request=seen, get_status=lambda: status)


def test_one_line_a_request_but_none_for_what_every_page_fetches(caplog):
    caplog.set_level(logging.INFO, "prunevis.access")
    logs.access(request("/prune/"))
    logs.access(request("/prune/voila/static/voila.js"))
    logs.access(request("/prune/health"))
    logs.access(request("/prune/voila/static/gone.js", 404))
    logs.access(request("/" + "a" * 500, 404))
    assert caplog.messages == [
        "200 GET /prune/ 12 ms",
        "404 GET /prune/voila/static/gone.js 12 ms",
        "404 GET /" + "a" * 119 + "... 12 ms",
    ]
