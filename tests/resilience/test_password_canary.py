"""A known password is in no file, output, error or traceback."""

import hashlib
import itertools
import json
import logging
import pickle
import sqlite3
import traceback
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import RunAnyscale, start_command
from tests.support.databases.locks import HASHED, locked_when
from tests.support.faults.stopping import stop_process
from tests.support.hashing import passwords_for_all_cores

import anyscale as sdk
from anyscale.errors import AnyscaleError, BatchRefused
from anyscale.user.models import AdminCreateUser

#: with a letter that has two spellings; the other one is hashed
CANARY = "kanarie-vo\u0308gel-7Qx!"
SPELLINGS = [CANARY, unicodedata.normalize("NFC", CANARY)]
#: parts that remain if it is cut, escaped or in another encoding
TRACES = [b"kanarie-", b"gel-7Qx!", *(text.encode("utf-16-le") for text in SPELLINGS)]


def files_below(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()


def assert_clean(where: object, content: bytes | str) -> None:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    for trace in TRACES:
        assert trace not in data, where


def in_format(name: str, password: str, extra: str = "") -> str:
    if name == "yaml":
        entry = f"create_users:\n- name: a\n  email: a@b.io\n  password: '{password}'\n"
        return f"{entry}  {extra}\n" if extra else entry
    fields = {"name": "a", "email": "a@b.io", "password": password} | ({extra: 1} if extra else {})
    if name == "json":
        return json.dumps({"create_users": [fields]})
    if name == "jsonl":
        return json.dumps(fields, ensure_ascii=False)
    return f"{','.join(fields)}\n{','.join(map(str, fields.values()))}\n"


@pytest.mark.parametrize("name", ["yaml", "json", "jsonl", "csv"])
@pytest.mark.parametrize("extra", ["", "pasword"])
def test_no_file_and_no_output_of_a_run_contains_the_password(
    name: str, extra: str, anyscale: RunAnyscale, home: Path, tmp_path: Path
) -> None:
    text = in_format(name, CANARY, f"{extra}: {CANARY}" if extra and name == "yaml" else extra)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}

    result = anyscale(
        "user", "batch-create", "-f", "-", "--format", name, "-o", "json",
        stdin=text, env=environment,
    )  # fmt: skip

    assert result.returncode == (2 if extra else 0), result.stderr
    assert_clean("standard output", result.stdout)
    assert_clean("standard error", result.stderr)
    for path, content in files_below(home, temporary):
        assert_clean(path, content)


