"""The month in a browser: a file of everybody, its plan, what is confirmed, and what was done."""

import csv
import io
import re
from threading import Event
from typing import Any

import pytest
from msgspec import structs
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.console.test_batches import announce_large_file, upload, words
from tests.server.http.pages.requests import PROVIDER, PUBLIC, create_owner, fields_of, get, send
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.users import create_accounts
from tests.support.waiting import wait_until

from anyscale.comparison import sync_limits
from anyscale.domain.models.users import User, UserChanges
from anyscale.errors import BatchRefused, StoreUnavailable, SyncStopped
from anyscale.server.background import file_sync
from anyscale.server.core.time_units import DAY_MS, HOUR_MS
from anyscale.server.http.console.syncs import pages
from anyscale.server.http.console.syncs.pages import PATH
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.http.metrics import REFUSALS
from anyscale.server.store.records.syncs import SyncRecord

HEADER = "Personalnr;Vorname;Nachname;E-Mail;Stelle"
#: who the console has already: jane, an owner, and bob
EVERYBODY = (";Jane;;jane@example.com;", ";Jane;;bob@example.com;")


@pytest.fixture
def jane(console: Console, monkeypatch: pytest.MonkeyPatch) -> HttpClient:
    # A request waits for the end of its run, also on a slow machine.
    monkeypatch.setattr(pages, "_WAIT_SECONDS", 60.0)
    return console.browser()


def staff(*rows: str, without: str = "") -> bytes:
    """Return a file of everybody, but one."""
    present = [row for row in EVERYBODY if not without or without not in row]
    return "\n".join([HEADER, *present, *rows, ""]).encode()


def check(client: HttpClient, data: bytes, **fields: str) -> HttpResponse:
    return upload(client, f"{PATH}/check", data, "staff.csv", **fields)


def hidden(page: HttpResponse) -> dict[str, str]:
    """Return the hidden fields of the form, and the boxes that are ticked."""
    found = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    ticked = re.findall(r'name="([^"]+)" type="checkbox" value="yes" checked', page.text)
    return found | dict.fromkeys(ticked, "yes")


def confirm(client: HttpClient, page: HttpResponse, data: bytes, **fields: str) -> HttpResponse:
    """Press the button of a plan; an empty field is left out, as a box that is not ticked."""
    chosen = {name: text for name, text in (hidden(page) | fields).items() if text}
    return upload(client, PATH, data, "staff.csv", **chosen)


def sync(client: HttpClient, data: bytes, **fields: str) -> str:
    """Check a file and confirm its plan; return the page of the result in words."""
    answer = confirm(client, check(client, data), data, **fields)
    assert answer.status == 303, words(answer)
    return words(get(client, answer.headers["location"]))


def sync_as(client: HttpClient, data: bytes, **fields: str) -> str:
    """Do the same with fields of the form that the plan depends on."""
    page = check(client, data, **fields)
    answer = confirm(client, page, data, **fields)
    assert answer.status == 303, words(answer)
    return words(get(client, answer.headers["location"]))


def account(console: Console, name: str) -> User:
    (found,) = console.control_plane.users.find([f"{name}@example.com"])
    assert found, name
    return found


def test_the_form_is_shown_beside_the_other_files(jane: HttpClient) -> None:
    page = get(jane, PATH)
    assert page.status == 200
    assert 'enctype="multipart/form-data"' in page.text
    assert f'href="{PATH}"' in get(jane, "/console/batches").text
    assert f'href="{PATH}"' in get(jane, "/console/users").text


def test_a_plan_says_who_is_new_has_changed_and_has_left_and_changes_nothing(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "ann")
    page = check(
        jane, staff(";Jane;;ann@example.com;Chefin", "7;Zoë;Roe;zoe@example.com;", without="bob")
    )
    text = words(page)
    assert page.status == 200
    assert "staff.csv : 3 people read, nothing was changed yet" in text
    assert "New 1 Other details 1 Not in the file 1 Back again 0 As in the file 1" in text
    assert "Zoë Roe zoe@example.com" in text
    assert "ann@example.com Title: empty → Chefin" in text
    assert "bob@example.com" in text
    assert account(console, "bob").suspended_at is None
    assert account(console, "ann").title is None


