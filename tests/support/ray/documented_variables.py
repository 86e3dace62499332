"""The variables of Ray that the guide for operators sets on each node."""

from pathlib import Path

from tests.support.paths import ROOT

_GUIDE = ROOT / "docs" / "operations" / "ray.md"

#: the folder of the guide that belongs to the user of the nodes
_FOLDER = "/var/lib/musterroll/"


def documented_variables(folder: Path) -> dict[str, str]:
    """Read them from the guide, with paths below a folder of this cluster.

    Without the path of the token, which is elsewhere.
    """
    lines = _GUIDE.read_text(encoding="utf-8").splitlines()
    pairs = [line.strip().split("=", 1) for line in lines if line.strip().startswith("RAY_")]
    return {
        name: value.replace(_FOLDER, f"{folder}/")
        for name, value in pairs
        if name != "RAY_AUTH_TOKEN_PATH"
    }
