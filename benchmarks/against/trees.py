"""Two trees of the code: this one, and an earlier commit of it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[2]


class Tree(NamedTuple):
    """A tree whose code processes import while it is in use."""

    folder: Path

    @contextmanager
    def used(self, home: Path) -> Iterator[None]:
        """Let new processes import this tree, without settings of the caller."""
        before = dict(os.environ)
        for name in before:
            if name.startswith("ANYSCALE_"):
                del os.environ[name]
        os.environ["HOME"] = str(home)
        os.environ["PYTHONPATH"] = f"{self.folder / 'src'}:{self.folder}"
        os.environ["PYTHONSAFEPATH"] = "1"  # `python -c` would import from the working directory
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def this_tree() -> Tree:
    """Return the tree that this module belongs to, as it is on disk."""
    return Tree(_ROOT)


def extract(commit: str, folder: Path) -> Tree:
    """Extract the source and the benchmarks of a commit, and what they use of the tests.

    Raises:
        SystemExit: Git does not know the commit.
    """
    folder.mkdir()
    command = ["git", "-C", str(_ROOT), "archive", commit, "src", "benchmarks", "tests/support"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(archive.stderr.decode().strip())
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return Tree(folder)
