"""`python -m benchmarks [NAME ...] [--quick] [--out DIR]`, `python -m benchmarks report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import NAMES, PAGES, pictures, record, report

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if a bar was missed by a full measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure what the page promises about speed."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(NAMES)}; all of these if none is given. 'report' fills the table in "
        f"README.md; {', '.join(PAGES)} write a page of docs/.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few runs, to see that it works; writes a file only with --out",
    )
    parser.add_argument("--out", type=Path, help="where results are kept (benchmarks/results)")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md", help="for 'report'")
    args = parser.parse_args(argv)
    folder = args.out or RESULTS
    if args.names == ["report"]:
        for result in report.load(folder):
            pictures.write(result, folder)
        report.fill(args.readme, folder)
        print(f"Filled in the table of {args.readme.name}.")
        return 0
    unknown = [name for name in args.names if name not in (*NAMES, *PAGES)]
    if unknown:
        there = ", ".join((*NAMES, *PAGES))
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {there}")
    missed = False
    for name in args.names or NAMES:
        module = import_module(f"benchmarks.{name}")
        if name in PAGES:
            if args.quick and not args.out:
                parser.error(f"{name} --quick would overwrite the page; give --out too")
            print(f"Wrote {module.write(args.out or DOCS, quick=args.quick).name}.", flush=True)
            continue
        when = record.conditions()
        found = module.measure(quick=args.quick)
        result = record.as_json(name, module.TITLE, found, when, quick=args.quick)
        print(record.table(result), end="\n\n", flush=True)
        if args.out or not args.quick:
            record.write(result, folder)
            pictures.write(result, folder)
        missed |= any(figure["met"] is False for figure in result["figures"])
    return int(missed and not args.quick)


if __name__ == "__main__":
    sys.exit(main())
