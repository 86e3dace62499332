"""Programs of OpenLDAP and Debian's mkpasswd, which `./dev` has unpacked and not installed."""

import subprocess
from pathlib import Path

from tests.support.paths import ROOT

__all__ = ["run_unpacked"]

_PACKAGES = ROOT / ".venv" / "directory" / "root"


def run_unpacked(program: str, *arguments: str | Path, text: str = "") -> str:
    """Run a program such as `usr/bin/mkpasswd`, and return what it writes."""
    libraries = ":".join(map(str, (_PACKAGES / "usr" / "lib").glob("*-linux-gnu")))
    return subprocess.run(
        [_PACKAGES / program, *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        env={"LD_LIBRARY_PATH": libraries, "LC_ALL": "C.UTF-8"},
        check=True,
    ).stdout
