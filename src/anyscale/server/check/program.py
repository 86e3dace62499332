"""The installed files of this program: PyPI has another package that owns the same ones."""

import base64
import csv
import hashlib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation

_OURS, _OTHER = "musterroll", "anyscale"

_PACKAGE = "anyscale"

#: how many changed files are named
_SHOWN = 3


def check_files(_: Installation) -> Finding:
    """Compare the installed files with the hashes of their distribution (PEP 376, RECORD)."""
    own = _find(_OURS)
    if own is None:
        raise NotTried(f"it is not installed as a distribution: there is no {_OURS} in `pip list`")
    looked_at = f"{_OURS} {own.version} in {own.locate_file('')}"
    other, fix = _find(_OTHER), f"install only {_OURS} in a new virtual environment"
    if changed := _changed_files(own):
        found = f"{len(changed)} of its files are changed or missing: {', '.join(changed[:_SHOWN])}"
        return fail(looked_at, found, fix)
    if other:
        found = f"{_OTHER} {other.version} is installed beside it, and owns files of the same names"
        return warn(looked_at, found, fix)
    return ok(looked_at, "its files are as they were installed")


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _changed_files(own: Distribution) -> list[str]:
    changed = []
    # `Distribution.files` leaves out missing ones since Python 3.12.
    for path, file_hash, _ in csv.reader((own.read_text("RECORD") or "").splitlines()):
        algorithm, _, expected = file_hash.partition("=")
        # Compiled files have no hash. Scripts name their interpreter, which a moved folder changes.
        if expected and path.startswith(f"{_PACKAGE}/"):
            try:
                digest = hashlib.new(
                    algorithm, Path(str(own.locate_file(path))).read_bytes()
                ).digest()
            except OSError:
                digest = b""
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected:
                changed.append(path)
    return changed
