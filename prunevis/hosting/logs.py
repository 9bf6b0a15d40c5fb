"""What is written down: what happened and when, and nothing about who it happened to.

No address, no query (a recipe may stand in it), no cookie, no browser, and no kernel's id, which is
all that is needed to speak to that kernel.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any

log = logging.getLogger("prunevis.access")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_QUERY = re.compile(r"\?[^\s\"')]*")
_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
    # eight groups, or fewer with "::": a time of day is no address
    r"|(?<![\w:])(?=[\da-fA-F:]*::|(?:[\da-fA-F]+:){7})(?:[\da-fA-F]{0,4}:){2,7}[\da-fA-F]{0,4}(?![\w:])"
)

#: What every page fetches besides itself is not worth a line, unless it fails.
_USUAL = ("/voila/static/", "/voila/templates/", "/voila/labextensions/", "/health")


def without_persons(text: str) -> str:
    """Return `text` with addresses, queries and kernels' ids taken out."""
    return _ADDRESS.sub("(address)", _QUERY.sub("", _ID.sub("*", text)))


class Impersonal(logging.Formatter):
    """Writes the time in UTC, and nothing about a person."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; also of what libraries write, with the lines of an exception."""
        return without_persons(super().format(record))


def start() -> None:
    """Write all loggers of this process to standard error, impersonally."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Impersonal())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("prunevis").setLevel(logging.INFO)


def access(handler: Any) -> None:
    """Write one line for a request that was answered; tornado calls this."""
    request, status = handler.request, handler.get_status()
    if status < 400 and any(part in request.path for part in _USUAL):
        return
    took = 1000 * request.request_time()
    path = request.path if len(request.path) <= 120 else request.path[:120] + "..."
    log.info("%d %s %s %.0f ms", status, request.method, path, took)


def nothing(handler: Any) -> None:
    """Write no line for a request."""
