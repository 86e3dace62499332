"""Run cosmic-ray over modules: see `./dev mutants --help`."""

import argparse
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.support.paths import ROOT

#: of the environment that has cosmic-ray: its dependencies are kept apart from ours
_COSMIC_RAY = ROOT / ".venv" / "mutants" / "bin" / "cosmic-ray"

_EQUIVALENT = Path(__file__).parent / "equivalent.toml"

#: percent of the changes that are not equivalent
_GOAL = 95

# Of each operator one replacement, since the same tests notice the others. No `|`, which is mostly
# in annotations. `is` never becomes `==`, which is the same for None.
_CHOSEN = re.compile(
    r"ours/|core/(?!ReplaceBinaryOperator|ReplaceComparisonOperator|VariableInserter|VariableReplacer)"
    r"|core/ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Add|Pow_Mul)$"
    r"|core/ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is)$"
    r"|core/ReplaceComparisonOperator_(Lt_LtE|Lt_Gt|LtE_Lt|LtE_GtE|Gt_GtE|Gt_Lt|GtE_Gt|GtE_LtE)$"
)


class Result(NamedTuple):
    """The changes of a module."""

    noticed: int
    equivalent: int
    #: diffs
    survivors: list[str]


def main() -> int:
    """Change modules one after the other, and see whether tests notice it.

    It fails if less than 95 % of the changes are noticed that are not in `equivalent.toml`.
    """
    options = _options()
    with TemporaryDirectory(prefix="mutants-") as folder:
        copy = _copied(Path(folder) / "tree")
        _write_plugin(copy)
        results = [_run(module, copy, Path(folder), options) for module in options.modules]
    noticed = sum(result.noticed for result in results)
    survivors = sum(len(result.survivors) for result in results)
    percent = 100 * noticed / max(1, noticed + survivors)
    print(f"noticed: {noticed} of {noticed + survivors} ({percent:.1f} %)")
    return int(percent < _GOAL)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=main.__doc__)
    parser.add_argument("modules", metavar="MODULE", nargs="+", help="such as domain/emails.py")
    parser.add_argument("--tests", nargs="+", required=True, help="files or folders in tests/")
    parser.add_argument("--sample", type=int, default=30, help="changes of each module; 0 for all")
    parser.add_argument("--seed", type=int, default=13, help="of the sample")
    parser.add_argument("-k", default="not postgres", help="which tests: see `pytest -k`")
    return parser.parse_args()


def _copied(copy: Path) -> Path:
    """Copy the working tree, so that no change is ever in the tree itself."""
    hidden = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=hidden)
    # By the time and size of a file, Python would take some changes for the code before them.
    command = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "checked-hash",
        "src",
    ]
    subprocess.run(command, cwd=copy, check=True)
    return copy


def _write_plugin(copy: Path) -> None:
    """Let cosmic-ray find `operators.py`, as it finds the operators of an installed package."""
    info = copy / "src" / "mutants-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mutants\nVersion: 0\n")
    group = "[cosmic_ray.operator_providers]"
    (info / "entry_points.txt").write_text(f"{group}\nours = tests.mutants.operators:operators\n")


def _run(name: str, copy: Path, folder: Path, options: argparse.Namespace) -> Result:
    command = [sys.executable, "-m", "pytest", "-qx", "-k", options.k, *options.tests]
    environment = os.environ | {"PYTHONPATH": f"{copy / 'src'}:{copy}"}
    started = time.monotonic()
    unchanged = subprocess.run(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, check=False
    )
    if unchanged.returncode:
        sys.exit(f"{name}: the tests fail without a change:\n{unchanged.stdout.decode()}")
    limit = 30 + 3 * (time.monotonic() - started)
    config, session = folder / "config.toml", folder / "session.sqlite"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "src/anyscale/{name}"\ntimeout = {limit:.0f}\n'
        f"excluded-modules = []\ntest-command = '''{_quoted(command)}'''\n"
        'distributor.name = "local"\n'
    )
    session.unlink(missing_ok=True)
    subprocess.run([_COSMIC_RAY, "init", config, session], cwd=copy, env=environment, check=True)
    with closing(sqlite3.connect(session)) as database, database:
        _choose(database, options)
    subprocess.run([_COSMIC_RAY, "exec", config, session], cwd=copy, env=environment, check=True)
    with closing(sqlite3.connect(session)) as database:
        result = _result(database)
    total = result.noticed + len(result.survivors)
    seconds = time.monotonic() - started
    print(f"{name}: {result.noticed} of {total}, {result.equivalent} equivalent, {seconds:.0f} s")
    for diff in result.survivors:
        print(diff, flush=True)
    return result


def _quoted(command: list[str]) -> str:
    # cosmic-ray splits it with shlex.
    return " ".join(f'"{word}"' for word in command)


def _choose(database: sqlite3.Connection, options: argparse.Namespace) -> None:
    """Leave a sample of the changes in a session."""
    sql = (
        "select job_id, operator_name from mutation_specs"
        " order by operator_name, occurrence, module_path, start_pos_row, start_pos_col"
    )
    chosen = [job for job, operator in database.execute(sql) if _CHOSEN.match(operator)]
    if options.sample:
        random.Random(options.seed).shuffle(chosen)
        del chosen[options.sample :]
    marks = ", ".join("?" * len(chosen))
    for table in ("mutation_specs", "work_items"):
        database.execute(f"delete from {table} where job_id not in ({marks})", chosen)


def _result(database: sqlite3.Connection) -> Result:
    sql = (
        "select definition_name, diff, test_outcome = 'SURVIVED'"
        " from work_results join mutation_specs using (job_id)"
    )
    changes = database.execute(sql).fetchall()
    survived = [(name, diff) for name, diff, is_survivor in changes if is_survivor]
    equivalent = tomllib.loads(_EQUIVALENT.read_text(encoding="utf-8"))["equivalent"]
    unknown = [diff for name, diff in survived if not _is_known(name, diff, equivalent)]
    return Result(len(changes) - len(survived), len(survived) - len(unknown), unknown)


def _is_known(name: str, diff: str, equivalent: list[dict[str, str]]) -> bool:
    removed, added = _lines(diff)
    return any(
        one["from"] in removed
        and removed.replace(one["from"], one["to"]) == added
        and one.get("in", name) == name
        for one in equivalent
    )


def _lines(diff: str) -> tuple[str, str]:
    """Return the line that a change removes, and the one that it adds."""
    removed, added = (
        "\n".join(
            line[1:].strip()
            for line in diff.splitlines()
            if line.startswith(sign) and line[1:].strip() and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return removed, added


if __name__ == "__main__":
    sys.exit(main())
