"""Workbooks in the console: the verdicts of CSV of the same cells, and a choice of the sheet."""

import asyncio
import csv
import gc
import io
import random
import re
import resource
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest
from openpyxl import load_workbook
from tests.client.bad_files.reading import read
from tests.client.bad_files.workbooks import SHEET, packed, parts_of, row, saved, workbook
from tests.client.test_hostile_workbooks import HOSTILE
from tests.server.http.console.batches.test_columns import rows_of
from tests.server.http.console.conftest import Console, run_console
from tests.server.http.console.test_batches import create, new_names, upload, words
from tests.server.http.pages.requests import PUBLIC, send
from tests.support.servers.http_client import HttpClient

from anyscale.domain.validation import Policy
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.web import workbook as workbook_module
from anyscale.server.http.web.records_file import Rows, links_file
from anyscale.server.http.web.workbook import Workbook
from anyscale.users_file import UsersFile

CHECK = f"{PATH}/check"


@pytest.fixture(scope="module")
def shared_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with run_console(tmp_path_factory.mktemp("workbooks"), public_url=PUBLIC) as console:
        yield console


@pytest.fixture(scope="module")
def jane(shared_console: Console) -> HttpClient:
    return shared_console.browser()


HEADERS = (
    ("Vorname", "Name", "E-Mail", "Abteilung", "Passwort"),
    ("name", "lastname", "email", "Title", "password"),
    ("Name", "Kostenstelle", "Mail", "Personalnummer", "Ort"),
)
CELLS = ("", "Eva", "eva@batch.example", "EVA@batch.example", "jane@example.com", "short", "a\tb")


def table(number: int) -> list[tuple[str, ...]]:
    """A header, and some rows of texts; each table has its own mistakes."""
    chance = random.Random(number)
    header = HEADERS[number % len(HEADERS)]
    rows: list[tuple[str, ...]] = [header]
    for at in range(chance.randint(1, 10)):
        row = [f"Ann{at}", f"B{at}", f"p{at}@gen{number}.example", f"{at}", ""]
        if header[1] == "Kostenstelle":
            row[1] = ""
        for column in range(len(row)):
            if chance.random() < 0.06:
                row[column] = chance.choice(CELLS)
        rows.append(tuple(row))
    return rows


