"""The page of the audit log: filters, pages, the check of the chain, and the download."""

import json
import re
from html import unescape
from http.client import IncompleteRead
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get, send
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient, HttpResponse

from anyscale.domain.audit_chain import FORGOTTEN
from anyscale.domain.models.users import UserChanges
from anyscale.server.core.audit import verification
from anyscale.server.core.audit.entries import AuditLog, Entry, append_entries, append_entry
from anyscale.server.http.console.audit import pages

#: entries of a page
PAGE = 50


@pytest.fixture(scope="module")
def console(shared_console: Console) -> Console:
    """A console whose audit log has more than two pages of one event."""
    with shared_console.control_plane.store.write() as tx:
        append_entries(
            tx,
            [
                Entry(f"token:robot{at % 2}", "batch.dropped", f"bat_{at:03}", {"n": at})
                for at in range(120)
            ],
        )
    return shared_console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


def listed(client: HttpClient, path: str = "/console/audit", **query: object) -> HttpResponse:
    page = get(client, f"{path}?{urlencode(query)}" if query else path)
    assert page.status == 200
    return page


def numbers(page: HttpResponse) -> list[int]:
    return [int(one) for one in re.findall(r"of entry (\d+)</span>", page.text)]


def link(page: HttpResponse, text: str) -> str:
    """Give where a link of the pager leads; empty if it is none."""
    found = re.search(rf'href="([^"]+)">{re.escape(text)}</a>', page.text)
    return unescape(found[1]) if found else ""


def user_id_of(console: Console, name: str) -> str:
    with console.control_plane.store.read() as tx:
        account = tx.accounts.find(f"{name}@example.com")
    assert account
    return account.user_id


def test_the_newest_entries_come_first_and_all_pages_have_each_entry_once(
    console: Console, jane: HttpClient
) -> None:
    every = [entry.number for entry in console.control_plane.audit_log.list(0, 1_000)][::-1]
    page, seen = listed(jane), []
    assert (link(page, "First"), link(page, "Previous")) == ("", "")
    while True:
        seen += numbers(page)
        if not (following := link(page, "Next")):
            break
        page = listed(jane, following)
    assert seen == every
    assert numbers(listed(jane, link(listed(jane), "Last"))) == every[-PAGE:]
    assert link(page, "Last") == ""
    back = listed(jane, link(page, "Previous"))
    assert numbers(back)[-1] == numbers(page)[0] + 1
    assert len(numbers(back)) == PAGE


def test_a_full_page_with_all_entries_has_none_after_it(console: Console, jane: HttpClient) -> None:
    with console.control_plane.store.write() as tx:
        append_entries(tx, [Entry("token:full", "batch.opened", "bat", {})] * PAGE)
    page = listed(jane, actor="token:full")
    assert (len(numbers(page)), link(page, "Next"), link(page, "Last")) == (PAGE, "", "")


def test_the_newest_page_has_none_before_it(console: Console, jane: HttpClient) -> None:
    log = console.control_plane.audit_log.list(0, 1_000, newest_first=True)
    dropped = [entry.number for entry in log if entry.event == "batch.dropped"]
    page = listed(jane, event="batch.dropped", after=dropped[PAGE])
    assert (numbers(page), link(page, "Previous")) == (dropped[:PAGE], "")


def test_a_filter_selects_entries_and_stays_in_the_address(jane: HttpClient) -> None:
    page = listed(jane, event="batch.dropped", actor="token:robot1")
    assert len(numbers(page)) == PAGE
    assert "token:robot0" not in page.text
    older = link(page, "Next")
    assert "event=batch.dropped" in older
    assert "actor=token%3Arobot1" in older
    assert len(numbers(listed(jane, older))) == 10
    assert '<option value="batch.dropped" selected>' in page.text


