"""The control plane to use: argument, then environment, then file, then the embedded one."""

import os
from pathlib import Path

import pytest

from anyscale.config import COMMAND, PYTHON, CallerWords, Target, resolve
from anyscale.errors import ConfigError
from anyscale.transport import open_transport

HOST = "https://roll.example.com"
OTHER = "https://other.example.com"


@pytest.fixture
def credentials(home: Path) -> Path:
    folder = home / ".anyscale"
    folder.mkdir()
    path = folder / "credentials.json"
    path.write_text(f'{{"host": "{HOST}", "cli_token": "saved"}}', encoding="utf-8")
    path.chmod(0o600)
    return path


def test_nothing_set_means_the_embedded_control_plane() -> None:
    assert resolve(None, None, {}) == Target()


def test_an_unknown_user_without_a_home_has_no_credentials_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert resolve(None, None, {}) == Target()


def test_an_argument_goes_before_the_environment() -> None:
    environment = {"ANYSCALE_HOST": HOST, "ANYSCALE_CLI_TOKEN": "env"}

    assert resolve(None, None, environment) == Target(HOST, "env", "ANYSCALE_CLI_TOKEN")
    assert resolve(OTHER, None, environment) == Target(OTHER, "env", "ANYSCALE_CLI_TOKEN")
    assert resolve(OTHER, "mine", environment) == Target(OTHER, "mine", "token=")


def test_the_credentials_file_comes_last(home: Path, credentials: Path) -> None:
    environment = {"HOME": str(home)}

    assert resolve(None, None, environment) == Target(HOST, "saved", str(credentials))
    assert resolve(OTHER, "mine", environment) == Target(OTHER, "mine", "token=")


def test_the_files_token_goes_to_the_files_host_only(home: Path, credentials: Path) -> None:
    with pytest.raises(ConfigError, match="there is no token for https://other"):
        resolve(OTHER, None, {"HOME": str(home)})


def test_another_token_goes_to_the_files_host_only_if_the_file_has_none(
    home: Path, credentials: Path
) -> None:
    environment = {"HOME": str(home)}
    for token, variables, source in (
        ("mine", {}, "token="),
        (None, {"ANYSCALE_CLI_TOKEN": "mine"}, "ANYSCALE_CLI_TOKEN"),
    ):
        assert resolve(HOST, token, environment | variables) == Target(HOST, "mine", source)
        unused = f"there is no host ({credentials} has one for its own token): name the server by"
        assert unused in message(None, token, COMMAND, **environment, **variables)

    credentials.write_text(f'{{"host": "{HOST}"}}', encoding="utf-8")
    environment["ANYSCALE_CLI_TOKEN"] = "mine"
    assert resolve(None, None, environment) == Target(HOST, "mine", "ANYSCALE_CLI_TOKEN")


def test_the_files_own_token_goes_to_the_files_host_from_wherever_it_comes(
    home: Path, credentials: Path
) -> None:
    environment = {"HOME": str(home)}
    for token, variables, source in (
        ("saved", {}, "token="),
        (None, {"ANYSCALE_CLI_TOKEN": "saved\n"}, "ANYSCALE_CLI_TOKEN"),
    ):
        assert resolve(None, token, environment | variables) == Target(HOST, "saved", source)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_credentials_file_that_others_can_reach_is_refused(
    mode: int, home: Path, credentials: Path
) -> None:
    credentials.chmod(mode)

    with pytest.raises(ConfigError, match=r"others can read .*: run `chmod 600"):
        resolve(None, None, {"HOME": str(home)})


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"host": 1}', b"\x00", b'{"host": "\xff"}'])
def test_an_unreadable_credentials_file_is_reported(
    text: bytes, home: Path, credentials: Path
) -> None:
    credentials.write_bytes(text)

    with pytest.raises(ConfigError, match=r'must hold \{"host"'):
        resolve(None, None, {"HOME": str(home)})


