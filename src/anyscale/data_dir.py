"""The folder of a user's own control plane, and of the command's unfinished runs."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["data_dir"]


def data_dir(environment: Mapping[str, str]) -> Path:
    """Give `ANYSCALE_DATA_DIR`, or the place that the XDG base directories name. Makes nothing."""
    if chosen := environment.get("ANYSCALE_DATA_DIR"):
        return Path(chosen)
    base = environment.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111
    return Path(base) / "anyscale"