def test_a_confirmed_plan_is_done_and_its_page_says_what_was_done_and_whom_to_send_links(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "ann")
    data = staff(";Jane;;ann@example.com;Chefin", "7;Zoë;Roe;zoe@example.com;", without="bob")
    text = sync(jane, data)
    assert "Update from staff.csv Done" in text
    assert "Created 1 Changed 1 Suspended 1 Restored 0" in text
    assert "Links for 1 person" in text
    assert "Zoë Roe zoe@example.com" in text.partition("Who cannot sign in yet")[2]
    assert account(console, "bob").suspended_by_sync
    assert account(console, "ann").title == "Chefin"
    actor = f"user:{account(console, 'jane').user_id}"
    events = [
        one.event for one in console.control_plane.audit_log.list(0, 100) if one.actor == actor
    ]
    assert {"batch.published", "account.updated", "account.suspended"} <= set(events)
    assert "staff.csv" in words(get(jane, PATH))


def test_a_confirmed_update_leads_to_its_page_before_it_is_done(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, lifecycle, go_on = staff(without="bob"), console.control_plane.lifecycle, Event()
    suspend = lifecycle.suspend

    def suspend_later(*arguments: Any, **options: Any) -> None:
        assert go_on.wait(30)
        suspend(*arguments, **options)

    monkeypatch.setattr(lifecycle, "suspend", suspend_later)
    monkeypatch.setattr(pages, "_WAIT_SECONDS", 0.0)
    answer = confirm(jane, check(jane, data), data)
    try:
        place = answer.headers["location"]
        assert (answer.status, place.startswith(f"{PATH}/syn_")) == (303, True)
        shown = words(get(jane, place))
        assert "The accounts are being updated" in shown
        assert "Update the accounts" not in shown
        assert get(jane, f"{place}/progress").json["running"]
    finally:
        go_on.set()
    wait_until(lambda: get(jane, f"{place}/progress").json["state"] == "done")
    assert "Suspended 1" in words(get(jane, place))


def test_the_people_whom_an_update_suspended_are_named_and_restored_together(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "ann", "leo", "mia")
    data = staff(without="bob")
    answer = confirm(jane, check(jane, data), data)
    place = answer.headers["location"]
    for name in ("leo", "mia"):  # other people decide about these since
        console.control_plane.lifecycle.restore(OPERATOR, account(console, name).user_id)
    console.control_plane.lifecycle.suspend(OPERATOR, account(console, "mia").user_id)
    page = get(jane, place)
    named = words(page).partition("Suspended by this update")[2].partition("Details")[0]
    assert "2 people whom nobody has restored or suspended again since." in named
    assert "ann@example.com" in named
    assert "bob@example.com" in named
    found = re.search(r'href="(/console/users/restore\?undo=\w+)">Restore all 2<', page.text)
    assert found

    asked = get(jane, found[1])
    assert "Restore 2 accounts?" in words(asked)
    assert send(jane, found[1], **fields_of(asked)).status == 303

    states = [account(console, name).suspended_at for name in ("ann", "bob", "leo", "mia")]
    assert [one is None for one in states] == [True, True, True, False]
    assert "Suspended by this update" not in words(get(jane, place))


def test_the_import_of_an_update_names_the_update_and_what_it_did(jane: HttpClient) -> None:
    data = staff(";Zoë;;zoe@example.com;", without="bob")
    place = confirm(jane, check(jane, data), data).headers["location"]
    (path,) = re.findall('href="(/console/batches/bat_[^/"]+)"', get(jane, place).text)
    page = get(jane, path)
    assert f'href="{place}"' in page.text
    expected = "This import is a part of the update from staff.csv : 1 created, 1 suspended."
    assert expected in words(page)
    listed = get(jane, "/console/batches")
    assert f'Part of an <a href="{place}">update</a>: 1 created, 1 suspended' in listed.text


def test_links_for_the_new_are_offered_if_a_page_cannot_have_all_who_cannot_sign_in(
    console: Console, jane: HttpClient
) -> None:
    many = [f";Old;;old{number}@example.com;" for number in range(PAGE_USERS)]
    sync(jane, staff(*many))
    data = staff(";Zoë;;zoe@example.com;", *many)
    page = get(jane, confirm(jane, check(jane, data), data).headers["location"])
    assert "old1@example.com" not in page.text
    (path,) = re.findall('href="([^"]+/links)">Links for the new account<', page.text)
    links = words(get(jane, path))
    assert "Create links for 1 user?" in links


def test_the_plan_names_no_command_for_an_email_of_a_former_account(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "ann")
    ann = account(console, "ann").user_id
    console.control_plane.updates.update(OPERATOR, ann, UserChanges(email="anna@example.com"))
    page = check(jane, staff(";Jane;;anna@example.com;", ";Ann;;ann@example.com;"))
    text = words(page).partition("1 person who has to wait")[2]
    assert "no other account gets it before" in text
    assert "write the present one into it" in text
    assert "anyscale user update" not in text


def test_the_name_of_a_file_is_stored_without_what_cannot_be_seen(
    console: Console, jane: HttpClient
) -> None:
    data, name = staff(";Zoë;;zoe@example.com;"), "st\0\x1b\u202eaff.csv"
    chosen = hidden(upload(jane, f"{PATH}/check", data, name))
    assert upload(jane, PATH, data, name, **chosen).status == 303
    assert console.control_plane.syncs.latest(1)[0].file_name == "staff.csv"


@pytest.mark.parametrize(
    ("left_out", "done"),
    [
        ("create", "Created 0 Changed 1 Suspended 1"),
        ("correct", "Created 1 Changed 0 Suspended 1"),
        ("suspend", "Created 1 Changed 1 Suspended 0"),
    ],
)
def test_each_kind_can_be_left_out(
    console: Console, jane: HttpClient, left_out: str, done: str
) -> None:
    create_accounts(console.control_plane, "ann")
    data = staff(";Jane;;ann@example.com;Chefin", ";Zoë;;zoe@example.com;", without="bob")
    assert done in sync(jane, data, **{left_out: ""})


def test_people_who_are_back_are_restored_if_their_box_is_ticked(
    console: Console, jane: HttpClient
) -> None:
    sync(jane, staff(without="bob"))
    page = check(jane, staff())
    assert "1 person who is back" in words(page)
    assert "restore" not in hidden(page)
    refused = confirm(jane, page, staff())
    assert refused.status == 409
    assert "Nothing is chosen that would change an account." in words(refused)
    assert "Restored 1" in sync(jane, staff(), restore="yes")
    assert account(console, "bob").suspended_at is None


def test_the_correction_of_a_person_who_is_not_restored_is_left_out_too(
    console: Console, jane: HttpClient
) -> None:
    sync(jane, staff(without="bob"))
    data = staff(";Jane;;bob@example.com;Chef", ";Zoë;;zoe@example.com;", without="bob")
    text = sync(jane, data)
    assert "Created 1 Changed 0 Suspended 0 Restored 0" in text
    assert "since somebody changed" not in text
    assert account(console, "bob").title is None


def test_no_file_changes_an_owner(console: Console, jane: HttpClient) -> None:
    data = staff(";Jane;;jane@example.com;Direktorin", without="jane")
    text = words(check(jane, data))
    assert "1 account that stays as it is" in text
    assert "it is an owner's, which no file changes" in text
    assert "nothing to do" in words(check(jane, staff()))
    assert "an owner's: owners are kept" in words(check(jane, staff(without="jane")))
    assert account(console, "jane").suspended_at is None


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_limits, "_MANY", 0)
    monkeypatch.setattr(sync_limits, "_SHARE", 100)


