"""`./dev bench [--report] [--users N] [NAME ...]`: run all benchmarks, or the named ones.

With `--against COMMIT` it compares this tree with that commit instead.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from inspect import signature
from pathlib import Path
from types import ModuleType

from benchmarks.against import compare
from benchmarks.batches import (
    chunk,
    command,
    growth,
    kills,
    mail,
    memory,
    million,
    moving,
    postgres,
    reading,
    rows,
    sync,
)
from benchmarks.console import console
from benchmarks.hashing import cores, passwords, ray
from benchmarks.report.write import measure_and_write, redraw
from benchmarks.response_times import health, imported, latency, openid, signin, startup
from benchmarks.search import indexing, listing, search
from benchmarks.strangers import floods, reset_oracle

#: the name of each benchmark is that of its module
_MODULES = (
    startup,
    health,
    signin,
    imported,
    openid,
    latency,
    passwords,
    cores,
    ray,
    listing,
    search,
    indexing,
    reading,
    rows,
    command,
    console,
    memory,
    chunk,
    postgres,
    million,
    sync,
    moving,
    mail,
    growth,
    floods,
    reset_oracle,
    kills,  # the last one, because it ends the run if it fails
)


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


_BENCHMARKS = {_name(module): module for module in _MODULES}
_IN_THE_REPORT = tuple(map(_name, (million, cores, latency, growth, search)))
_USERS = 1_000_000

#: what `measure` of some benchmarks takes by these names, and the default
_AMOUNTS = {"users": _USERS, "trials": 400, "minutes": 10}
_LEAST = {"users": 1_000, "trials": 2, "minutes": 1}


def _without(amount: str) -> tuple[str, ...]:
    """Return the benchmarks that do not take an amount."""
    return tuple(
        name
        for name, module in _BENCHMARKS.items()
        if amount not in signature(module.measure).parameters
    )


_OF_FIXED_SIZE = _without("users")


def main() -> None:
    # As at Ctrl-C, blocks are left: servers are stopped, and folders removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    parser = _parser()
    arguments = parser.parse_args()
    names = arguments.names
    if arguments.against:
        _refuse(parser, "not compared with a commit", set(names) - set(compare.NAMES))
        users, rounds = arguments.users or _USERS, arguments.rounds
        compare.compare(arguments.against, names or compare.BATCH, users, rounds)
        return
    _refuse(parser, "no such benchmark", set(names) - set(_BENCHMARKS))
    amounts = {}
    for amount, default in _AMOUNTS.items():
        given = getattr(arguments, amount)
        if given is not None:
            _refuse(parser, f"--{amount} does not change", set(names) & set(_without(amount)))
            if given < _LEAST[amount]:
                parser.error(f"--{amount} is at least {_LEAST[amount]}")
        amounts[amount] = given or default
    if arguments.redraw:
        redraw()
    elif arguments.report:
        _refuse(parser, "not in the report", set(names) - set(_IN_THE_REPORT))
        users = amounts["users"]
        measure_and_write(names or _IN_THE_REPORT, partial(_measure, amounts=amounts), users)
    else:
        for name in names or _BENCHMARKS:
            _measure(name, amounts)


def _refuse(parser: argparse.ArgumentParser, why: str, names: Iterable[str]) -> None:
    if names:
        parser.error(f"{why}: {', '.join(sorted(names))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        epilog=_list_of_benchmarks(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="run these benchmarks, not all")
    parser.add_argument(
        "--users",
        type=int,
        metavar="N",
        help=f"users of the largest batch (default: {_USERS}); the other numbers are parts or"
        f" multiples of it, except those of {', '.join(_OF_FIXED_SIZE)}",
    )
    parser.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help=f"of each shape of reset_oracle (default: {_AMOUNTS['trials']})",
    )
    parser.add_argument(
        "--minutes",
        type=int,
        metavar="N",
        help=f"of the requests for links of floods (default: {_AMOUNTS['minutes']})",
    )
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help=f"compare the processor time of {', '.join(compare.NAMES)} with that of a commit",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="of --against (default: 5)"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help=f"measure {', '.join(_IN_THE_REPORT)}, or the named ones of them, and write"
        " docs/benchmarks.md and its plots",
    )
    parser.add_argument(
        "--redraw", action="store_true", help="write docs/benchmarks.md from its stored results"
    )
    return parser


def _list_of_benchmarks() -> str:
    """Return a line for each benchmark: the first one of its docstring."""
    lines = ["benchmarks:"]
    for name, module in _BENCHMARKS.items():
        summary, _, _ = (module.__doc__ or "").partition("\n")
        lines.append(f"  {name:12} {summary}")
    return "\n".join(lines)


def _measure(name: str, amounts: dict[str, int]) -> None:
    measure = _BENCHMARKS[name].measure
    taken = signature(measure).parameters
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), **{name: amounts[name] for name in amounts if name in taken})


main()
