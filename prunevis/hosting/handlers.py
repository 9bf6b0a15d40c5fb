"""What answers a visitor: Voila's handlers, each with what it leaves open closed.

* `Page` counts visitors, shows further ones where to wait, and leaves no query to Voila:
  ``?theme=`` and ``?template=`` would pass by the pool of warm kernels.
* `KernelSocket` sends each message at once (TCP_NODELAY: Nagle's algorithm holds it for company, up
  to 40 ms), and passes on only what a page needs: no traceback, no printed line. A message with
  buffers in the older form of the protocol had Voila read without end; here it is read as it is.
* `Goodbye` takes the beacon of a closing tab, which carries no XSRF token and was refused
  (voila#1458), so that the kernel stayed; origins are still checked.
* `OwnKernel`, `Templates`: nothing is done to a kernel by REST, and no odd path ends in an error;
  of Voila's other handlers only those that give out the front end's files are kept.
* `Health` says in JSON how the server is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http.client import responses
from typing import Any

from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from prunevis.hosting.connection import MOST_TABS
from prunevis.hosting.pool import ARRIVING, Visit
from prunevis.hosting.settings import Settings
from prunevis.hosting.waiting import RETRY_AFTER, waiting_page

#: Messages of a kernel that its page is for; all others, with their tracebacks, stay here.
TO_PAGES = frozenset(
    {
        "comm_open",
        "comm_msg",
        "comm_close",
        "comm_info_reply",
        "kernel_info_reply",
        "status",
        "iopub_welcome",
        "shutdown_reply",
    }
)
#: How a browser names its session, and the files of a template.
SESSION = re.compile(r"[\w\-]{1,64}", re.ASCII)
TEMPLATE_FILE = re.compile(r"\w+/static/\w[\w.\-/]*", re.ASCII)


class Plain(web.RequestHandler):
    """Errors in plain text."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in a few words what is wrong: Jupyter's own page of errors fails under Voila."""
        self.set_header("Content-Type", "text/plain")
        self.finish(f"{status_code}: {responses.get(status_code, 'error')}\n")


class Page(Plain, TornadoVoilaHandler):
    """The page, or where to wait for it."""

    async def get(self, path: str | None = None) -> None:
        """Answer with the page, or with where to wait."""
        if path:
            raise web.HTTPError(404)
        self.request.arguments.clear()
        self.request.query_arguments.clear()
        self.request.query = ""
        self.request.uri = self.request.path
        manager: Any = self.kernel_manager
        if not manager.room:
            self.set_status(503)
            self.set_header("Retry-After", str(RETRY_AFTER))
            self.set_header("Cache-Control", "no-store")
            health = url_path_join(self.base_url, "health")
            self.finish(waiting_page(manager.visitors, health))
            return
        visit = Visit()
        manager.arriving.add(visit)
        ARRIVING.set(visit)
        try:
            theirs: Any = super().get(path)
            await theirs
        finally:
            manager.arriving.discard(visit)