@pytest.mark.usefixtures("low_limits")
def test_many_suspensions_are_done_only_after_their_number_is_typed(
    console: Console, jane: HttpClient
) -> None:
    data = staff(without="bob")
    page = check(jane, data)
    assert "1 of 2 accounts would be suspended." in words(page)
    for typed in ("", "2", "one"):
        refused = confirm(jane, page, data, suspend_count=typed)
        assert (refused.status, "Type 1, the number" in words(refused)) == (409, True)
    assert account(console, "bob").suspended_at is None
    assert confirm(jane, page, data, suspend="").status == 409  # nothing else is left to do
    assert "Suspended 1" in sync(jane, data, suspend_count="1")


@pytest.mark.usefixtures("low_limits")
def test_many_new_emails_are_given_only_after_their_number_is_typed(
    console: Console, jane: HttpClient
) -> None:
    control_plane, bob = console.control_plane, account(console, "bob")
    control_plane.updates.update(OPERATOR, bob.user_id, UserChanges(external_id="7"))
    data = staff("7;Jane;;robert@example.com;", without="bob")
    page = check(jane, data)
    text = (
        "1 of 2 accounts would get another name, email or number, or lose a detail or single "
        "sign-on."
    )
    assert text in words(page)
    refused = confirm(jane, page, data)
    assert (refused.status, "Type 1, the number of accounts" in words(refused)) == (409, True)
    assert "Changed 1" in sync(jane, data, correct_count="1")
    assert account(console, "robert").user_id == bob.user_id


