"""`./dev bench [NAME ...]`: run all benchmarks, or the named ones."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

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
)


def main() -> None:
    names = sys.argv[1:] or NAMES
    if unknown := set(names) - set(NAMES):
        raise SystemExit(f"no benchmark {', '.join(sorted(unknown))}; use {', '.join(NAMES)}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            import_module(f"benchmarks.{name}").measure(Path(folder))


main()
