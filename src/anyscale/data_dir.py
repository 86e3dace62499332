"""Find the data directory: the embedded control plane and the state of unfinished runs."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["data_dir"]


def data_dir(environment: Mapping[str, str]) -> Path:
    """Return `ANYSCALE_DATA_DIR`, or the XDG data directory. It is not created here."""
    if path := environment.get("ANYSCALE_DATA_DIR"):
        return Path(path)
    base = environment.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111
    return Path(base) / "anyscale"