def answer_field(page: HttpResponse, name: str) -> str:
    """Return the field of the answer to the question about a person."""
    (found,) = re.findall(rf'for="(answer-[0-9a-f]+)">Who is {name}\?', page.text)
    return str(found)


def test_people_who_look_the_same_are_a_question_that_leaves_both(
    console: Console, jane: HttpClient
) -> None:
    data = staff(";Jane;;bop@example.com;", without="bob")
    page = check(jane, data)
    assert "1 question: who is who?" in words(page)
    assert "an email may be mistyped or new" in words(page)
    refused = confirm(jane, page, data)
    assert "Nothing is chosen that would change an account." in words(refused)
    assert account(console, "bob").suspended_at is None
    answers = {answer_field(page, "Jane"): "differ"}
    changed = confirm(jane, page, data, **answers)
    assert (changed.status, "your choices are not as they were" in words(changed)) == (409, True)
    assert "Created 1" in sync_as(jane, data, **answers)
    assert account(console, "bob").suspended_at


def test_people_who_may_be_one_person_with_another_name_are_named(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "eve")
    changed = staff(";Jane;Roe;jane.roe@example.com;", without="bob")
    page = check(jane, changed + b";Eva;Roe;eve@example.org;\n")
    text = words(page)
    assert text.count("perhaps the same person as") == 3
    for new, former in (
        ("Jane Roe , jane.roe@example.com", "bob@example.com"),  # the same first name
        ("Eva Roe , eve@example.org", "eve@example.com"),
    ):
        hint = f"{new} , is new: perhaps the same person as Jane , {former} , who is not in"
        assert hint in text


def test_a_domain_that_single_sign_on_refuses_is_a_warning_for_the_new_and_for_new_emails(
    open_console: OpenConsole,
) -> None:
    provider = structs.replace(PROVIDER, domains=frozenset({"example.com"}))
    console = open_console(public_url=PUBLIC, provider=provider)
    create_accounts(console.control_plane, "ann")
    jane = console.browser()
    header = b"Personalnr,name,email,sso\n,Jane,jane@example.com,\n,Jane,bob@example.com,\n"
    without_sso = header.replace(b",sso", b"").replace(b"com,", b"com")

    def warned(rows: bytes, header: bytes = header) -> str:
        page = check(jane, header + rows)
        assert page.status == 200, words(page)
        return page.text.partition("by single sign-on with an email of <strong>")[2]

    assert warned(b",Zoe,zoe@exmaple.com,yes\n").startswith("exmaple.com</strong>: check")
    assert not warned(b",Zoe,zoe@example.com,yes\n,Cid,cid@example.net,no\n")
    sync(jane, header + b"7,Jane,ann@example.com,yes\n")
    assert warned(b"7,Jane,ann@exmaple.net\n", without_sso).startswith("exmaple.net</strong>")
    assert warned(b"7,Jane,ann@exmaple.net,yes\n").startswith("exmaple.net</strong>")
    assert not warned(b"7,Jane,ann@exmaple.net,no\n")


