"""The command `prunevis`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prunevis import __version__
from prunevis.app.commands import ALL


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="prunevis", description="See what pruning does to a neural network."
    )
    parser.add_argument("--version", action="version", version=f"prunevis {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in ALL:
        command.add(commands)
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 2
    return args.run(args)
