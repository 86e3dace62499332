"""Programs of OpenLDAP and Debian's mkpasswd, which `./dev` has unpacked and not installed."""

import subprocess
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.programs import installed

#: where they are
PACKAGES = ROOT / ".venv" / "directory" / "root"


def library_path() -> str:
    """Return where their libraries are."""
    return ":".join(map(str, (PACKAGES / "usr" / "lib").glob("*-linux-gnu")))


def run_unpacked(program: str, *arguments: str | Path, text: str = "") -> str:
    """Run a program such as `usr/bin/mkpasswd`, and return what it writes."""
    return subprocess.run(
        [installed(PACKAGES / program), *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        env={"LD_LIBRARY_PATH": library_path(), "LC_ALL": "C.UTF-8"},
        check=True,
    ).stdout
