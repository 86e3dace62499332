"""What every test starts from: a home of its own, and nothing of the developer's environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.oidc_provider",
    "tests.support.command",
    "tests.support.control_plane_fixtures",
]

# The same examples in each run, so that a run tells of the change, not of luck. Before a release,
# `./dev test --hypothesis-profile explore` looks for others.
for profile, derandomize in (("tests", True), ("explore", False)):
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=derandomize,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("tests")

# Started behind a `&` of a script, this process ignores Ctrl-C, and what it starts would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

Result = subprocess.CompletedProcess[str]
Anyscale = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say at how many points a command is killed or fails; the long runs are before a release."""
    parser.addoption("--kill-points", type=int, default=30, help="kill -9 at so many points")
    parser.addoption("--fault-points", type=int, default=24, help="I/O errors at so many points")
    parser.addoption("--served-kills", type=int, default=2, help="kill a side at so many moments")
    parser.addoption("--crowd-users", type=int, default=2_000, help="users of each of 8 clients")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, in which the data directory is not made yet."""
    for name in [name for name in os.environ if name.startswith(("ANYSCALE_", "XDG_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def data(home: Path) -> Path:
    """Where the embedded control plane of `home` is, once it is made."""
    return home / ".local" / "share" / "anyscale"


@pytest.fixture
def anyscale(tmp_path: Path) -> Anyscale:
    """Runs the real command, as installed, in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        stdout: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        text = stdin.decode("utf-8", "surrogateescape") if isinstance(stdin, bytes) else stdin
        with Path(stdout or os.devnull).open("w", encoding="utf-8") as elsewhere:
            return subprocess.run(
                [str(Path(sys.executable).parent / "anyscale"), *map(str, arguments)],
                cwd=folder,
                input=text or "",
                env=os.environ | dict(env or {}),
                stdout=elsewhere if stdout else subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )

    return run
