"""`prunevis serve`: the page for a class or for the public."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from prunevis import __version__
from prunevis.app.commands import options
from prunevis.app.limits import Limits
from prunevis.errors import SpecError

#: Option, kind, default, placeholder, help; each also from PRUNEVIS_<OPTION>.
OPTIONS: tuple[tuple[str, Any, Any, str, str], ...] = (
    ("host", str, "127.0.0.1", "ADDRESS", "address to listen on"),
    ("port", options.port, 8866, "PORT", "port"),
    ("base-url", str, "/", "PATH", "path that the page is found under"),
    ("warm", options.count, 2, "N", "kernels kept ready for visitors"),
    ("visitors", options.count, 20, "N", "visitors at the same time; further ones wait; 0: no cap"),
    ("cull", options.count, 120, "SECONDS", "end a kernel whose tab is gone after this time"),
    ("idle", options.count, 30, "MINUTES", "end a kernel whose tab nobody used; 0: never"),
    ("language", options.language, "en", "NAME", "language of the page until a visitor chooses"),
    ("images", options.count, 10_000, "N", "test images a visitor's accuracy is measured on"),
    ("epochs", options.count, 10, "N", "epochs of a visitor's training"),
    ("minutes", options.count, 10, "N", "minutes that a visitor's training may take"),
    ("memory", options.count, 1500, "MB", "memory of a visitor's kernel"),
)
LISTS: tuple[tuple[str, str], ...] = (
    ("embed", "sites that may show the page in a frame, e.g. https://course.example.org"),
    ("origin", "further addresses that the page is reached under, as behind a proxy"),
)


def add(commands: Any) -> None:
    """File the subcommand."""
    serve = commands.add_parser(
        "serve",
        help="serve the page to a class or to the public",
        description="Serve the page to many visitors, each with a kernel of their own. Every "
        "option can also be given as an environment variable: PRUNEVIS_PORT for --port, "
        "PRUNEVIS_BASE_URL for --base-url; several sites are separated by spaces. 0 lifts a "
        "limit. SIGTERM or Ctrl-C ends it.",
    )
    for name, kind, default, shown, text in OPTIONS:
        value = os.environ.get(variable(name)) or str(default)
        serve.add_argument(
            f"--{name}", type=kind, default=value, metavar=shown, help=f"{text} (%(default)s)"
        )
    for name, text in LISTS:
        serve.add_argument(
            f"--{name}", nargs="+", action="extend", metavar="ORIGIN", help=f"{text}"
        )
    serve.set_defaults(run=run)


def variable(option: str) -> str:
    """Return the environment variable that stands for an option."""
    return f"PRUNEVIS_{option.upper().replace('-', '_')}"


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from prunevis.hosting.running import serve
    from prunevis.hosting.settings import Settings

    limits = Limits(
        images=args.images or None,
        epochs=args.epochs or None,
        minutes=args.minutes or None,
        memory_mb=args.memory or None,
    )
    try:
        settings = Settings(
            host=args.host,
            port=args.port,
            base_url=args.base_url,
            warm=args.warm,
            visitors=args.visitors,
            cull=max(2, args.cull),
            idle=args.idle * 60,
            embed=tuple(args.embed or os.environ.get(variable("embed"), "").split()),
            origins=tuple(args.origin or os.environ.get(variable("origin"), "").split()),
            strict_port=True,
            # many kernels share the cores: each on one thread is the fastest for all
            kernels={
                **limits.as_environment(),
                "OMP_NUM_THREADS": "1",
                "PRUNEVIS_LANGUAGE": args.language,
            },
            fork=True,
            access_log=True,
        )
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    if not options.free(args.host, args.port):
        print(f"{options.taken(args.host, args.port)}.", file=sys.stderr)
        return 1
    print(f"prunevis {__version__}: starting the page...", flush=True)
    serve(settings, lambda address: print(f"Serving {address}", flush=True))
    print("Ended.", flush=True)
    return 0
