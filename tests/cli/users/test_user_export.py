"""`anyscale user export` writes all accounts; `batch-create` creates them from the file again."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.commands.command_process import CommandProcess, CommandResult
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.directory import run_unpacked
from tests.support.faults.fault_injection import run_under_strace
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import sign_in
from tests.support.slapd import directory

from anyscale.errors import InvalidCredentials
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.steps import Step
from anyscale.server.settings import Settings

Entry = dict[str, object]

PASSWORDS = [f"kx-{number}-quvam-dirolt" for number in range(4)]

KINDS = ("plain", "hash", "suspended", "initial", "sso", "empty", "odd", "owner")


@pytest.fixture(scope="module")
def hashes() -> list[str]:
    """SHA-crypt hashes of `PASSWORDS`, which cost least of those that are not weak."""
    return [run_unpacked("usr/bin/mkpasswd", "-m", "sha-512", one).strip() for one in PASSWORDS]


def entry_of(number: int, hashes: list[str]) -> Entry:
    """Return a user of one of the kinds."""
    hashed: Entry = {"password_hash": hashes[number % len(hashes)]}
    kind = KINDS[number % len(KINDS)]
    fields: dict[str, Entry] = {
        # Of these, few: their hashes cost more.
        "plain": {"password": PASSWORDS[number % len(PASSWORDS)]} if number < 20 else hashed,
        "hash": hashed | {"external_id": f"00{number}", "title": "Dr"},
        "suspended": hashed | {"suspended": True},
        "initial": hashed | {"password_initial": True},
        "sso": {"is_sso_user": True},
        "empty": {},
        "odd": hashed
        | {"name": ' =Ünï,"x" ', "lastname": "'+1 ", "email": f"Ü.{number}@example.com"},
        "owner": hashed,
    }
    return {"name": f"N{number}", "email": f"{kind}{number}@example.com"} | fields[kind]


class Place:
    """A control plane on SQLite, and the command that works on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.database = folder / "anyscale.db"

    def run(self, *arguments: str | Path) -> CommandResult:
        """Run the command, with hashes that are not weak."""
        environment = os.environ | {"ANYSCALE_DATABASE_URL": f"sqlite:///{self.database}"}
        process = CommandProcess(arguments, environment, folder=self.folder, real_hashes=True)
        return process.finish(600)

    def do(self, *arguments: str | Path) -> CommandResult:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done

    def export(self, name: str, *options: str) -> Path:
        self.do("user", "export", "-o", name, *options)
        return self.folder / name

    def import_(self, users: Path | list[Entry]) -> None:
        if isinstance(users, list):
            path = self.folder / "created.jsonl"
            path.write_text("".join(f"{json.dumps(one)}\n" for one in users), encoding="utf-8")
            users = path
        self.do("user", "batch-create", "-f", users)

    def events(self, name: str) -> list[Entry]:
        listed = self.do("audit", "list", "--event", name, "-o", "jsonl").stdout.splitlines()
        return [json.loads(line)["data"] for line in listed]


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Place]:
    return lambda name: Place(tmp_path / name)


def entries_in(path: Path) -> list[Entry]:
    *entries, manifest = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert list(manifest) == ["manifest"]
    return entries


