"""A check in the console gives the verdicts of the command, problem by problem.

But it leaves out columns that stand for no field, and guesses an encoding: here it does neither.
"""

import asyncio
import csv
import io
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
from tests.client.bad_files.bad import Bad
from tests.client.bad_files.of_bytes import BYTES
from tests.client.bad_files.of_csv import CSV
from tests.client.bad_files.of_json import JSON, JSON_LINES
from tests.client.bad_files.of_yaml import YAML
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.paths import ROOT
from tests.support.users import checked_user, create_accounts

from anyscale.batch_run.run import BatchRun
from anyscale.batch_run.run_key import CallKey
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused
from anyscale.server.background.counted_file import CountedFile
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.memory_budget import MemoryBudget
from anyscale.server.background.upload import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.console.batches.check_result import good_file
from anyscale.server.settings import Settings
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.users_file import UsersFile, format_of
from anyscale.users_file.entry_collector import EntryCollector

ALL = [*BYTES, *YAML, *JSON, *JSON_LINES, *CSV]


class Verdicts:
    """The verdicts of the console and of the command about the same bytes."""

    def __init__(self, control_plane: ControlPlane, transport: EmbeddedTransport) -> None:
        self._control_plane = control_plane
        self._transport = transport
        #: of all problems so far
        self.codes: set[str] = set()

    def of_console(self, data: bytes, name: str, if_exists: str = "fail") -> str:
        upload = asyncio.run(received(data, name, if_exists))
        # A check writes nothing, so it looks at no permission.
        run = FileImport(self._control_plane, upload, caller=cast("Any", OPERATOR))
        run.file.column_choices, run.file.encoding = None, "utf-8"
        try:
            good = good_file(run, run.check())
        except BatchRefused as error:
            self.codes |= error.codes.keys()
            return lines_of(error)
        return f"{good.created} created, {good.skipped} skipped"

    def reserve(self, email: str) -> None:
        """Reserve an email, as an unfinished batch does."""
        batches = self._control_plane.batches
        batch = batches.open(OPERATOR, email, "fail")
        batches.reserve(OPERATOR, batch.batch_id, 0, [checked_user(email)])

    def of_command(self, data: bytes, name: str, if_exists: str = "fail") -> str:
        file = UsersFile(io.BytesIO(data), name, format_of(name))
        run = BatchRun(self._transport, file, CallKey(None), if_exists=if_exists, drop_command=str)
        try:
            outcome = run.dry_run()
        except BatchRefused as error:
            return lines_of(error)
        return f"{outcome.created} created, {outcome.skipped} skipped"


def lines_of(error: BatchRefused) -> str:
    """Return all problems as the command prints them."""
    more = [f"... and {error.more} more"] if error.more else []
    return "".join(f"{line}\n" for line in [*map(str, error.problems), *more])


async def received(data: bytes, name: str, if_exists: str) -> Upload:
    upload = Upload(MemoryBudget(), len(data), {"name": name, "if_exists": if_exists})
    upload.content.write(data)
    upload.content.seek(0)
    return upload


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    settings = Settings(database=tmp_path_factory.mktemp("verdicts") / "anyscale.db")
    control_plane = cheap_control_plane(settings)
    create_accounts(control_plane, "xenia", "yuri")  # no bad file has them
    transport = EmbeddedTransport(settings)
    yield Verdicts(control_plane, transport)
    transport.close()
    control_plane.close()


@pytest.mark.parametrize("bad", [pytest.param(bad, id=f"{bad.file}: {bad.what}") for bad in ALL])
def test_each_bad_file_has_the_problems_of_the_command(verdicts: Verdicts, bad: Bad) -> None:
    lines = verdicts.of_console(bad.data, bad.file)
    assert lines == "".join(f"{line}\n" for line in bad.lines)
    assert lines == verdicts.of_command(bad.data, bad.file)


class NotedFile(CountedFile):
    """Notes what it collects."""

    noted: EntryCollector

    def collector(self, *arguments: Any, **options: Any) -> EntryCollector:
        self.noted = super().collector(*arguments, **options)
        return self.noted