def test_new_accounts_that_an_older_file_would_suspend_are_a_warning(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "new", "newer")
    warning = "2 accounts that would be suspended were created in the last 7 days. Is the file"
    assert warning in words(check(jane, staff()))
    new = staff(";Jane;;new@example.com;", ";Jane;;newer@example.com;")
    assert "in the last 7 days" not in words(check(jane, new))
    with console.control_plane.store.write() as tx:
        execute_sql(tx, f"update batches set published_at = published_at - {8 * DAY_MS}")
    page = words(check(jane, staff()))
    assert "2 people who are not in the file" in page
    assert "in the last 7 days" not in page


def test_a_file_that_may_be_cut_off_is_a_question(console: Console, jane: HttpClient) -> None:
    data = staff(without="bob")[:-1]
    refused = confirm(jane, check(jane, data), data)
    assert "Say that the file is complete, or export it again." in words(refused)
    assert account(console, "bob").suspended_at is None
    assert "Suspended 1" in sync(jane, data, complete="yes")


def test_nobody_is_suspended_while_somebody_has_neither_an_account_nor_a_name(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "ann")
    data = b"E-Mail;Stelle\njane@example.com;\nann@example.com;Chefin\nbop@example.com;\n"
    refused = confirm(jane, check(jane, data), data)
    assert "Nobody is suspended while the file has people" in words(refused)
    assert account(console, "bob").suspended_at is None
    assert "Changed 1 Suspended 0" in sync(jane, data, suspend="")


def test_a_number_of_another_person_is_a_question_that_the_page_can_answer(
    console: Console, jane: HttpClient
) -> None:
    control_plane, bob = console.control_plane, account(console, "bob")
    control_plane.updates.update(OPERATOR, bob.user_id, UserChanges(external_id="7"))
    data = staff("7;Robert;;robert@example.com;", without="bob")
    page = check(jane, data)
    assert "it may be another person" in words(page)
    field = answer_field(page, "Robert")
    again = check(jane, data, **{field: "same"})
    assert "1 person with other details" in words(again)
    two = check(jane, data, **{field: "differ"})
    assert "1 person who is not in the file" in words(two)
    assert "1 person who has to wait" in words(two)
    # An answer is about this account and these values, in whatever file it is sent again.
    other = check(jane, data.replace(b"robert@", b"rob@"), **{field: "same"})
    assert "1 question: who is who?" in words(other)
    # The page that no longer asks keeps the answer.
    done = confirm(jane, again, data)
    assert done.status == 303, words(done)
    assert account(console, "robert").user_id == bob.user_id


def test_people_with_other_numbers_are_one_question_and_their_count_is_typed(
    console: Console, jane: HttpClient
) -> None:
    control_plane, bob = console.control_plane, account(console, "bob")
    control_plane.updates.update(OPERATOR, bob.user_id, UserChanges(external_id="7"))
    data = staff("107;Jane;;bob@example.com;", without="bob")
    page = check(jane, data)
    assert "1 person has the same email and the same name, and another number." in words(page)
    assert "who is who" in words(check(jane, data, renumbered_count="2"))
    answered = check(jane, data, **hidden(page), renumbered_count="1")
    done = confirm(jane, answered, data)
    assert done.status == 303, words(done)
    assert account(console, "bob").external_id == "107"


def test_a_plan_that_is_older_than_a_change_is_shown_anew(
    console: Console, jane: HttpClient
) -> None:
    data = staff(without="bob")
    page = check(jane, data)
    create_accounts(console.control_plane, "ann")
    refused = confirm(jane, page, data)
    assert refused.status == 409
    assert "Nothing was changed yet" in words(refused)
    assert "2 people who are not in the file" in words(refused)
    assert account(console, "bob").suspended_at is None
    assert confirm(jane, refused, data).status == 303
    assert account(console, "ann").suspended_by_sync


def test_another_file_than_that_of_the_plan_is_shown_anew(
    console: Console, jane: HttpClient
) -> None:
    page = check(jane, staff(";Zoë;;zoe@example.com;"))
    refused = confirm(jane, page, staff(without="bob"))
    assert (refused.status, "Look at this plan" in words(refused)) == (409, True)
    assert account(console, "bob").suspended_at is None


