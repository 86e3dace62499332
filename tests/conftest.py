"""Fixtures and settings of all tests: each test has an empty home and a clean environment."""

import gc
import itertools
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

# Asserts of the helpers explain themselves as those of tests do.
pytest.register_assert_rewrite("tests.support")

pytest_plugins = [
    "tests.support.commands.running",
    "tests.support.servers.control_planes",
    "tests.support.sign_in.chromium",
    "tests.support.sign_in.oidc_provider",
    "tests.support.databases.both_stores",
    "tests.support.databases.postgres",
    "tests.support.databases.postgres_databases",
    "tests.support.servers.server_process",
    "tests.support.databases.stored_batches",
    "tests.support.sign_in.tampered_login",
]

# The same examples in each run, so that only a change of the code changes the result. Before a
# release, `./dev test --hypothesis-profile explore` tries other examples. `second-python` is for a
# run whose examples all run on another Python as well.
for profile, derandomize, examples in (
    ("tests", True, 100),
    ("explore", False, 100),
    ("second-python", True, 20),
):
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=derandomize,
        max_examples=examples,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("tests")
# It would also try the constants of all loaded modules: those depend on the tests that ran before.
vars(providers)["_get_local_constants"] = Constants


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    """Log only warnings: a test before may have run code that logs all requests."""
    logging.getLogger().setLevel(logging.WARNING)


# A shell starts a background job with these ignored, which the processes of tests would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options for the sizes of the fault tests; larger runs are made before a release."""
    parser.addoption(
        "--plain", action="store_true", help="prepare and reuse nothing of commands and servers"
    )
    parser.addoption("--kill-points", type=int, default=30, help="number of points of kill -9")
    parser.addoption(
        "--fault-points", type=int, default=24, help="number of points of an I/O error"
    )
    parser.addoption(
        "--signal-tries", type=int, default=12, help="number of signals at the end of a command"
    )
    parser.addoption(
        "--resets", type=int, default=90, help="number of forgotten passwords that are timed"
    )
    parser.addoption(
        "--slowest-vector", type=int, default=210, help="milliseconds of a hash that is verified"
    )
    parser.addoption(
        "--served-kills", type=int, default=2, help="number of moments at which each side is killed"
    )
    parser.addoption(
        "--copy-kills", type=int, default=4, help="number of kills while a database is copied"
    )
    parser.addoption("--exported-users", type=int, default=40, help="number of users of an export")
    parser.addoption(
        "--mail-kills", type=int, default=3, help="number of kills while a batch is mailed"
    )
    parser.addoption(
        "--mail-users", type=int, default=120, help="number of users of a batch that is mailed"
    )
    parser.addoption("--mail-batches", type=int, default=1, help="number of batches with kills")
    parser.addoption(
        "--crowd-users", type=int, default=1_200, help="number of users of each of 8 clients"
    )
    parser.addoption(
        "--workbooks", type=int, default=3, help="number of workbooks that the command compares"
    )
    parser.addoption("--at-once", type=int, default=16, help="uses of one proof at the same time")
    parser.addoption("--histories", type=int, default=12, help="number of histories of accounts")
    parser.addoption("--first-history", type=int, default=0, help="number of the first of them")
    parser.addoption("--months", type=int, default=12, help="number of months of offices")
    parser.addoption("--first-month", type=int, default=0, help="number of the first of them")


def pytest_configure(config: pytest.Config) -> None:
    """Remove the developer's settings, before any fixture starts a server."""
    if config.getoption("--plain"):
        from tests.support.commands.command_process import prepare_nothing
        from tests.support.servers.reused_routes import reuse_nothing

        prepare_nothing()
        reuse_nothing()
    for name in [name for name in os.environ if name.startswith(("ANYSCALE_", "XDG_"))]:
        del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector skip modules and tests, which stay, and run less often.

    It needed a tenth of the processor time of tests that start servers in this process.
    """
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """Collect garbage while the last test ends, which a socket or file left open makes fail.

    The collector runs seldom, and what pytest collects after the last test fails no test.
    """
    yield
    gc.collect()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder: pytest searches those of all earlier tests for a number, a millisecond each."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = tmp_path_factory.getbasetemp() / f"{name}{next(_numbers)}"
    path.mkdir(mode=0o700)
    return path


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, without a data directory."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    """Fail a test that leaves a signal ignored: processes of later tests would inherit that."""
    before = [signal.getsignal(number) for number in _SIGNALS]
    yield
    after = [signal.getsignal(number) for number in _SIGNALS]
    for number, handler in zip(_SIGNALS, before, strict=True):
        signal.signal(number, handler)
    assert after == before


@pytest.fixture
def data(home: Path) -> Path:
    """The data directory of the embedded control plane in `home`, which does not exist at first."""
    return home / ".local" / "share" / "anyscale"