def test_reading_a_file_again_for_its_people_keeps_no_password() -> None:
    data = b"name,email,password\nAnn,ann@other.example,the new password\n"
    file = NotedFile(asyncio.run(received(data, "users.csv", "fail")))
    assert file.people_at([0], Policy()) == {0: ("Ann", "ann@other.example", 2, 5, None)}
    assert not file.noted.passwords


#: what no file of `ALL` has
OF_EXPORT = b"""\
name,email,password,suspended_at
Ann,ann@other.example,,2026-01-01T00:00:00Z
Bob,bob@other.example,abcabcabc,
"""
OF_HASHES = b"""\
name,email,password_hash
Ann,ann@other.example,no hash of a password
Bob,bob@other.example,$argon2id$v=19$m=19456
Cid,cid@other.example,$2b$31$abcdefghijklmnopqrstuuMAAhPmm7tL3qS0vAb0hBWXXEsXQ1xL2
Dee,dee@other.example,md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3
"""
OF_DATABASE = b"name,email\nYuri,yuri@example.com\nKim,kim@other.example\n"

#: the first two need another policy, `email_unknown` is about links, and `sheet` about a choice
OF_OTHERS = {"sso_only", "password_hash_unsupported", "email_unknown", "sheet"}


def test_every_documented_code_has_the_words_of_the_command(verdicts: Verdicts) -> None:
    verdicts.reserve("kim@other.example")
    for data, problems in ((OF_EXPORT, 2), (OF_DATABASE, 2), (OF_HASHES, 4)):
        lines = verdicts.of_console(data, "users.csv")
        assert lines == verdicts.of_command(data, "users.csv")
        assert len(lines.splitlines()) == problems
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.search(r"^\| `required`.*^\| `email_reserved`", page, re.DOTALL | re.MULTILINE)
    assert rows
    documented = set(re.findall(r"^\| `(\w+)`", rows[0], re.MULTILINE)) - OF_OTHERS
    assert documented <= verdicts.codes | {code for bad in ALL for code in bad.codes}


VALUES: Mapping[str, Sequence[object]] = {
    "name": ["Ann", "", " ", "=cmd()", "<b>", "W" * 257, "a\tb", "\u05e9\u05dc", None],
    "email": ["xenia@example.com", "YURI@example.com", "new", "x@y.example", "", "a b@c.de", None],
    "password": ["", "short", "correct horse battery", "password1234", "Ann ann ann", None],
    "is_sso_user": [True, False, "maybe", 1],
    "lastname": ["", "Doe", "D" * 300],
    "titel": ["Engineer"],
}


def generated(number: int) -> tuple[str, bytes]:
    """A file of some users, in one of four formats; each has its own mistakes."""
    chance = random.Random(number)
    users = []
    for at in range(chance.randint(1, 12)):
        user: dict[str, object] = {"name": f"P{at}", "email": f"p{at}@gen{number}.example"}
        for field, values in VALUES.items():
            if chance.random() < 0.12:
                user[field] = chance.choice(values)
        users.append(user)
    kind = ("json", "jsonl", "yaml", "csv")[number % 4]
    if kind == "json":
        return kind, json.dumps({"create_users": users}, indent=1).encode()
    if kind == "jsonl":
        return kind, "".join(f"{json.dumps(user)}\n" for user in users).encode()
    if kind == "yaml":
        entries = "".join(f"- {json.dumps(user, ensure_ascii=False)}\n" for user in users)
        return kind, f"create_users:\n{entries}".encode()
    buffer = io.StringIO()
    fields = sorted({field for user in users for field in user})
    writer = csv.DictWriter(buffer, fields)
    writer.writeheader()
    writer.writerows(users)
    return kind, buffer.getvalue().encode()


def test_generated_files_in_four_formats_have_the_verdicts_of_the_command(
    verdicts: Verdicts,
) -> None:
    seen = set()
    for number in range(200):
        kind, data = generated(number)
        for if_exists in ("fail", "skip"):
            verdict = verdicts.of_console(data, f"users.{kind}", if_exists)
            assert verdict == verdicts.of_command(data, f"users.{kind}", if_exists), number
            seen.add((kind, "created" in verdict))
    assert len(seen) == 8  # each format, refused and not