def csv_of(rows: list[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def verdict(client: HttpClient, data: bytes, name: str) -> str:
    """Return the problems of a file, each by its row; or how many accounts would be created."""
    answer = upload(client, CHECK, data, name, **{"as": "text"})
    if answer.headers["content-type"].startswith("text/plain"):
        return re.sub(r"(^|in )(?:[A-Z]+|line )(\d+)\b", r"\1\2", answer.text, flags=re.MULTILINE)
    found = re.search(r"To be created ([0-9]+)", words(answer))
    assert found, words(answer)
    return found[1]


def test_workbooks_have_the_verdicts_of_csv_of_the_same_cells(
    jane: HttpClient, pytestconfig: pytest.Config
) -> None:
    count, verdicts = max(20, pytestconfig.getoption("--workbooks")), []
    for number in range(count):
        rows = table(number)
        found = verdict(jane, saved(workbook(*rows)), "staff.xlsx")
        assert found == verdict(jane, csv_of(rows), "staff.csv"), rows
        verdicts.append(found)
    assert 0.2 < sum(found.isdigit() for found in verdicts) / count < 0.8  # both are frequent


def test_a_problem_has_its_cell(jane: HttpClient) -> None:
    rows = [("Vorname", "E-Mail"), ("Eva", "eva@batch.example"), ("Ole", "EVA@batch.example")]
    page = upload(jane, CHECK, saved(workbook(*rows)), "staff.xlsx")
    assert rows_of(page, "problems-1") == [
        ["B3", "Ole EVA@batch.example", "E-Mail", "the same as in B2 (Eva)"]
    ]


def test_a_sheet_is_chosen_if_there_are_several(shared_console: Console, jane: HttpClient) -> None:
    one, two = new_names(2)
    book = workbook(("name", "email"), (one, f"{one}@batch.example"), title="Berlin")
    for cells in (("name", "email"), (two, f"{two}@batch.example")):
        (book["Bonn"] if "Bonn" in book.sheetnames else book.create_sheet("Bonn")).append(cells)
    page = upload(jane, CHECK, saved(book), "staff.xlsx")
    assert re.findall(r"<option( selected)?>(\w+)<", page.text) == [
        (" selected", "Berlin"),
        ("", "Bonn"),
    ]
    assert f"{one}@batch.example" in page.text
    page = upload(jane, CHECK, saved(book), "staff.xlsx", sheet="Bonn")
    assert "<option selected>Bonn" in page.text
    assert f"{two}@batch.example" in page.text
    create(jane, saved(book), name="staff.xlsx", sheet="Bonn")
    emails = [f"{name}@batch.example" for name in (one, two)]
    found = shared_console.control_plane.users.find(emails)
    assert [user is not None for user in found] == [False, True]


def test_a_workbook_of_one_sheet_has_no_choice(jane: HttpClient) -> None:
    page = upload(jane, CHECK, saved(workbook(("name", "email"), ("A", "a@b.org"))), "staff.xlsx")
    assert 'id="sheet"' not in page.text


#: one of each kind of `HOSTILE`, all of which the reader's own tests have
KINDS = (
    "a sheet that unpacks to a thousand times its size",
    "a long text that many cells share",
    "entities of entities",
    "a header of 16,384 columns",
)


def test_hostile_workbooks_are_refused_within_two_seconds_and_64_mib(jane: HttpClient) -> None:
    for what in KINDS:
        make, message = HOSTILE[what]
        data = make()
        memory, since = peak(), time.process_time()
        page = upload(jane, CHECK, data, "staff.xlsx", **{"as": "text"})
        assert time.process_time() - since < 2, what
        assert peak() - memory < 64, what
        assert message.lstrip(":") in page.text, (what, page.text[:300])


def peak() -> float:
    """Return the MiB that this process, in which the server runs, has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_half_a_pair_of_utf16_is_shown_as_a_mark(jane: HttpClient) -> None:
    (name,) = new_names()
    rows = row("name", "email", "title_xD83D_") + row("_xD83D_", f"{name}@b.example", "_xD83D_")
    page = upload(jane, CHECK, packed(parts_of(rows)), "staff.xlsx")
    assert page.status < 500
    assert "title\ufffd" in words(page)


def test_a_workbook_of_links_has_emails_that_look_escaped_as_they_are(jane: HttpClient) -> None:
    (name,) = new_names()
    email = f"_x0061_{name}@batch.example"
    batch_id = create(jane, f"name,email\nAnn,{email}\n".encode())
    answer = send(jane, f"{PATH}/{batch_id}/links", format="xlsx")
    assert "_x005F_x0061_" in zipfile.ZipFile(io.BytesIO(answer.body)).read(SHEET).decode()
    reading = UsersFile(io.BytesIO(answer.body), "links.xlsx", "xlsx").reading(Policy())
    assert [user.email for user in reading] == [email]


def test_links_come_as_a_workbook_of_texts(jane: HttpClient) -> None:
    (name,) = new_names()
    rows = f"name,lastname,email\nÖzgür,<Groß> & Co,{name}@batch.example\n=1+1,,x{name}@b.example\n"
    batch_id = create(jane, rows.encode())
    answer = send(jane, f"{PATH}/{batch_id}/links", format="xlsx")
    assert answer.headers["content-disposition"] == 'attachment; filename="links.xlsx"'
    sheet = load_workbook(io.BytesIO(answer.body)).worksheets[0]
    header, first, second = sheet.iter_rows(values_only=True)
    assert header == ("Email", "First name", "Last name", "Link", "Works until")
    assert first[:3] == (f"{name}@batch.example", "Özgür", "<Groß> & Co")
    assert str(first[3]).startswith(f"{PUBLIC}/set-password#mrl_")
    assert re.fullmatch(r"[A-Z][a-z]+day, \d{1,2} [A-Z][a-z]+ \d{4}", str(first[4]))  # as in mails
    assert second[1:3] == ("=1+1", "")
    assert {cell.data_type for row in sheet for cell in row} == {"s"}  # no formula


def test_each_cell_of_a_written_workbook_has_its_name_and_its_text() -> None:
    text = "https://x.example/set-password#mrl_a_x0041_x0042_-"
    book = Workbook(("email", "name"))
    data = book.add([("ann@example.com", text)]) + book.end()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read(SHEET).decode()

    # Gnumeric reads no cell without its name.
    assert re.findall(r'<(?:row|c) r="(\w+)"', sheet) == ["1", "A1", "B1", "2", "A2", "B2"]
    assert [user.name for user in read(data, "links.xlsx")[0]] == [text]


def test_a_workbook_is_written_and_sent_as_its_rows_are_created() -> None:
    """A million rows in one piece would let other requests wait, and fill the memory."""
    names = dict.fromkeys(("email", "name", "lastname", "expires_at"), "x")
    sent: list[bytes] = []

    async def pages() -> AsyncIterator[Rows]:
        for page in range(3):
            assert len(sent) == page, "sent before the next ones are created"
            rows = iter([names | {"url": token_hex(64)} for _ in range(1_000)])
            yield rows
            assert list(rows) == [], "written before the next ones are created"

    async def read_all() -> None:
        parts = links_file("xlsx").stream(pages()).iterator
        assert isinstance(parts, AsyncIterator)
        async for part in parts:
            assert isinstance(part, bytes)
            sent.append(part)

    asyncio.run(read_all())
    assert len(sent[-1]) < sum(map(len, sent)) / 10
    with zipfile.ZipFile(io.BytesIO(b"".join(sent))) as archive:
        assert archive.testzip() is None
        assert archive.read(SHEET).count(b"<row ") == 3_001


@pytest.mark.parametrize("limit", ["_MOST_OCTETS", "_MOST_ROWS"])
def test_rows_that_do_not_fit_into_a_sheet_are_in_the_next_one(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are those of sheets of 2 GiB and of 1,048,576 rows, in small."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", zipfile.ZIP64_LIMIT >> 16)
    monkeypatch.setattr(workbook_module, limit, getattr(workbook_module, limit) >> 16)
    rows = [(f"User {at}", f"user{at}@example.com") for at in range(400)]

    with Workbook(("Name", "Email")) as book:
        data = b"".join(book.add(rows[at : at + 10]) for at in range(0, 400, 10)) + book.end()

    sheets = list(load_workbook(io.BytesIO(data), read_only=True))
    assert len(sheets) > 2
    assert [sheet.title for sheet in sheets] == [f"Sheet{at + 1}" for at in range(len(sheets))]
    read = [list(sheet.iter_rows(values_only=True)) for sheet in sheets]
    assert {tuple(one[0]) for one in read} == {("Name", "Email")}
    assert [tuple(row) for one in read for row in one[1:]] == rows


def test_a_workbook_that_its_reader_gives_up_leaves_no_traceback_in_the_log() -> None:
    async def pages() -> AsyncIterator[Rows]:
        yield [dict.fromkeys(("email", "name", "lastname", "url", "expires_at"), "x")]

    async def read_all() -> None:
        parts = links_file("xlsx").stream(pages()).iterator
        assert isinstance(parts, AsyncIterator)
        async for _ in parts:
            begun.set()
            await asyncio.Event().wait()

    async def give_up() -> None:
        reading = asyncio.create_task(read_all())
        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])

    begun = asyncio.Event()
    asyncio.run(give_up())
    gc.collect()