def test_a_form_that_arrives_twice_is_done_once(console: Console, jane: HttpClient) -> None:
    data = staff(";Zoë;;zoe@example.com;", without="bob")
    page = check(jane, data)
    first = confirm(jane, page, data)
    console.control_plane.lifecycle.restore(OPERATOR, account(console, "bob").user_id)
    second = confirm(jane, page, data)
    assert (first.status, second.status) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert account(console, "bob").suspended_at is None
    assert len(console.control_plane.batches.page(open_only=False, before="", limit=10)) == 3


def test_a_second_tab_shows_what_is_left(console: Console, jane: HttpClient) -> None:
    data = staff(";Zoë;;zoe@example.com;", without="bob")
    first, second = check(jane, data), check(jane, data)
    assert confirm(jane, first, data).status == 303
    refused = confirm(jane, second, data)
    assert (refused.status, "nothing to do" in words(refused)) == (409, True)


def test_the_whole_plan_is_downloaded(jane: HttpClient) -> None:
    data = staff(";Zoë;Roe;zoe@example.com;", ";Jane;;jane@example.com;Chefin", without="jane@")
    answer = check(jane, data, **{"as": "csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="plan.csv"'
    rows = [tuple(row) for row in csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))]
    assert [row[:4] for row in rows] == [
        ("action", "name", "email", "line"),
        ("create", "Zoë Roe", "zoe@example.com", "3"),
        ("leave", "Jane", "jane@example.com", "4"),
    ]


def test_the_page_shows_fifty_people_of_a_kind(jane: HttpClient) -> None:
    page = check(jane, staff(*(f";N{at};;n{at}@new.example;" for at in range(60))))
    assert page.text.count('data-label="Email"') == 50
    assert "And 10 more: download the whole plan." in words(page)


def test_a_wrong_file_changes_nothing_and_its_problems_are_shown(jane: HttpClient) -> None:
    page = check(jane, staff(";Zoë;;zoe;"))
    assert page.status == 422
    assert "1 problem in 1 row" in words(page)
    assert "'zoe' is not an email address" in words(page)
    text = check(jane, staff(";Zoë;;zoe;"), **{"as": "text"})
    assert text.text.startswith("line 4 ")
    assert upload(jane, PATH, staff(";Zoë;;zoe;"), "staff.csv").status == 422
    empty = check(jane, f"{HEADER}\n".encode())
    assert "The file staff.csv has no users." in words(empty)


def test_columns_that_stand_for_no_field_are_left_out_and_can_be_chosen(
    console: Console, jane: HttpClient
) -> None:
    data = b"Vorname;E-Mail;Taetigkeit\nJane;jane@example.com;\nJane;bob@example.com;Chef\n"
    page = check(jane, data)
    assert "Taetigkeit is left out." in words(page)
    assert "nothing to do" in words(page)
    assert "Changed 1" in sync_as(jane, data, columns="Taetigkeit=title")
    assert account(console, "bob").title == "Chef"


def test_a_file_in_other_letters_is_read_and_asked_about(
    console: Console, jane: HttpClient
) -> None:
    data = staff(";Zoë;König;zoe@example.com;").decode().encode("windows-1252")
    page = check(jane, data)
    assert "Are these names right? Zoë König" in words(page)
    assert "Created 1" in sync(jane, data)
    assert account(console, "zoe").name == "Zoë"


def test_a_plan_that_is_too_large_names_the_command(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_sync, "_MOST_STEPS", 1)
    page = check(jane, staff(";Zoë;;zoe@example.com;", ";Ann;;ann@example.com;"))
    assert page.status == 413
    assert "anyscale user sync -f FILE --host" in words(page)
    assert "anyscale user sync -f FILE --host" in announce_large_file(jane, f"{PATH}/check")


def test_an_old_sign_in_is_asked_for_before_the_file_is_chosen_and_before_it_is_done(
    console: Console, jane: HttpClient
) -> None:
    data = staff(without="bob")
    page = check(jane, data)
    let_time_pass(console.control_plane, HOUR_MS)
    assert get(jane, PATH).headers["location"].startswith("/sign-in-again?")
    refused = confirm(jane, page, data)
    assert refused.status == 400
    assert "This needs a sign-in of the last 15 minutes" in words(refused)
    assert account(console, "bob").suspended_at is None


