"""`prunevis reproduce`: run a work that pruning is known by, and write a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """File the subcommand."""
    parser = commands.add_parser(
        "reproduce",
        help="run a paper's experiment and compare its numbers with ours",
        description="Run a work that pruning is known by and write a report with its numbers "
        "beside ours. Without a name: list them. Stop it at any moment and run it again: what is "
        "finished is kept.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="which one")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of MNIST's four files ($PRUNEVIS_DATA; downloaded if neither is given)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("reproductions"),
        metavar="DIR",
        help="folder of the reports (%(default)s)",
    )
    parser.add_argument("--seeds", type=_count, default=3, metavar="N", help="runs (%(default)s)")
    parser.add_argument(
        "--short", action="store_true", help="a minute's run that only shows that it works"
    )
    parser.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="cores to use (%(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List, or run one."""
    import torch

    from prunevis.errors import PrunevisError
    from prunevis.reproduce import REPRODUCTIONS, reproduce

    if args.name is None:
        wide = max(len(name) for name in REPRODUCTIONS)
        for name, kind in REPRODUCTIONS.items():
            print(f"{name:<{wide}}  {kind.summary}")
        return 0
    torch.set_num_threads(args.threads)
    try:
        path = reproduce(
            args.name,
            args.out,
            short=args.short,
            seeds=tuple(range(args.seeds)),
            data=args.data,
            say=lambda line: print(line, flush=True),
        )
    except PrunevisError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run it again to go on.", file=sys.stderr)
        return 130
    print(path.read_text("utf-8"))
    print(f"Written to {path}")
    return 0


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if count < 1:
        raise argparse.ArgumentTypeError("a number from 1")
    return count
