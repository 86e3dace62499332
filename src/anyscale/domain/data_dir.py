"""Find the folders of a user, as the XDG Base Directory Specification describes them."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from anyscale.errors import ConfigError

__all__ = ["data_dir", "home_dir", "no_tilde"]


def data_dir(environment: Mapping[str, str]) -> Path:
    """Return `ANYSCALE_DATA_DIR`, or the XDG data directory. It is not created here.

    Raises:
        ConfigError: the variable begins with `~`, or the user has no home.
    """
    if path := environment.get("ANYSCALE_DATA_DIR"):
        return Path(no_tilde("ANYSCALE_DATA_DIR", path))
    # The specification: all paths must be absolute, and a relative one is to be ignored.
    base = environment.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "anyscale"
    if home := home_dir(environment):
        return home / ".local" / "share" / "anyscale"
    raise ConfigError("this user has no home folder: set ANYSCALE_DATA_DIR, or HOME")


def home_dir(environment: Mapping[str, str]) -> Path | None:
    """Return `HOME`, or the home in the system's list of users; None for an unknown user."""
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(home) if home.startswith("/") else None


def no_tilde(name: str, path: str) -> str:
    """Return a path. Raise `ConfigError` for a `~` that no shell has replaced by a home folder."""
    if path.startswith("~"):
        raise ConfigError(f"{name} must name the folder in full: nothing replaces the ~ in it")
    return path