@pytest.mark.parametrize("file", ["", "{", '{"host": "https://roll.example.com"}'])
def test_the_host_embedded_chooses_the_embedded_control_plane_whatever_else_is_set(
    file: str, home: Path, credentials: Path
) -> None:
    credentials.write_text(file, encoding="utf-8")
    environment = {"HOME": str(home), "ANYSCALE_CLI_TOKEN": "two words"}

    assert resolve("embedded", None, environment | {"ANYSCALE_HOST": HOST}) == Target()
    assert resolve("embedded", "mine", environment) == Target()
    assert resolve(None, None, environment | {"ANYSCALE_HOST": "embedded"}) == Target()
    assert resolve(OTHER, "mine", {"ANYSCALE_HOST": "embedded"}) == Target(OTHER, "mine", "token=")


def test_the_credentials_file_may_choose_the_embedded_control_plane(
    home: Path, credentials: Path
) -> None:
    credentials.write_text('{"host": "embedded"}', encoding="utf-8")

    assert resolve(None, None, {"HOME": str(home)}) == Target()
    for file in ('{"host": "embedded"}', '{"host": "embedded", "cli_token": "saved"}'):
        credentials.write_text(file, encoding="utf-8")
        assert resolve(None, None, {"HOME": str(home), "ANYSCALE_CLI_TOKEN": "mine"}) == Target()


EMBEDDED = {
    PYTHON: 'or use the embedded control plane by anyscale.Anyscale(host="embedded")',
    COMMAND: "or use the embedded control plane by --host embedded",
}


def message(host: str | None, token: str | None, words: CallerWords, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(host, token, environment, words)
    return str(caught.value)


@pytest.mark.parametrize(("words", "option"), [(PYTHON, "host="), (COMMAND, "--host")])
def test_a_token_without_a_host_is_an_error_that_names_its_source_and_the_ways_out(
    words: CallerWords, option: str, home: Path, credentials: Path
) -> None:
    name = f"name the server by {option} or ANYSCALE_HOST, {EMBEDDED[words]}"
    missing = "has a token, and there is no host"

    assert message(None, "mine", words) == f"{words.token_source} {missing}: {name}"
    assert (
        message(None, None, words, ANYSCALE_CLI_TOKEN="mine")
        == f"ANYSCALE_CLI_TOKEN {missing}: {name}"
    )
    credentials.write_text('{"cli_token": "saved"}', encoding="utf-8")
    assert (
        message(None, None, words, HOME=str(home))
        == f'{credentials} {missing}: add "host": "https://..." to it, {EMBEDDED[words]}'
    )


@pytest.mark.parametrize(
    ("words", "option", "mend"),
    [
        (PYTHON, "host=", "pass token= to anyscale.Anyscale or set ANYSCALE_CLI_TOKEN"),
        (
            *(COMMAND, "--host"),
            f"set ANYSCALE_CLI_TOKEN, store one by `anyscale login --host {HOST}`",
        ),
    ],
)
def test_a_host_without_a_token_is_an_error_that_names_its_source_and_the_ways_out(
    words: CallerWords, option: str, mend: str, home: Path, credentials: Path
) -> None:
    missing = f"there is no token for {HOST}, named by"
    ways = f"{mend}, {EMBEDDED[words]}"

    assert message(HOST, None, words) == f"{missing} {option}: {ways}"
    assert message(None, None, words, ANYSCALE_HOST=HOST) == f"{missing} ANYSCALE_HOST: {ways}"
    credentials.write_text('{"cli_token": "saved"}', encoding="utf-8")
    assert message(HOST, None, words, HOME=str(home)) == (
        f'{missing} {option} ({credentials} has a token for no host (add "host" to it)): {ways}'
    )
    credentials.write_text(f'{{"host": "{OTHER}", "cli_token": "saved"}}', encoding="utf-8")
    assert message(HOST, None, words, HOME=str(home)) == (
        f"{missing} {option} ({credentials} has a token for another host): {ways}"
    )
    credentials.write_text(f'{{"host": "{HOST}"}}', encoding="utf-8")
    assert message(None, None, words, HOME=str(home)) == (
        f'{missing} {credentials}: add "cli_token" to it, {ways}'
    )


@pytest.mark.parametrize(
    "host",
    [
        "ftp://roll.example.com",
        "https://",
        "https://user:word@roll.example.com",
        "https://roll.example.com?x=1",
        "https://roll.example.com#x",
        "https://roll.example.com/users",
        "https://roll example.com",
        "https://roll.example.com:port",
        "https://[::1",
    ],
)
def test_a_wrong_host_is_an_error(host: str) -> None:
    with pytest.raises(ConfigError, match="the host must be `embedded`, or like"):
        resolve(host, "mine", {})


@pytest.mark.parametrize("host", ["http://127.0.0.1:87650", "https://[::1]:65536/"])
def test_a_port_that_is_too_large_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match=r"whose port is at most 65535$"):
        resolve(host, "mine", {})