WRONG = {
    "alias": "password: *{}",
    "anchor": "password: &{} x",
    "tag": "password: !{} x",
    "colon": "password: {}: x",
    "list": "password: [{}]",
    "map": "password: {{{}: 1}}",
    "open quote": "password: '{}",
    "open double quote": 'password: "{}',
    "escape": 'password: "{}\\q"',
    "tab": "password:\t{}\n\t x",
    "twice": "password: {0}\n  password: {0}",
    "block": "password: |\n    {}\n    {}",
    "control": 'password: "{}\\u0007"',
    "own name": "password: {}\n  lastname: {}",
    "indentation": "password: {}\n title: x",
    "long": "password: '{}" + "x" * 2_000 + "'",
    "flag": "password: {}\n  is_sso_user: {}",
    "second document": "password: {}\n---\n{}",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_no_error_of_a_wrong_file_shows_the_password(
    wrong: str, anyscale: RunAnyscale, home: Path
) -> None:
    line = WRONG[wrong].replace("{}", CANARY).replace("{0}", CANARY)
    line = line.replace("{{", "{").replace("}}", "}")
    text = f"create_users:\n- name: a\n  email: a@b.io\n  {line}\n"

    for output in ("text", "json"):
        result = anyscale("user", "batch-create", "-f", "-", "-o", output, stdin=text)

        assert result.returncode == 2, result.stderr
        assert_clean(wrong, result.stdout + result.stderr)
    assert not list(home.iterdir())


def test_the_error_of_a_csv_without_a_header_shows_no_cell(anyscale: RunAnyscale) -> None:
    result = anyscale(
        "user", "batch-create", "-f", "-", "--format", "csv", stdin=f"a,a@b.io,{CANARY}\n"
    )

    assert result.returncode == 2
    assert_clean("standard error", result.stderr)


def test_the_refusal_of_a_common_password_does_not_show_it(anyscale: RunAnyscale) -> None:
    for password in ("password1", "qwertyuiop123"):
        result = anyscale("user", "batch-create", "-f", "-", stdin=in_format("yaml", password))

        assert "common passwords" in result.stderr
        assert password not in result.stderr


@pytest.fixture
def stopped(tmp_path: Path, home: Path) -> Iterator[CommandProcess]:
    """A run that is stopped while it hashes."""
    users = tmp_path / "users.yaml"
    count = passwords_for_all_cores(2)
    entries = "".join(
        f"- {{name: n{i}, email: u{i}@b.io, password: '{CANARY}{i}'}}\n" for i in range(count)
    )
    users.write_text(f"create_users:\n{entries}", encoding="utf-8")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = start_command(
        "user", "batch-create", "-f", users, env={"TMPDIR": str(temporary)}, real_hashes=True
    )
    database = home / ".local/share/anyscale/anyscale.db"
    with locked_when(process, database, HASHED):
        stop_process(process.pid)
    yield process
    process.kill()


def test_no_database_file_or_argument_contains_the_password_while_it_is_hashed(
    stopped: CommandProcess, home: Path, tmp_path: Path
) -> None:
    found = dict(files_below(home, tmp_path / "tmp"))

    assert {path.name for path in found} > {"anyscale.db", "anyscale.db-wal", "anyscale.db-shm"}
    assert any(path.suffix == ".run" for path in found)
    assert any(b"$argon2id$" in content for content in found.values())
    for path, content in found.items():
        assert_clean(path, content)
    for name in ("cmdline", "environ"):
        assert_clean(name, Path(f"/proc/{stopped.pid}/{name}").read_bytes())


def test_no_stored_value_is_a_fast_hash_of_the_password(anyscale: RunAnyscale, data: Path) -> None:
    anyscale("user", "batch-create", "-f", "-", stdin=in_format("yaml", CANARY))
    connection = sqlite3.connect(data / "anyscale.db")
    tables = [
        name
        for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
    ]
    stored = [
        str(value.hex() if isinstance(value, bytes) else value)
        for table in tables
        for row in connection.execute(f"select * from {table}")
        for value in row
    ]
    connection.close()

    parts = ["a", "a@b.io", "", "False", "false", "0", "null"]
    texts = set()
    for spelling, separator in itertools.product(SPELLINGS, ["", "\n", "\0", ",", ":", "|"]):
        texts |= {spelling, in_format("yaml", spelling), in_format("json", spelling)}
        for size in (1, 2, 3):
            for some in itertools.permutations(parts, size):
                for at in range(size + 1):
                    texts.add(separator.join([*some[:at], spelling, *some[at:]]))
    digests = {
        hashlib.new(kind, text.encode()).hexdigest()
        for kind in ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s", "sha3_256")
        for text in texts
    }

    assert stored
    assert not any(digest in value for value in stored for digest in digests if len(value) >= 32)


@pytest.mark.parametrize(
    "changes",
    [{"email": "foo"}, {"name": " "}, {"lastname": "kanarie"}, {"title": "x" * 300}, {}],
)
def test_no_error_log_or_traceback_of_the_sdk_shows_the_password(
    changes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    fields = {"name": "a", "email": "a@b.io", "password": CANARY} | changes
    user = AdminCreateUser(**fields)  # type: ignore[arg-type]  # a mapping of the fields
    sdk.user.admin_batch_create([AdminCreateUser("a", "A@b.io")])

    with caplog.at_level(logging.DEBUG), pytest.raises(AnyscaleError) as caught:
        sdk.user.admin_batch_create([user])

    error = caught.value
    stack = traceback.TracebackException.from_exception(error, capture_locals=True)
    # It is in the local variables of this test, and in none of the package.
    shown = [
        f"{name} = {value}"
        for frame in stack.stack
        if "anyscale" in Path(frame.filename).parts
        for name, value in (frame.locals or {}).items()
        if name != "password"
    ]
    assert shown
    for text in (
        str(error),
        repr(error),
        str(error.args),
        caplog.text,
        json.dumps(error.to_dict()),
    ):
        assert_clean("error", text)
    for text in shown:
        assert_clean(text[:80], text)
    assert_clean("pickle", pickle.dumps(error))
    assert isinstance(pickle.loads(pickle.dumps(error)), BatchRefused)


def test_the_error_of_a_wrong_type_does_not_show_the_value() -> None:
    with pytest.raises(TypeError) as caught:
        AdminCreateUser("a", "a@b.io", password=CANARY.encode())  # type: ignore[arg-type]  # the mistake that is tested

    assert_clean("error", str(caught.value))
