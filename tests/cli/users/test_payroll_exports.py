"""Exports of payroll programs, in German and English, by the commands of the page on sync."""

import csv
import io
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ROOT

ROWS = 50
LEAVERS = {f"left{number}@firma.example" for number in range(4)}
BOSS = "boss@firma.example"


_FIELDS = ("external_id", "lastname", "name", "email", "title")


class Export(NamedTuple):
    """How a payroll program writes the present staff."""

    header: list[str]
    delimiter: str
    #: what the administrator says about columns that are not recognized
    options: list[str]


EXPORTS = {
    "german": Export(
        ["Personalnummer", "Nachname", "Vorname", "E-Mail (dienstlich)", "Stelle", "Eintritt"],
        ";",
        ["--column", "Eintritt="],
    ),
    "english": Export(
        ["Employee ID", "Last Name", "First Name", "Work Email", "Job Title", "Start Date"],
        ",",
        ["--column", "Start Date="],
    ),
}


def staff(number: int) -> list[str]:
    """The row of a person: umlauts, double names, and titles with the delimiter."""
    lastname = ["Müller", "Musterfrau-Schönhausen", "O'Brien", "Łukasiewicz"][number % 4]
    title = ["Leiterin; Einkauf", "Engineer, Sales", "", "Buchhaltung"][number % 4]
    first = ["Jörg", "Anna-Lena", "Zoë", "Max"][number % 4]
    email = f"person{number}@firma.example"
    return [f"{number:05}", lastname, first, email, title, "2024-01-31"]


def write_export(export: Export, folder: Path) -> Path:
    """Write 50 rows as Windows programs do: with a mark at the beginning, and CRLF."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=export.delimiter, lineterminator="\r\n")
    writer.writerows([export.header, *map(staff, range(ROWS))])
    file = folder / "staff.csv"
    file.write_bytes(text.getvalue().encode("utf-8-sig"))
    return file


def last_month() -> str:
    """The accounts before: 45 of the staff, three of them with other names, and who left since."""
    people = [dict(zip(_FIELDS, staff(n)[:5], strict=True)) for n in range(45)]
    people[0]["lastname"] = "Meier"
    people[1]["title"] = "Trainee"
    people[5]["name"] = "Anna"
    people += [{"name": "Left", "email": email} for email in sorted(LEAVERS)]
    people.append({"name": "Boss", "email": BOSS})
    return json.dumps({"create_users": people})


def documented_commands() -> list[list[str]]:
    """The commands of the table at the top of the page, in their order."""
    page = (ROOT / "docs" / "operations" / "sync.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| [^|`]+ \| `anyscale ([^`]+)` \|", page, re.MULTILINE)
    return [shlex.split(command) for command in found]


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_the_accounts_follow_the_export_of_a_payroll_program(
    export: Export, anyscale: RunAnyscale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "embedded")
    file = write_export(export, tmp_path)
    created = anyscale("user", "batch-create", "-f", "-", "--format=json", stdin=last_month())
    assert created.returncode == 0, created.stderr
    assert anyscale("user", "set-role", BOSS, "owner").returncode == 0

    plain = anyscale("user", "verify", "-f", file)
    assert plain.returncode == 2
    assert f"`{shlex.join(export.options)}` leaves" in plain.stderr

    correct, create, suspend = (
        [str(file) if word == "staff.csv" else word for word in command] + export.options
        for command in documented_commands()
    )
    corrected = anyscale(*correct, "--yes")
    assert (corrected.returncode, "3 corrected." in corrected.stderr) == (0, True)
    assert "'Work Email' as email" in corrected.stderr or "'Stelle' as title" in corrected.stderr
    added = anyscale(*create, "--yes")
    assert (added.returncode, "5 created." in added.stderr) == (0, True), added.stderr
    dry = anyscale(*suspend, "--dry-run")
    assert set(re.findall(r"^suspend (\S+@\S+)", dry.stdout, re.MULTILINE)) == LEAVERS
    assert f"leave {BOSS}" in dry.stdout
    left = anyscale(*suspend, "--yes")
    assert (left.returncode, "4 suspended." in left.stderr) == (0, True), left.stderr

    same = anyscale("user", "verify", "-f", file, *export.options)
    assert (same.returncode, same.stdout) == (0, ""), same.stderr
    suspended = json.loads(anyscale("user", "list", "--suspended", "-o", "json").stdout)
    assert {user["email"] for user in suspended} == LEAVERS
    found = anyscale("user", "list", "--search", "mueller joerg", "-o", "json").stdout
    assert len(json.loads(found)) == len(range(0, ROWS, 4))