def test_a_port_is_not_blamed_for_another_mistake() -> None:
    for host in (
        "https://roll example.com:8000",
        "https://roll.example.com:00080x",
        "https://:443",
    ):
        with pytest.raises(ConfigError) as caught:
            resolve(host, "mine", {})
        assert "port" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8123", "localhost:8123", "roll.example.com", "embeded"]
)
def test_a_missing_scheme_is_reported(host: str) -> None:
    kinds = "the host must be `embedded`, or like https://accounts.example.com"
    with pytest.raises(ConfigError, match=rf"^{kinds}: https:// or http:// is missing$"):
        resolve(host, "mine", {})


@pytest.mark.parametrize(
    "host", ["http://localhost:8000", "http://127.0.0.1", "http://127.0.0.2", "http://[::1]:80"]
)
def test_plain_http_is_for_loopback(host: str) -> None:
    assert resolve(host, "mine", {}).host == host
    with pytest.raises(ConfigError, match="unencrypted"):
        resolve("http://roll.example.com", "mine", {})
    allowed = {"ANYSCALE_ALLOW_HTTP": "1"}
    assert resolve("http://roll.example.com", "mine", allowed).token == "mine"


def test_a_target_does_not_show_its_token() -> None:
    assert "mine" not in repr(Target(HOST, "mine"))


def test_a_database_url_of_postgresql_needs_a_server() -> None:
    url = {"ANYSCALE_DATABASE_URL": "postgresql://root:hunter2@db/x"}

    with pytest.raises(ConfigError, match="PostgreSQL needs a server") as caught:
        open_transport(Target(), url)

    assert "hunter2" not in str(caught.value)


def test_a_database_url_of_sqlite_names_a_file(tmp_path: Path) -> None:
    url = {"ANYSCALE_DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}

    assert open_transport(Target(), url).where == f"{tmp_path}/a.db"
    with pytest.raises(ConfigError, match="must be sqlite:///path"):
        open_transport(Target(), {"ANYSCALE_DATABASE_URL": "sqlite:///"})


@pytest.mark.parametrize(
    ("environment", "database"),
    [
        ({"HOME": "/h"}, "/h/.local/share/anyscale/anyscale.db"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/anyscale/anyscale.db"),
        ({"XDG_DATA_HOME": "/x", "ANYSCALE_DATA_DIR": "/d"}, "/d/anyscale.db"),
    ],
)
def test_the_database_is_in_the_users_data_directory(
    environment: dict[str, str], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", environment.get("HOME", "/nowhere"))

    assert open_transport(Target(), environment).where == database


@pytest.mark.parametrize(
    "text", ['{"cli_token": "saved"}', '{"Host": "https://roll.example.com", "cli_token": "saved"}']
)
def test_a_saved_token_without_its_host_never_selects_the_embedded_control_plane(
    text: str, home: Path, credentials: Path
) -> None:
    credentials.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError):
        resolve(None, None, {"HOME": str(home)})


def test_a_damaged_credentials_file_says_how_to_mend_it(credentials: Path) -> None:
    credentials.write_text("{")
    with pytest.raises(ConfigError, match="correct it, or delete it"):
        resolve(None, None)


@pytest.mark.parametrize("host", ["https://u:s3cret@h.example", "https://:s3cret@h.example"])
def test_a_password_in_a_host_is_refused_without_being_shown(host: str) -> None:
    for token in ("mine", None):
        with pytest.raises(ConfigError) as caught:
            resolve(host, token, {})
        assert "s3cret" not in str(caught.value)
