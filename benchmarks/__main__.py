"""`./dev bench [--report] [--users N] [NAME ...]`: run all benchmarks, or the named ones."""

import argparse
import tempfile
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path

from benchmarks.report.write import measure_and_write, redraw

#: the benchmarks of each folder; `kills` is the last one, because it ends the run if it fails
_FOLDERS = {
    "response_times": ("startup", "health", "signin", "latency"),
    "hashing": ("passwords", "cores", "ray"),
    "search": ("listing", "search", "indexing"),
    "batches": (
        "reading",
        "rows",
        "command",
        "memory",
        "chunk",
        "postgres",
        "million",
        "growth",
        "kills",
    ),
}
_FOLDER_OF = {name: folder for folder, names in _FOLDERS.items() for name in names}

NAMES = tuple(_FOLDER_OF)

IN_THE_REPORT = ("million", "cores", "latency", "growth", "search")


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    if arguments.users < 1_000:
        parser.error("--users is at least 1000")
    measure = partial(_measure, users=arguments.users)
    if arguments.redraw:
        redraw()
    elif arguments.report:
        if others := set(arguments.names) - set(IN_THE_REPORT):
            parser.error(f"not in the report: {', '.join(sorted(others))}")
        measure_and_write(arguments.names or IN_THE_REPORT, measure, arguments.users)
    else:
        for name in arguments.names or NAMES:
            measure(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(NAMES)}")
    parser.add_argument(
        "--users", type=int, default=1_000_000, help="most users of a batch (default: a million)"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="measure and write docs/benchmarks.md, or its named parts",
    )
    parser.add_argument(
        "--redraw", action="store_true", help="write docs/benchmarks.md from its stored results"
    )
    return parser


def _measure(name: str, users: int) -> None:
    measure = import_module(f"benchmarks.{_FOLDER_OF[name]}.{name}").measure
    with tempfile.TemporaryDirectory() as folder:
        if "users" in signature(measure).parameters:
            measure(Path(folder), users)
        else:
            measure(Path(folder))


main()