def test_a_subject_selects_its_entries(jane: HttpClient) -> None:
    page = listed(jane, subject="bat_007")
    assert len(numbers(page)) == 1
    assert '<dt>N</dt><dd translate=no class="code"><bdi translate=no>7</bdi>' in page.text
    labels = ["Entry", "Time", "Event", "Actor", "Subject", "N", "Hash"]
    assert re.findall("<dt>(.*?)</dt>", page.text) == labels


@pytest.mark.parametrize("field", ["actor", "subject"])
def test_an_email_stands_for_its_account(console: Console, jane: HttpClient, field: str) -> None:
    user_id = user_id_of(console, "bob")
    with console.control_plane.store.write() as tx:
        append_entry(tx, f"user:{user_id}", "password.changed", user_id, {})
    page = listed(jane, **{field: " Bob@Example.com "}, event="password.changed")
    assert numbers(page)
    assert "(bob@example.com)" in page.text
    by_id = listed(jane, **{field: user_id}, event="password.changed")
    assert numbers(by_id) == numbers(page)


def test_a_former_email_stands_for_the_account_that_had_it(
    console: Console, jane: HttpClient
) -> None:
    user_id = user_id_of(console, "bob")
    for email in ("robert@example.com", "bob@example.com"):
        console.control_plane.updates.update(OPERATOR, user_id, UserChanges(email=email))
    changes = listed(jane, subject="Robert@example.com", event="account.email_changed")
    assert len(numbers(changes)) == 2
    file = get(jane, link(changes, "Download for programs (JSON Lines)"))
    assert [json.loads(line)["subject"] for line in file.text.splitlines()] == [user_id] * 2


def test_an_actor_with_an_at_sign_is_no_email(console: Console, jane: HttpClient) -> None:
    with console.control_plane.store.write() as tx:
        append_entry(tx, "local:root@host", "batch.opened", "bat", {})
    assert len(numbers(listed(jane, actor="local:root@host"))) == 1


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (
            "actor=nobody@example.com",
            "There is no account nobody@example.com: a deleted one is found by its user_id.",
        ),
        ("event=access.deny", "There is no event access.deny: did you mean access.denied?"),
    ],
)
def test_an_unknown_email_or_event_is_a_problem_of_the_page(
    jane: HttpClient, query: str, problem: str
) -> None:
    page = get(jane, f"/console/audit?{query}")
    assert page.status == 404
    assert f'<a href="#q">{problem}</a>' in page.text
    assert numbers(page) == []


def test_no_match_says_so(jane: HttpClient) -> None:
    page = listed(jane, actor="token:nobody")
    assert "No entry matches" in page.text
    assert 'href="/console/audit">show all entries' in page.text


@pytest.mark.parametrize("query", ["before=-1", "before=x", f"after={2**60}", "actor=" + "a" * 401])
def test_an_address_that_is_no_page_is_refused(jane: HttpClient, query: str) -> None:
    assert get(jane, f"/console/audit?{query}").status == 400


def test_entries_are_text(console: Console, jane: HttpClient) -> None:
    with console.control_plane.store.write() as tx:
        append_entry(tx, "token:<script>alert(1)</script>", "token.created", "<b>", {"a": "<i>"})
    page = listed(jane)
    for tag in ("<script>alert", "<b>", "<i>"):
        assert tag not in page.text
    assert "&lt;script&gt;" in page.text


