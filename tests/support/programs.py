"""The programs of others that tests run: `./dev programs` installs them."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """Return the path of a program; without it, let the test fail."""
    # Debian has servers in /usr/sbin, which may not be on the PATH of a user.
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or _fail(name)


def installed(path: Path) -> Path:
    """Return the path of what `./dev programs` puts into this checkout; without it, as above."""
    return path if path.exists() else _fail(str(path))


def check_found(status: int, errors: str) -> None:
    """Let a test fail whose shell has not found a program (POSIX.1-2017, XCU 2.8.2)."""
    if status == 127:
        pytest.fail(f"{errors.strip()}: `./dev programs` installs it", pytrace=False)


def _fail(name: str) -> NoReturn:
    pytest.fail(f"{name} is missing: `./dev programs` installs it", pytrace=False)
