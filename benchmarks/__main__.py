"""`./dev bench [--users N] [NAME ...]`: run all benchmarks, or the named ones."""

import argparse
import tempfile
from importlib import import_module
from inspect import signature
from pathlib import Path

#: which have no limit
FOR_THE_REPORT = ("cores", "latency", "growth")

NAMES = (
    "startup",
    "reading",
    "rows",
    "command",
    "passwords",
    "memory",
    "chunk",
    "health",
    "signin",
    "postgres",
    "listing",
    "million",
    "ray",
    *FOR_THE_REPORT,
    "kills",
)


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    if arguments.users < 1_000:
        parser.error("--users is at least 1000")
    for name in arguments.names or NAMES:
        _measure(name, arguments.users)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(NAMES)}")
    parser.add_argument(
        "--users", type=int, default=1_000_000, help="most users of a batch (default: a million)"
    )
    return parser


def _measure(name: str, users: int) -> None:
    package = "benchmarks.report" if name in FOR_THE_REPORT else "benchmarks"
    measure = import_module(f"{package}.{name}").measure
    with tempfile.TemporaryDirectory() as folder:
        if "users" in signature(measure).parameters:
            measure(Path(folder), users)
        else:
            measure(Path(folder))


main()
