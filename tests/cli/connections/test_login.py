"""`anyscale login`: a token is checked and stored in the credentials file."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import json
from tests.support.callers import OPERATOR, token_of_role
from tests.support.commands.running import RunAnyscale
from tests.support.commands.terminal import on_a_terminal
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.server_in_process import serve_in_process

from anyscale import Anyscale
from anyscale.errors import NotAuthenticated

OTHER = {"host": "https://other.example.com", "cli_token": "mrt_of_another"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """The URL of a server, the token of an owner, and one that may do nothing."""
    control_plane = new_control_plane(tmp_path_factory.mktemp("login"))
    tokens = control_plane.tokens
    owner = tokens.create(OPERATOR, "jane", "owner", None)
    intern = token_of_role(control_plane, "intern", "collaborator")
    with serve_in_process(control_plane) as url:
        yield url, owner, intern


@pytest.fixture
def file(home: Path) -> Path:
    return home / ".anyscale" / "credentials.json"


def save(file: Path, credentials: dict[str, str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(json.encode(credentials))
    file.chmod(0o600)


def test_a_token_of_standard_input_is_stored_for_the_next_commands(
    server: tuple[str, str, str], anyscale: RunAnyscale, file: Path
) -> None:
    url, token, _ = server
    done = anyscale("login", "--host", f"{url}/", stdin=f"{token}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"The token for {url} is in {file}, which only you can read." in done.stderr
    assert token not in done.stderr
    assert json.decode(file.read_bytes()) == {"host": url, "cli_token": token}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert anyscale("user", "list").returncode == 0
    again = anyscale("login", "--host", url, stdin=token)
    assert again.returncode == 0, "the token of the same host is replaced"


def test_a_terminal_asks_for_the_token_and_does_not_show_it(
    server: tuple[str, str, str], file: Path
) -> None:
    url, token, _ = server
    typed = f"{token}\n".encode()
    status, shown = on_a_terminal("login", "--host", url, typed=typed, when=b"Token: ")
    assert (status, "which only you can read" in shown) == (0, True), shown
    assert token not in shown
    assert json.decode(file.read_bytes())["cli_token"] == token


def test_a_token_that_the_server_refuses_is_not_stored(
    server: tuple[str, str, str], anyscale: RunAnyscale, file: Path
) -> None:
    url, token, intern = server
    for wrong, message in (
        (token[:-1], f"The token for {url} is from the prompt or standard input"),
        (intern, "token:intern has the role collaborator, which may not read accounts"),
    ):
        done = anyscale("login", "--host", url, stdin=wrong)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
        assert wrong not in done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("host", "token", "message"),
    [
        ("https://a.example", " \n", "there is no token: nothing was read"),
        ("https://a.example", "mrt x", "the token has characters that a token cannot have"),
        # without a token: it is not read before the host is valid
        ("", "", "--host is empty: name a server"),
        ("embedded", "", "the embedded control plane accepts no token"),
        ("http://a.example", "", "would receive the token and the passwords unencrypted"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    host: str, token: str, message: str, anyscale: RunAnyscale, file: Path
) -> None:
    done = anyscale("login", "--host", host, stdin=token)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not file.parent.exists()


def test_the_token_of_another_host_is_replaced_only_with_consent(
    server: tuple[str, str, str], anyscale: RunAnyscale, file: Path
) -> None:
    url, token, _ = server
    save(file, OTHER)
    kept = anyscale("login", "--host", url, stdin=token)
    assert kept.returncode == 2
    assert f"use --yes to continue; {file} keeps its token for {OTHER['host']}" in kept.stderr
    assert json.decode(file.read_bytes()) == OTHER
    replaced = anyscale("login", "--host", url, "--yes", stdin=token)
    assert replaced.returncode == 0, replaced.stderr
    assert json.decode(file.read_bytes()) == {"host": url, "cli_token": token}
    assert OTHER["cli_token"] not in kept.stderr + replaced.stderr


def test_a_variable_that_comes_before_the_file_is_named(
    server: tuple[str, str, str], anyscale: RunAnyscale
) -> None:
    url, token, _ = server
    done = anyscale("login", "--host", url, stdin=token, env={"ANYSCALE_HOST": "embedded"})
    assert "ANYSCALE_HOST is set, and comes before the file" in done.stderr
    assert "ANYSCALE_CLI_TOKEN" not in done.stderr


def test_a_refused_token_is_said_to_be_of_its_variable_file_or_argument(
    server: tuple[str, str, str], anyscale: RunAnyscale, file: Path
) -> None:
    url, token, _ = server
    wrong = token[:-1]
    mend = "copy it again. If it is lost, an owner creates a new one in the console"
    source = f"The token for {url} is from"
    named = anyscale("user", "list", env={"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": wrong})
    save(file, {"host": url, "cli_token": wrong})
    saved = anyscale("user", "list")
    with pytest.raises(NotAuthenticated) as caught:
        Anyscale(url, wrong).user.get(email="jane@example.com")

    assert mend in named.stderr
    assert named.stderr.endswith(f"{source} ANYSCALE_CLI_TOKEN\n")
    assert saved.stderr.endswith(f"{source} {file}\n")
    assert str(caught.value).endswith(f"{source} token=")
    assert wrong not in f"{named.stderr}{saved.stderr}{caught.value!r}"
