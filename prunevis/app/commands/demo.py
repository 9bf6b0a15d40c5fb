"""`prunevis demo`: serve the page on this machine and open it."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import webbrowser
from typing import Any

from prunevis import __version__


def add(commands: Any) -> None:
    """File the subcommand."""
    demo = commands.add_parser(
        "demo",
        help="open the demo page in the browser",
        description="Serve the demo page on this machine and open it in the browser. "
        "Ctrl-C ends it.",
    )
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    demo.add_argument(
        "--port", type=_port, default=None, help="port (8866, or the next that is free)"
    )
    demo.add_argument("--no-browser", action="store_true", help="do not open a browser")
    demo.add_argument(
        "--warm",
        type=_count,
        default=1,
        metavar="N",
        help="kernels kept ready for visitors (%(default)s); each takes about 400 MB",
    )
    demo.add_argument(
        "--cull",
        type=_count,
        default=120,
        metavar="SECONDS",
        help="end a kernel whose tab is gone after this time (%(default)s)",
    )
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from prunevis.app.server import serve

    if args.port is not None and not _free(args.host, args.port):
        print(
            f"Port {args.port} of {args.host} cannot be listened on: it is in use, or not ours to "
            "use. Choose another with --port, or leave --port out.",
            file=sys.stderr,
        )
        return 1
    print(f"prunevis {__version__}: starting the page...", flush=True)

    def announce(address: str) -> None:
        print(f"Open {address}", flush=True)
        print("Ctrl-C ends it.", flush=True)
        if not args.no_browser:
            # opening may wait for the browser; the server's loop must not
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve(
        host=args.host,
        port=8866 if args.port is None else args.port,
        warm=args.warm,
        cull=max(2, args.cull),
        announce=announce,
        strict_port=args.port is not None,
    )
    print("Ended.", flush=True)
    return 0


def _free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else -1
    if count < 0:
        raise argparse.ArgumentTypeError("a number from 0")
    return count
