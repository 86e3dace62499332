"""Find the folders of a user, as the XDG Base Directory Specification describes them."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR

from anyscale.errors import ConfigError


def data_dir(environment: Mapping[str, str]) -> Path:
    """Return `ANYSCALE_DATA_DIR`, or the XDG data directory. It is not created here.

    Raises:
        ConfigError: the variable begins with `~`, the user has no home, or there is a file in the
            place of the folder.
    """
    if path := environment.get("ANYSCALE_DATA_DIR"):
        name = "ANYSCALE_DATA_DIR"
        return checked_folder(f"{name} is", Path(checked_path(name, path)), "set it to a folder")
    default = _default_data_dir(environment)
    mend = "move it away, or name a folder by ANYSCALE_DATA_DIR"
    return checked_folder("the data directory is", default, mend)


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    # The specification: all paths must be absolute, and a relative one is to be ignored.
    base = environment.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "anyscale"
    if home := home_dir(environment):
        return home / ".local" / "share" / "anyscale"
    raise ConfigError("this user has no home folder: set ANYSCALE_DATA_DIR, or HOME")


def checked_folder(what: str, folder: Path, mend: str) -> Path:
    """Return a folder, which need not exist.

    Args:
        what: the beginning of the message, which says who names the folder.
        folder: its path.
        mend: the end of the message.

    Raises:
        ConfigError: in its place, or in that of a folder above it, is something else.
    """
    taken = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if kind := _kind_of_other(taken):
        raise ConfigError(
            f"{what} {folder}, {'which' if taken == folder else f'and {taken}'} is {kind}: {mend}"
        )
    return folder


def _kind_of_other(path: Path) -> str:
    """Return what is at a path, in words; nothing for a folder, or if that cannot be known."""
    try:
        return "" if S_ISDIR(path.stat().st_mode) else "a file, and not a folder"
    except PermissionError:  # a link into a folder that this user may not enter
        return ""
    except OSError:  # its target does not exist, or it leads to itself
        return "a link to nothing"


def home_dir(environment: Mapping[str, str]) -> Path | None:
    """Return `HOME`, or the home in the system's list of users; None for an unknown user."""
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(home) if home.startswith("/") else None


def checked_path(name: str, path: str) -> str:
    """Return a path. Raise `ConfigError` for a `~` that no shell has replaced by a home folder."""
    if path.startswith("~"):
        raise ConfigError(f"{name} must name the folder in full: nothing replaces the ~ in it")
    return path