def test_the_download_has_the_chosen_entries_in_their_order(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_READ", 7)
    page = listed(jane, event="batch.dropped", actor="token:robot0")
    file = get(jane, link(page, "Download for programs (JSON Lines)"))
    assert file.headers["content-disposition"] == 'attachment; filename="audit-log.jsonl"'
    assert file.headers["cache-control"] == "no-store"
    lines = [json.loads(line) for line in file.text.splitlines()]
    assert [line["data"]["n"] for line in lines] == list(range(0, 120, 2))
    assert {line["actor"] for line in lines} == {"token:robot0"}
    (entry,) = console.control_plane.audit_log.list(0, 1, newest_first=True)
    assert (entry.event, entry.data) == ("audit.exported", '{"filtered":true,"format":"jsonl"}')
    whole = get(jane, "/console/audit/download").text.splitlines()
    assert len(whole) == len(console.control_plane.audit_log.list(0, 1_000))


def verify(client: HttpClient, head: str = "", noted: str = "") -> HttpResponse:
    return send(client, "/console/audit/verify", head=head, noted=noted)


def head_of(page: HttpResponse) -> str:
    found = re.search(r'name="head" value="(\d+:[0-9a-f]{64})"', page.text)
    return found[1] if found else ""


def newest_number(console: Console) -> int:
    (newest,) = console.control_plane.audit_log.list(0, 1, newest_first=True)
    return newest.number


def unbroken_up_to(page: HttpResponse) -> int:
    """Return up to which newest entry a page says that the log is unbroken; 0 if it does not.

    The server may have appended another one since: denials are written later.
    """
    found = re.search(r"Unbroken up to entry (\d+), the newest one\.", page.text)
    return int(found[1]) if found else 0


def test_an_intact_log_is_unbroken_up_to_its_newest_entry(
    console: Console, jane: HttpClient
) -> None:
    before = newest_number(console)
    page = verify(jane)
    assert page.status == 200
    number = unbroken_up_to(page)
    assert before <= number <= newest_number(console)
    (entry,) = console.control_plane.audit_log.list(number - 1, 1)
    assert f"{number}:{entry.hash}" in page.text
    assert head_of(page) == ""


def test_a_long_log_is_verified_in_slices(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_SLICE", 40)
    before = newest_number(console)
    page, slices = verify(jane), 1
    assert "Unbroken up to entry 40." in page.text
    while head := head_of(page):
        page = verify(jane, head)
        slices += 1
    number = unbroken_up_to(page)
    assert before <= number <= newest_number(console)
    assert slices == -(-number // 40)


def test_a_text_that_is_not_a_head_is_refused(jane: HttpClient) -> None:
    assert verify(jane, "1:x").status == 400
    assert verify(jane, noted="7").status == 400


def tamper(console: Console, sql: str) -> None:
    with console.control_plane.store.write() as tx:
        execute_sql(tx, sql)


@pytest.fixture
def own(open_console: object, request: pytest.FixtureRequest) -> tuple[Console, HttpClient]:
    """A console whose log a test breaks."""
    console: Console = request.getfixturevalue("open_console")()
    with console.control_plane.store.write() as tx:
        append_entries(tx, [Entry("system", "token.created", f"{at}", {}) for at in range(30)])
    return console, console.browser()


BROKEN = {
    "update audit set actor = 'x' where number = 7": "entry 7 was changed, or an earlier one",
    "delete from audit where number = 12": "entry 12 is missing",
    "delete from audit where number < 5": "the entries before 5 are missing",
}


@pytest.mark.parametrize("sql", BROKEN)
@pytest.mark.parametrize("slice_", [3, 20_000])
def test_a_change_of_the_log_is_found(
    own: tuple[Console, HttpClient], sql: str, slice_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, jane = own
    monkeypatch.setattr(verification, "_SLICE", slice_)
    tamper(console, sql)
    page = verify(jane)
    while head := head_of(page):
        page = verify(jane, head)
    assert f"The audit log is damaged: {BROKEN[sql]}" in unescape(page.text)
    assert "the newest one" not in page.text
    if "number < 5" in sql:
        assert "Unbroken" not in page.text


@pytest.mark.parametrize("slice_", [3, 20_000])
def test_a_log_that_lost_its_end_lacks_the_noted_head(
    own: tuple[Console, HttpClient], slice_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, jane = own
    monkeypatch.setattr(verification, "_SLICE", slice_)
    (newest,) = console.control_plane.audit_log.list(0, 1, newest_first=True)
    noted = f"{newest.number}:{newest.hash}"
    page = verify(jane, noted=f" {noted} ")
    while head := head_of(page):
        page = verify(jane, head, noted)
    assert "The log has the head that you noted." in page.text
    tamper(console, f"delete from audit where number >= {newest.number}")
    assert f"it lacks the head {noted}, which was noted" in verify(jane, noted=noted).text
    assert "The audit log is damaged" not in verify(jane).text  # nobody has noted it


def test_a_log_that_lost_its_end_lacks_the_head_that_the_server_has_logged(
    own: tuple[Console, HttpClient],
) -> None:
    console, jane = own
    log = console.control_plane.audit_log
    log.log_head()
    assert "the newest one" in verify(jane).text
    tamper(console, "delete from audit where number > 20")
    page = verify(jane)
    assert f"it lacks the head {log.logged_head}, which this server has logged" in page.text
    assert "Unbroken" not in page.text


def test_an_empty_log_is_damaged(own: tuple[Console, HttpClient]) -> None:
    console, jane = own
    tamper(console, "delete from audit")
    assert "it has no entries, and each sign-in adds one" in verify(jane).text


def test_a_removal_counts_only_as_far_as_the_noted_head_covers_it(
    own: tuple[Console, HttpClient],
) -> None:
    console, jane = own
    log = console.control_plane.audit_log
    log.log_head()
    noted = log.logged_head
    log.purge(2**52)
    assert "the newest one" in verify(jane).text
    assert "no noted head covers that" in verify(jane, noted=noted).text


def test_an_entry_that_changes_between_two_slices_is_found(
    own: tuple[Console, HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    console, jane = own
    monkeypatch.setattr(verification, "_SLICE", 5)
    head = head_of(verify(jane))
    tamper(console, "update audit set hash = x'00' where number = 5")
    page = verify(jane, head)
    assert "entry 5 was changed or removed since the check began" in page.text


def test_entries_that_were_removed_in_time_are_named(
    own: tuple[Console, HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    console, jane = own
    log = console.control_plane.audit_log
    log.purge(2**52)
    (kept, removal) = log.list(0, 1_000)
    assert removal.event == FORGOTTEN
    monkeypatch.setattr(verification, "_SLICE", 1)
    page = verify(jane)
    assert f"entries 1-{kept.number - 1} were removed" in page.text
    assert f"entry {removal.number}, the newest one" in verify(jane, head_of(page)).text


@pytest.mark.parametrize("recorded", [True, False])
def test_entries_that_are_removed_between_two_slices_need_an_entry_that_says_so(
    own: tuple[Console, HttpClient], monkeypatch: pytest.MonkeyPatch, *, recorded: bool
) -> None:
    console, jane = own
    monkeypatch.setattr(verification, "_SLICE", 5)
    head = head_of(verify(jane))
    if recorded:
        console.control_plane.audit_log.purge(2**52)
    else:
        tamper(console, "delete from audit where number < 9")
    page = unescape(verify(jane, head).text)
    assert ("were removed, says entry" in page) == recorded
    assert ("damaged: the entries before 9 are missing" in page) != recorded


def test_a_download_breaks_off_when_its_owner_loses_the_role(
    own: tuple[Console, HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    console, jane = own
    user_id, entries = user_id_of(console, "jane"), AuditLog.list

    def listed_last(*arguments: Any, **options: Any) -> Any:
        with console.control_plane.store.write() as tx:
            tx.accounts.set_role(user_id, "collaborator")
        return entries(*arguments, **options)

    monkeypatch.setattr(AuditLog, "list", listed_last)
    monkeypatch.setattr(pages, "_READ", 1)
    with pytest.raises(IncompleteRead):
        get(jane, "/console/audit/download")


def test_a_name_from_right_to_left_moves_no_other_word(console: Console, jane: HttpClient) -> None:
    with console.control_plane.store.write() as tx:
        append_entry(tx, "system", "token.created", "", {"name": "\u05d0\u05d1 (1)"})
    assert "created the token <bdi translate=no>\u05d0\u05d1 (1)</bdi>" in listed(jane).text
