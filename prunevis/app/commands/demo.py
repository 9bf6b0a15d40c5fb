"""`prunevis demo`: serve the page on this machine and open it."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser
from typing import Any

from prunevis import __version__
from prunevis.app.commands import options


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
        "--port", type=options.port, default=None, help="port (8866, or the next that is free)"
    )
    demo.add_argument("--no-browser", action="store_true", help="do not open a browser")
    demo.add_argument(
        "--warm",
        type=options.count,
        default=1,
        metavar="N",
        help="kernels kept ready for visitors (%(default)s); each takes about 400 MB",
    )
    demo.add_argument(
        "--cull",
        type=options.count,
        default=120,
        metavar="SECONDS",
        help="end a kernel whose tab is gone after this time (%(default)s)",
    )
    demo.add_argument(
        "--language",
        type=options.language,
        default=os.environ.get("PRUNEVIS_LANGUAGE") or "en",
        metavar="NAME",
        help="language of the page until a visitor chooses (%(default)s)",
    )
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from prunevis.hosting.running import serve
    from prunevis.hosting.settings import Settings

    if args.port is not None and not options.free(args.host, args.port):
        print(
            f"{options.taken(args.host, args.port)}, or leave --port out.",
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

    settings = Settings(
        host=args.host,
        port=8866 if args.port is None else args.port,
        warm=args.warm,
        cull=max(2, args.cull),
        strict_port=args.port is not None,
        kernels={"PRUNEVIS_LANGUAGE": args.language},
    )
    serve(settings, announce)
    print("Ended.", flush=True)
    return 0