def test_an_account_that_changes_after_the_plan_is_left_and_counted(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = staff(";Zoë;;zoe@example.com;", without="bob")
    page, bob = check(jane, data), account(console, "bob")
    start = console.control_plane.syncs.start

    def start_late(*arguments: Any) -> object:
        console.control_plane.updates.update(OPERATOR, bob.user_id, UserChanges(title="Chef"))
        return start(*arguments)

    monkeypatch.setattr(console.control_plane.syncs, "start", start_late)
    text = words(get(jane, confirm(jane, page, data).headers["location"]))
    assert "Created 1 Changed 0 Suspended 0" in text
    assert "1 account was left, since somebody changed it after the plan was made." in text
    assert account(console, "bob").suspended_at is None


def test_an_owner_who_loses_the_role_stops_the_run_and_what_was_done_stays(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane = console.control_plane
    create_accounts(control_plane, "ann", "root")
    create_owner(control_plane, "root")
    data = staff(without="bob")
    page, user_id = check(jane, data), account(console, "jane").user_id
    suspend = control_plane.lifecycle.suspend

    def suspend_and_demote(*arguments: Any, **options: Any) -> None:
        suspend(*arguments, **options)
        control_plane.lifecycle.set_role(OPERATOR, user_id, "collaborator")

    monkeypatch.setattr(control_plane.lifecycle, "suspend", suspend_and_demote)
    place = confirm(jane, page, data).headers["location"]
    root = console.browser("root")
    text = words(get(root, place))
    assert "Update from staff.csv Stopped" in text
    assert "session of the owner who started it was ended" in text
    assert "Created 0 Changed 0 Suspended 1 Restored 0" in text
    assert "Check the same file again" in text
    assert get(root, f"{place}/progress").json["state"] == "stopped"


def test_a_run_is_watched_until_its_page_knows_why_it_stopped(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane, data = console.control_plane, staff(without="bob")
    page, states = check(jane, data), list[str]()
    lifecycle, save = control_plane.lifecycle, control_plane.syncs.save

    def suspend(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the disk is full")

    def save_and_look(sync: SyncRecord, *arguments: Any) -> None:
        save(sync, *arguments)
        states.append(get(jane, f"{PATH}/{sync.sync_id}/progress").json["state"])

    monkeypatch.setattr(lifecycle, "suspend", suspend)
    monkeypatch.setattr(control_plane.syncs, "save", save_and_look)
    place = confirm(jane, page, data).headers["location"]
    assert states[-1] == "open"
    assert "The update stopped: nothing changed so far, and then: the disk is full." in words(
        get(jane, place)
    )


def test_a_run_that_its_server_has_left_is_shown_as_stopped(
    console: Console, jane: HttpClient
) -> None:
    control_plane = console.control_plane
    sync = control_plane.syncs.start(OPERATOR, "a" * 32, "staff.csv", 4)
    assert sync
    place = f"{PATH}/{sync.sync_id}"
    running = get(jane, f"{place}/progress").json
    assert (running["state"], running["active"], running["text"]) == (
        "open",
        True,
        "0 of 4 accounts",
    )
    assert "The accounts are being updated" in words(get(jane, place))
    with control_plane.store.write() as tx:
        tx.syncs.save(structs.replace(sync, touched_at=tx.now() - HOUR_MS, created=1))
    assert get(jane, f"{place}/progress").json["state"] == "stopped"
    text = words(get(jane, place))
    assert "The update stopped before its end" in text
    assert "Created 1" in text


def test_an_unknown_sync_has_a_page(jane: HttpClient) -> None:
    assert get(jane, f"{PATH}/syn_0").status == 404
    assert send(jane, f"{PATH}/check", name="a").status == 400


def test_a_wrong_file_and_an_open_question_are_counted_as_refusals(jane: HttpClient) -> None:
    wrong, stopped = REFUSALS.labels(BatchRefused.code), REFUSALS.labels(SyncStopped.code)
    before = wrong._value.get(), stopped._value.get()
    check(jane, staff(";;;not-an-email;"))
    data = staff(without="bob")
    confirm(jane, check(jane, data), data, seen="another plan")
    assert (wrong._value.get(), stopped._value.get()) == (before[0] + 1, before[1] + 1)