def test_an_export_creates_the_same_accounts_again(
    place: Callable[[str], Place], hashes: list[str], request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--exported-users")
    users = [entry_of(number, hashes) for number in range(count)]
    old = place("old")
    old.import_(users)
    old.do("user", "set-role", "owner7@example.com", "owner")
    exported = old.export("users.jsonl", "--with-password-hashes")
    new, by_csv = place("new"), place("by_csv")
    new.import_(exported)
    by_csv.import_(old.export("users.csv", "--with-password-hashes"))

    entries = entries_in(exported)
    assert len(entries) == count
    # Nobody becomes an owner by a file.
    assert [one["email"] for one in entries if one.pop("permission_level", None)] == [
        "owner7@example.com"
    ]
    for other in new, by_csv:
        assert entries_in(other.export("again.jsonl", "--with-password-hashes")) == entries
    with closing(cheap_control_plane(Settings(database=new.database))) as control_plane:
        for number, user in enumerate(users):
            kind, email = KINDS[number % len(KINDS)], str(user["email"])
            password = PASSWORDS[number % len(PASSWORDS)]
            # Each from a network of its own, as people do.
            client = ClientInfo(f"10.{number >> 8}.{number & 255}.1", "Firefox")
            if kind in ("suspended", "sso", "empty"):
                with pytest.raises(InvalidCredentials):
                    sign_in(control_plane, email, password, client)
                continue
            pending = sign_in(control_plane, email, password, client).pending
            is_initial = kind == "initial" or "password" in user
            assert (pending is Step.PASSWORD) == is_initial, email


@pytest.fixture
def small(place: Callable[[str], Place], hashes: list[str]) -> Place:
    """A control plane with four accounts."""
    small = place("small")
    small.import_([entry_of(number, hashes) for number in (1, 2, 3, 4)])
    return small


def test_an_export_is_private_and_in_the_audit_log_and_has_no_hashes_by_itself(
    small: Place,
) -> None:
    exported = small.export("users.jsonl")
    text = exported.read_text(encoding="utf-8")
    manifest = json.loads(text.splitlines()[-1])["manifest"]

    assert exported.stat().st_mode & 0o777 == 0o600
    assert "$6$" not in text
    assert manifest["users"] == 4
    assert manifest["password_hashes"] == {}
    assert manifest["left_out"] == {"password_hashes": 3}
    assert small.events("users.exported") == [{"format": "jsonl", "password_hashes": 0, "users": 4}]


def test_an_export_beside_the_address_of_a_server_says_which_database_it_reads(
    small: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, is_said in (("embedded", False), ("https://accounts.example.com", True)):
        monkeypatch.setenv("ANYSCALE_HOST", host)
        done = small.do("user", "export", "-o", f"{is_said}.jsonl")
        assert (
            f"but this command reads the database at {small.database}" in done.stderr
        ) is is_said


@pytest.mark.parametrize("ending", ["jsonl", "csv", "ldif"])
def test_a_reader_exports_from_a_server_what_is_not_about_passwords(
    small: Place, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane = cheap_control_plane(Settings(database=small.database))
    token = control_plane.tokens.create(OPERATOR, "auditor", "reader", None)
    with serve_in_process(control_plane) as url:
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", token)
        done = small.do("user", "export", "-o", f"remote.{ending}", "--host", url)

    assert (
        "Not in the file: password hashes (3), password initial, second factors, identities, "
        "sessions, personal tokens, links, former emails."
    ) in done.stderr
    path = small.folder / f"remote.{ending}"
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.delenv("ANYSCALE_CLI_TOKEN")
    assert small.events("users.exported") == []
    with closing(sqlite3.connect(small.database)) as database, database:
        # The operator's file says whose password is initial.
        database.execute("UPDATE users SET password_set_at = 1 WHERE password_hash IS NOT NULL")
    local = small.export(f"local.{ending}")
    remote_lines, local_lines = (
        [line for line in one.read_text(encoding="utf-8").splitlines() if '"octets"' not in line]
        for one in (path, local)
    )
    assert remote_lines == local_lines
    assert "$6$" not in "".join(local_lines)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            ["--with-password-hashes"],
            "run the command on the machine of the server, without --host",
        ),
        (["--database", "sqlite:///other.db"], "--database from a database of this machine: use"),
    ],
)
def test_an_export_from_a_server_with_an_option_of_a_database_is_refused(
    small: Place, option: list[str], message: str
) -> None:
    before = sorted(small.folder.iterdir())
    refused = small.run(
        *("user", "export", "-o", "users.csv", "--host", "http://127.0.0.1:1"), *option
    )

    assert refused.returncode == 2
    assert message in " ".join(refused.stderr.split())
    assert sorted(small.folder.iterdir()) == before


@pytest.mark.parametrize("name", ["users.yaml", "users", "-"])
def test_an_export_needs_a_format_that_its_name_or_an_option_says(small: Place, name: str) -> None:
    refused = small.run("user", "export", "-o", name)

    assert refused.returncode == 2
    assert "name the file .jsonl, .csv or .ldif, or use --format" in refused.stderr
    assert not (small.folder / name).exists()


def test_an_export_replaces_no_file_and_leaves_nothing_if_it_fails(small: Place) -> None:
    (small.folder / "users.csv.manifest.json").touch()
    before = sorted(small.folder.iterdir())
    refused = small.run("user", "export", "-o", "users.csv")

    assert refused.returncode == 2
    assert "users.csv.manifest.json exists: name a new file" in refused.stderr
    assert sorted(small.folder.iterdir()) == before
    assert not small.events("users.exported")