class KernelSocket(Plain, VoilaKernelWebsocketHandler):
    """The line between a page and its kernel."""

    async def get(self, kernel_id: str) -> Any:
        """Connect to a visitor's kernel, and to no other."""
        manager: Any = self.kernel_manager
        known(manager, kernel_id)
        if manager._kernel_connections.get(kernel_id, 0) >= MOST_TABS:
            raise web.HTTPError(429)
        # it becomes an address of ZeroMQ's
        if not SESSION.fullmatch(self.get_argument("session_id", "")):
            raise web.HTTPError(400)
        theirs: Any = super().get(kernel_id=kernel_id)
        return await theirs

    async def open(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, with no message held back."""
        self.set_nodelay(True)
        return await super().open(*args, **kwargs)

    def on_message(self, ws_message: Any) -> Any:
        """Pass a browser's message on."""
        manager: Any = self.kernel_manager
        manager.heard(self.kernel_id)
        return super().on_message(ws_message)

    def write_message(self, message: Any, binary: bool = False) -> Any:
        """Pass a kernel's message on, if a page needs it."""
        if self.ws_connection is None:
            return None  # the tab has just gone
        if _header(message, self.selected_subprotocol).get("msg_type") not in TO_PAGES:
            return None
        # not Voila's: of a message in the older form it takes offsets for a length, and reads for
        # ever, which a visitor could bring about
        try:
            return WebSocketHandler.write_message(self, message, binary)
        except WebSocketClosedError:  # the kernel had more to say than its line lasted
            return None


def _header(message: Any, protocol: str | None) -> dict[str, Any]:
    """Return the header of a message, in any of the forms that go over the websocket."""
    if isinstance(message, dict):
        return message.get("header") or {}
    if isinstance(message, str):
        return json.loads(message).get("header") or {}
    # how many parts, and where each begins; the older form counts in four bytes, the newer in eight
    wide, order = (8, "little") if protocol else (4, "big")
    numbers = [
        int.from_bytes(message[place : place + wide], order)
        for place in range(0, min(5 * wide, len(message)), wide)
    ]
    if protocol:
        return json.loads(message[numbers[2] : numbers[3]])
    end = numbers[2] if numbers[0] > 1 else None
    return json.loads(message[numbers[1] : end]).get("header") or {}


class Goodbye(VoilaShutdownKernelHandler):
    """Where a closing tab says that its kernel may go."""

    def check_xsrf_cookie(self) -> None:
        """Ask for no token, but refuse other sites."""
        # a beacon is a plain POST of our own page; it need not say its origin, but not another's
        if not self.check_origin():
            raise web.HTTPError(403)

    async def post(self, kernel_id: str) -> None:
        """End the kernel."""
        known(self.kernel_manager, kernel_id)
        theirs: Any = super().post(kernel_id)
        await theirs


class OwnKernel(KernelHandler):
    """Where a page asks whether its kernel is there; nothing can be done to it here."""

    async def get(self, kernel_id: str) -> None:
        """Say how it is."""
        known(self.kernel_manager, kernel_id)
        theirs: Any = super().get(kernel_id)
        await theirs

    async def delete(self, kernel_id: str) -> None:
        """Refuse: a page says good-bye by its beacon."""
        raise web.HTTPError(405)


class Templates(TemplateStaticFileHandler):
    """The files of templates; what is no such path is not found."""

    def parse_url_path(self, path: str) -> str:
        """Return the path, if it is one of a template's files."""
        if not TEMPLATE_FILE.fullmatch(path):
            raise web.HTTPError(404)
        return super().parse_url_path(path)


class Extensions(Plain, FileFindHandler):
    """The files of the front end's extensions."""


def known(manager: Any, kernel_id: str) -> None:
    """Raise unless a kernel is a visitor's; those in the pool are nobody's yet."""
    if kernel_id not in manager.visits:
        raise web.HTTPError(404)


class Health(JupyterHandler):
    """How the server is, for a monitor and for those who wait."""

    async def get(self) -> None:
        """Answer with numbers."""
        manager: Any = self.kernel_manager
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        settings: Settings = self.settings["prunevis"]
        found = {
            "status": "ok" if manager.room else "full",
            "visitors": manager.visitors,
            "most": settings.visitors or None,
            "room": manager.room,
            "warm": len(manager.waiting()),
        }
        self.finish(json.dumps(found))


#: Voila's handler -> ours.
OURS = {
    TornadoVoilaHandler: Page,
    VoilaKernelWebsocketHandler: KernelSocket,
    VoilaShutdownKernelHandler: Goodbye,
    KernelHandler: OwnKernel,
    TemplateStaticFileHandler: Templates,
    FileFindHandler: Extensions,
}
#: Voila's handlers that are served as they are: the files of the page's front end. All others, with
#: whatever a later version or an extension adds, are not.
THEIRS = (MultiStaticFileHandler,)


def with_ours(rules: Sequence[Any], server_url: str) -> tuple[list[Any], list[str]]:
    """Return the rules that a page needs, with our handlers, and which of Voila's were missing."""
    found = [
        (rule[0], OURS.get(rule[1], rule[1]), *rule[2:])
        for rule in rules
        if rule[1] in OURS or rule[1] in THEIRS
    ]
    there = {rule[1] for rule in rules}
    missing = [
        f"{theirs.__name__} is not used" for theirs in (*OURS, *THEIRS) if theirs not in there
    ]
    return [(url_path_join(server_url, "/health"), Health), *found], missing
