"""What a visitor's browser may say to its kernel: all that a page needs, and nothing else.

Every message is taken apart, checked, and put together anew from what was checked, so that the
kernel never reads bytes that were read differently here. What may pass:

* ``kernel_info_request`` and ``comm_info_request``;
* ``comm_open`` of the widgets' control channel, by which a browser asks once for all widgets; never
  of a widget, which would create any class of widget that is installed, with any state;
* ``comm_msg`` that asks for a state, sets what the page's widget lets a browser set, or carries a
  message of the page;
* ``comm_close``.

So code is never run: ``execute_request`` and its like, in whatever spelling, are dropped, as is
whatever is for the control or stdin channel. How much may be said, see `Budget`.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable
from typing import Any

#: The one target that a browser may open a comm for.
CONTROL = "jupyter.widget.control"
#: Traits that a browser may set; all other synced ones go the other way.
SETTABLE = frozenset({"position", "_view_count"})
#: Longest content of a message, in bytes of JSON.
MOST_CONTENT = 256 * 1024
#: The newer form of messages; in the older, JSON with perhaps buffers behind it.
PROTOCOL = "v1.kernel.websocket.jupyter.org"

_NAME = re.compile(r"[\w.\-]{1,64}", re.ASCII)
#: Most parts that a message may consist of.
_PARTS = 16


class Refused(Exception):
    """A message that is not passed on; the text says why, and nothing of what was in it."""


class Budget:
    """How much one visitor may say: a stock that fills up again, of messages and of bytes.

    A page sends at most some thirty short messages a second, while the slider is dragged.

    Parameters
    ----------
    clock
        Gives seconds.
    """

    MESSAGES, MESSAGES_PER_SECOND = 600.0, 60.0
    BYTES, BYTES_PER_SECOND = 24.0 * 2**20, 1.0 * 2**20

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()
        self._messages, self._bytes = self.MESSAGES, self.BYTES

    def spend(self, messages: float, size: int) -> bool:
        """Take from the stock; False if there is not that much left."""
        now = self._clock()
        passed, self._last = now - self._last, now
        self._messages = min(self.MESSAGES, self._messages + passed * self.MESSAGES_PER_SECOND)
        self._bytes = min(self.BYTES, self._bytes + passed * self.BYTES_PER_SECOND)
        self._messages -= messages
        self._bytes -= size
        return self._messages >= 0 and self._bytes >= 0


def checked(raw: str | bytes, protocol: str | None) -> dict[str, Any]:
    """Return the message that a browser sent, made anew from what may pass.

    Parameters
    ----------
    raw
        As it came over the websocket.
    protocol
        The form that was agreed on: `PROTOCOL`, or None for the older.

    Returns
    -------
    dict
        ``header``, ``parent_header``, ``metadata`` and ``content``, for the shell channel.

    Raises
    ------
    Refused
        If it is not for a kernel.
    """
    try:
        channel, header, metadata, content, buffers = _parts(raw, protocol)
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused("malformed") from error
    if channel != "shell":
        raise Refused("for another channel")
    if size > MOST_CONTENT:
        raise Refused("too long")
    if any(buffers):
        raise Refused("with a file that nobody asked for")
    kind = str(header.get("msg_type"))
    check = CONTENTS.get(kind)
    if check is None:
        raise Refused("of a kind that no page sends")
    fresh = check(content)
    return {
        "header": {
            "msg_id": _name(header.get("msg_id")),
            "msg_type": kind,
            "session": _name(header.get("session")),
            "username": "",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": _metadata(kind, metadata),
        "content": fresh,
    }


# -- taking apart ----------------------------------------------------------------------------------


def _parts(raw: str | bytes, protocol: str | None) -> tuple[Any, dict, dict, dict, list[bytes]]:
    """Return channel, header, metadata, content and buffers."""
    if protocol == PROTOCOL:
        if isinstance(raw, str):
            raise ValueError("text where parts were agreed on")
        channel, header, _, metadata, content, *buffers = _cut(raw, 8, "little", 0)
        found = [json.loads(part) for part in (header, metadata, content)]
        channel = channel.decode()
    else:
        older = [raw.encode()] if isinstance(raw, str) else _cut(raw, 4, "big", 1)
        text, *buffers = older
        message = json.loads(text)
        channel = message.get("channel")
        found = [message[part] for part in ("header", "metadata", "content")]
    if not all(isinstance(part, dict) for part in found):
        raise ValueError("not objects")
    return channel, found[0], found[1], found[2], buffers


def _cut(raw: bytes, wide: int, order: Any, ends: int) -> list[bytes]:
    """Cut bytes at the offsets that they begin with; the last is the end of all if `ends` is 0."""
    count = int.from_bytes(raw[:wide], order)
    if not 1 <= count <= _PARTS:
        raise ValueError("parts")
    places = [int.from_bytes(raw[wide * k : wide * (k + 1)], order) for k in range(1, count + 1)]
    if ends:
        places.append(len(raw))
    whole = [wide * (count + 1), *places, len(raw)]
    if whole[0] != places[0] or any(a > b for a, b in itertools.pairwise(whole)):
        raise ValueError("offsets")
    return [raw[a:b] for a, b in itertools.pairwise(places)]


# -- what may pass ---------------------------------------------------------------------------------


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Refused("with an odd name")
    return value


def _metadata(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    version = metadata.get("version")
    if kind == "comm_open" and isinstance(version, str) and re.fullmatch(r"[\d.]{1,9}", version):
        return {"version": version}
    return {}


def _kernel_info(content: dict[str, Any]) -> dict[str, Any]:
    return {}


def _comm_info(content: dict[str, Any]) -> dict[str, Any]:
    return {"target_name": "jupyter.widget"}


def _open(content: dict[str, Any]) -> dict[str, Any]:
    if content.get("target_name") != CONTROL:
        raise Refused("that opens what no page opens")
    return {"comm_id": _name(content.get("comm_id")), "target_name": CONTROL, "data": {}}


def _close(content: dict[str, Any]) -> dict[str, Any]:
    return {"comm_id": _name(content.get("comm_id")), "data": {}}


def _said(content: dict[str, Any]) -> dict[str, Any]:
    data = content.get("data")
    if not isinstance(data, dict):
        raise Refused("without data")
    method = data.get("method")
    if method in ("request_state", "request_states"):
        fresh: dict[str, Any] = {"method": method}
    elif method == "update" and isinstance(data.get("state"), dict):
        state = {key: value for key, value in data["state"].items() if key in SETTABLE}
        fresh = {"method": method, "state": state, "buffer_paths": []}
    elif method == "custom" and isinstance(data.get("content"), dict):
        fresh = {"method": method, "content": data["content"]}
    else:
        raise Refused("with another method than a page's")
    return {"comm_id": _name(content.get("comm_id")), "data": fresh}


#: Kind of message -> what makes its content anew.
CONTENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "kernel_info_request": _kernel_info,
    "comm_info_request": _comm_info,
    "comm_open": _open,
    "comm_msg": _said,
    "comm_close": _close,
}