CHANGES: dict[str, Callable[[str], str]] = {
    "counts 4 users, and the file has 3": lambda text: text.partition("\n")[2],
    "counts 4 users, and the file has 5": lambda text: text + '{"name": "X", "email": "x@y.org"}\n',
    "is of other content": lambda text: text.replace("N2", "N3"),
    "cannot be read": lambda text: text.replace('"octets":', '"octet":'),
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_file_that_does_not_fit_its_manifest_is_refused(small: Place, message: str) -> None:
    exported = small.export("users.jsonl", "--with-password-hashes")
    changed = CHANGES[message](exported.read_text(encoding="utf-8"))
    exported.write_text(changed, encoding="utf-8")
    for command in "batch-create", "verify":
        refused = small.run("user", command, "-f", exported)
        assert refused.returncode == 2
        assert f"the manifest {message}" in refused.stderr


def test_a_csv_file_is_compared_with_the_manifest_beside_it(small: Place) -> None:
    exported = small.export("users.csv")
    exported.write_text(exported.read_text(encoding="utf-8").replace("N2", "N3"), encoding="utf-8")
    refused = small.run("user", "verify", "-f", exported)
    assert "the manifest is of other content" in refused.stderr

    manifest = exported.with_name("users.csv.manifest.json")
    manifest.unlink()
    manifest.mkdir()
    refused = small.run("user", "verify", "-f", exported)
    assert f"error: cannot read {manifest}: Is a directory" in refused.stderr
    longest = exported.rename(exported.with_name(f"{'x' * 250}.csv"))
    compared = small.run("user", "verify", "-f", longest)
    assert "checked: 1 difference" in compared.stderr


def test_an_interrupt_while_an_export_gets_its_name_leaves_it_and_its_manifest(
    small: Place, tmp_path: Path
) -> None:
    options = ["-f", "-e", "trace=linkat", "-e", "inject=linkat:signal=SIGINT:when=1"]
    exported = tmp_path / "users.csv"
    environment = {"ANYSCALE_DATABASE_URL": f"sqlite:///{small.database}"}
    done = run_under_strace(
        [*options, "-o", str(tmp_path / "log")], "user", "export", "-o", exported, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.*")} == {"users.csv", "users.csv.manifest.json"}


@pytest.mark.parametrize("ending", ["jsonl", "ldif"])
def test_an_export_that_lost_its_end_and_so_its_manifest_is_noticed(
    small: Place, place: Callable[[str], Place], ending: str
) -> None:
    exported = small.export(f"users.{ending}")
    whole, _, _ = exported.read_text(encoding="utf-8").rpartition('{"users"')
    lines = whole.splitlines(keepends=True)
    exported.write_text("".join(lines[:-1]), encoding="utf-8")
    created = place("other").do("user", "batch-create", "-f", exported)
    assert "no manifest: check that the file is complete" in created.stderr


def test_users_bind_to_a_directory_that_was_loaded_with_the_export(
    small: Place, tmp_path: Path
) -> None:
    small.import_([{"name": "Own", "email": "own@example.com", "password": PASSWORDS[0]}])
    exported = small.export("users.ldif", "--with-password-hashes")
    entries = exported.read_text(encoding="utf-8").split("\n\n")
    names = {
        entry.split("mail: ")[1].split("@")[0]: entry.split("dn: ")[1].split("\n")[0]
        for entry in entries
        if "mail: " in entry
    }
    passwords = {"own": PASSWORDS[0], "hash1": PASSWORDS[1], "initial3": PASSWORDS[3]}
    manifest = json.loads(entries[-1].split("# manifest: ")[1])
    assert manifest["password_hashes"] == {"argon2": 1, "crypt": 2}
    assert manifest["left_out"] == {"password_hashes": 1}
    with directory(exported, tmp_path) as loaded:
        assert [
            name for name in names if loaded.lets_in(names[name], passwords.get(name, "x"))
        ] == [
            "hash1",
            "initial3",
            "own",
        ]
        assert not loaded.lets_in(names["own"], PASSWORDS[1])
        assert not loaded.lets_in(names["suspended2"], PASSWORDS[2])


def test_an_ldif_export_is_read_back_and_refused_if_entries_are_missing(
    small: Place, place: Callable[[str], Place]
) -> None:
    exported, new = small.export("users.ldif", "--with-password-hashes"), place("new")
    new.import_(exported)
    created = {
        one["email"]: ("password_hash" in one, one.get("suspended", False))
        for one in entries_in(new.export("again.jsonl", "--with-password-hashes"))
    }
    assert created == {
        "hash1@example.com": (True, False),
        "suspended2@example.com": (False, True),
        "initial3@example.com": (True, False),
        "sso4@example.com": (False, False),
    }
    entries = exported.read_text(encoding="utf-8").split("\n\n")
    exported.write_text("\n\n".join([entries[0], *entries[2:]]), encoding="utf-8")
    refused = small.run("user", "verify", "-f", exported)
    assert "the manifest counts 4 users, and the file has 3" in refused.stderr


def test_an_export_that_is_killed_leaves_no_hash_in_the_folder(
    small: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_DATABASE_URL", f"sqlite:///{small.database}")
    folder = small.folder / "export"
    folder.mkdir()
    options = ("-f", "-e", "trace=fsync", "-e", "inject=fsync:signal=SIGKILL:when=1")
    done = run_under_strace(
        [*options, "-o", str(small.folder / "log")],
        *("user", "export", "-o", folder / "e.csv", "--with-password-hashes"),
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(folder.iterdir()) == []
