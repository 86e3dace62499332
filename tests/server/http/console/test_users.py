"""The pages of users: the list, one account, a new one, changes of one and of many."""

import csv
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook
from tests.server.http.console.conftest import Console, run_console
from tests.server.http.pages.requests import BROWSER, fields_of, get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.users import PASSWORD, checked_user, create_accounts

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.users import UpdatedUser, UserChanges
from anyscale.domain.validation import Policy, check
from anyscale.errors import StoreUnavailable
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.accounts.update import UserUpdateService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.search import listing, pages, tiers
from anyscale.server.http.console.users import download
from anyscale.server.http.metrics import HASHES

PUBLIC = "https://accounts.example.com"

NASTY = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with run_console(tmp_path_factory.mktemp("users"), public_url=PUBLIC) as console:
        users = [
            check(
                Policy(),
                name=f"Person {at:03}",
                email=f"p{at:03}@many.org",
                password=None,
                is_sso_user=False,
                lastname=None,
                title=None,
            )
            for at in range(120)
        ]
        console.control_plane.batches.create(OPERATOR, "many", [u for u in users if u], "fail")
        yield console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


def id_of(console: Console, email: str) -> str:
    (found,) = console.control_plane.users.find([email])
    assert found
    return found.user_id


def new_user(console: Console, name: str, password: str | None = PASSWORD) -> str:
    create_accounts(console.control_plane, name, password=password)
    return id_of(console, f"{name}@example.com")


def correct(jane: HttpClient, user_id: str, **changes: str) -> HttpResponse:
    """Open the form that corrects an account, change fields, and send it."""
    path = f"/console/users/{user_id}/correct"
    return send(jane, path, **{**fields_of(get(jane, path)), **changes})


def emails_of(page: HttpResponse) -> list[str]:
    return re.findall(r'aria-label="Select ([^"]+)"', page.text)


def link_of(page: HttpResponse, text: str) -> str:
    found = re.search(rf'href="([^"]+)">{text}</a>', page.text)
    assert found, text
    return found[1].replace("&amp;", "&")


def post(client: HttpClient, path: str, pairs: Sequence[tuple[str, str]]) -> HttpResponse:
    return client.request("POST", path, form=pairs, headers=BROWSER)


def events(console: Console, subject: str) -> list[str]:
    entries = console.control_plane.audit_log.list(0, 1_000)
    return [entry.event for entry in entries if entry.subject == subject]


def test_a_search_has_a_next_page_only_if_there_is_one(jane: HttpClient) -> None:
    many = get(jane, "/console/users?q=many.org")
    second = get(jane, link_of(many, "Next"))
    last = get(jane, link_of(second, "Next"))
    found = [emails_of(page) for page in (many, second, last)]
    assert sorted(itertools.chain(*found)) == [f"p{at:03}@many.org" for at in range(120)]
    for complete in (last, get(jane, "/console/users?q=bob")):
        assert emails_of(complete)
        assert ">Next</a>" not in complete.text
        assert "there may be more" not in complete.text


def test_the_list_is_paged_forwards_and_backwards(jane: HttpClient) -> None:
    first = get(jane, "/console/users?batch=&state=none")
    second = get(jane, link_of(first, "Next"))
    last = get(jane, link_of(first, "Last"))
    all_emails = [f"p{at:03}@many.org" for at in reversed(range(120))]
    assert emails_of(first) == all_emails[:50]
    assert emails_of(second) == all_emails[50:100]
    assert emails_of(last) == all_emails[70:]
    assert emails_of(get(jane, link_of(second, "Previous"))) == all_emails[:50]
    assert emails_of(get(jane, link_of(last, "Previous"))) == all_emails[20:70]
    assert "state=none" in link_of(second, "Next")
    assert ">Next</a>" not in last.text


def test_the_headings_sort_the_list_and_its_pages_by_email_and_by_creation(
    jane: HttpClient,
) -> None:
    expected = [f"p{at:03}@many.org" for at in range(120)]
    newest = get(jane, "/console/users?batch=&state=none")
    assert 'aria-sort="descending"><a' in newest.text
    by_email = get(jane, link_of(newest, "Name and email"))
    second = get(jane, link_of(by_email, "Next"))
    assert "By email, from A to Z" in by_email.text
    assert [*emails_of(by_email), *emails_of(second)] == expected[:100]
    assert emails_of(get(jane, link_of(second, "Previous"))) == expected[:50]
    assert emails_of(get(jane, link_of(second, "Last"))) == expected[70:]
    reverse = get(jane, link_of(by_email, "Name and email"))
    assert emails_of(reverse) == expected[:69:-1]
    oldest = get(jane, link_of(newest, "Since"))
    assert emails_of(oldest) == expected[:50]
    for page in (by_email, oldest):
        assert page.text.count("aria-sort") == page.text.count('aria-sort="ascending"') == 1
        assert ">Clear</a>" in page.text, "the filters stay"
    assert ">Clear</a>" not in get(jane, "/console/users?sort=email").text, "order is not a filter"


def test_a_search_keeps_its_own_order(jane: HttpClient) -> None:
    found = get(jane, "/console/users?q=many.org&sort=-email")
    assert emails_of(found) == emails_of(get(jane, "/console/users?q=many.org"))
    assert "The best matches first" in found.text
    assert "aria-sort" not in found.text
    assert ">Email</a>" not in found.text


def test_a_page_before_the_first_full_one_is_the_first_page(jane: HttpClient) -> None:
    last = get(jane, "/console/users?state=none&last=true")
    middle = get(jane, link_of(last, "Previous"))
    first = get(jane, link_of(middle, "Previous"))
    assert len(emails_of(first)) == 50
    assert ">Previous<" not in first.text
    assert ">First<" not in first.text


def test_a_search_is_paged_and_keeps_its_filters(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BUDGET", 60)  # seconds, for a machine that is busy
    first = get(jane, "/console/users?q=person&role=collaborator")
    second = get(jane, link_of(first, "Next"))
    assert len(emails_of(first)) == 50
    assert "weaker matches" not in first.text
    assert not set(emails_of(first)) & set(emails_of(second))
    assert "role=collaborator" in link_of(first, "Next")
    assert 'value="person"' in second.text


def test_a_whole_email_or_an_id_jumps_to_the_account(console: Console, jane: HttpClient) -> None:
    user_id = id_of(console, "p007@many.org")
    for text in ("P007@many.org", user_id, f"%20{user_id.upper()}%20"):
        answer = get(jane, f"/console/users?q={text}")
        assert (answer.status, answer.headers["location"]) == (303, f"/console/users/{user_id}")
    # With a filter it is a search, whose answer the filter belongs to.
    assert get(jane, "/console/users?q=p007@many.org&role=owner").status == 200


def test_a_batch_is_a_filter(console: Console, jane: HttpClient) -> None:
    batch = console.control_plane.batches.find("many")
    assert batch
    page = get(jane, f"/console/users?batch={batch.batch_id}&last=true")
    assert len(emails_of(page)) == 50
    assert "jane@example.com" not in emails_of(page)


def test_a_search_that_is_not_done_says_what_its_next_page_has(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BLOCKS", 3)
    page = get(jane, "/console/users?q=p007&role=collaborator")
    assert len(emails_of(page)) == 1
    assert "The next page has weaker matches, if there are any" in page.text


def test_a_page_that_finds_nothing_in_its_time_goes_on(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BUDGET", -1)
    monkeypatch.setattr(listing, "BLOCK_ROWS", 10)
    page = get(jane, "/console/users?state=none&last=true")
    assert len(emails_of(page)) == 10
    assert "there may be more" in page.text
    visited = 0
    page = get(jane, "/console/users?state=password")
    while "None found so far" in page.text:
        (further,) = re.findall(r'href="([^"]+)" data-further', page.text)
        page = get(jane, further.replace("&amp;", "&"))
        visited += 1
    assert visited >= 5
    assert emails_of(page)


def test_a_page_that_says_what_was_done_does_not_go_on_by_itself(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who suspends all that match sees an empty list: its note and its undo must stay."""
    monkeypatch.setattr(pages, "BUDGET", -1)
    monkeypatch.setattr(listing, "BLOCK_ROWS", 10)
    page = get(jane, "/console/users?state=password&note=suspended")
    assert "None found so far" in page.text
    assert ">Continue</a>" in page.text
    assert "data-further" not in page.text


def test_after_the_last_match_a_page_says_no_more(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BUDGET", -1)
    monkeypatch.setattr(tiers, "SCAN_ROWS", 60)
    page = get(jane, "/console/users?q=p007@")
    assert emails_of(page) == ["p007@many.org"]
    while ">Search further</a>" in page.text or "data-further" in page.text:
        page = get(
            jane, re.findall(r'href="([^"]+after=[^"]+)"', page.text)[-1].replace("&amp;", "&")
        )
    assert "No more users match" in page.text
    assert 'href="/console/users?q=p007%40">Back to the first page' in page.text


def test_a_page_that_goes_on_after_pages_without_a_match_is_as_the_first_one(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BUDGET", -1)
    monkeypatch.setattr(tiers, "SCAN_ROWS", 60)
    monkeypatch.setattr(listing, "BLOCK_ROWS", 10)
    batch = console.control_plane.batches.find("many")
    assert batch
    for filters, words in (
        ("q=nobodyhasthis", "No users match"),
        (f"batch={batch.batch_id}&state=password", "There are none of these"),
    ):
        page = get(jane, f"/console/users?{filters}")
        assert "data-further" in page.text
        while further := re.findall(r'href="([^"]+)" data-further', page.text):
            page = get(jane, further[0].replace("&amp;", "&"))
        assert words in page.text
        assert "No more users match" not in page.text
        assert ">First<" not in page.text, "it would lead here again"


def test_an_empty_list_says_why(jane: HttpClient) -> None:
    assert "No users match" in get(jane, "/console/users?q=nobodyhasthis").text
    empty = get(jane, "/console/users?state=sso&role=owner").text
    assert "There are none of these: Single sign-on, Owner." in empty
    assert "a whole word" not in empty


def test_a_search_that_a_filter_leaves_empty_leads_to_all_users(jane: HttpClient) -> None:
    page = get(jane, "/console/users?q=bob&state=none")
    assert "Only these users were searched: Cannot sign in." in page.text
    assert emails_of(get(jane, link_of(page, "Search among all users"))) == ["bob@example.com"]


def test_the_list_says_how_many_users_the_overview_counted(jane: HttpClient) -> None:
    (number,) = re.findall(r"(\d+) accounts, by how", get(jane, "/console").text)
    assert f"{number} users</strong>, counted on" in get(jane, "/console/users").text
    assert "counted on" not in get(jane, "/console/users?role=collaborator").text


def test_a_search_that_makes_no_sense_says_so_beside_the_field(jane: HttpClient) -> None:
    page = get(jane, "/console/users?q=" + "+".join(f"w{at}" for at in range(30)))
    assert page.status == 400
    assert "Search for at most 24 words, not 30" in page.text
    assert 'aria-invalid="true"' in page.text
    assert get(jane, "/console/users?q=person&after=nothing").status == 400
    assert get(jane, "/console/users?state=nothing").status == 400


def test_the_list_is_downloaded_as_a_workbook(console: Console, jane: HttpClient) -> None:
    assert 'href="/console/users/download?format=xlsx"' in get(jane, "/console/users").text
    answer = get(jane, "/console/users/download?q=p00&format=xlsx")
    assert answer.headers["content-disposition"] == 'attachment; filename="users.xlsx"'
    header, *rows = load_workbook(BytesIO(answer.body)).worksheets[0].iter_rows(values_only=True)
    lines = list(csv.reader(get(jane, "/console/users/download?q=p00").text.splitlines()))
    assert "\ufeff" + str(header[0]) == lines[0][0]
    assert [list(row) for row in rows] == lines[1:]


def test_the_list_is_downloaded_whole_with_its_filters(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAGE", 50)
    answer = get(jane, "/console/users/download?state=none&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (entry,) = console.control_plane.audit_log.list(0, 1, newest_first=True)
    assert (entry.event, entry.data) == ("users.exported", '{"filtered":true,"format":"csv"}')
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["email"] for row in rows] == [f"p{at:03}@many.org" for at in reversed(range(120))]
    assert answer.headers["content-disposition"] == 'attachment; filename="users.csv"'
    assert answer.headers["cache-control"] == "no-store"
    lines = get(jane, "/console/users/download?q=p00&format=jsonl").text.splitlines()
    assert {json.loads(line)["email"] for line in lines} == {
        f"p{at:03}@many.org" for at in range(10)
    }


def test_an_account_shows_how_its_user_signs_in(console: Console, jane: HttpClient) -> None:
    page = get(jane, f"/console/users/{id_of(console, 'p001@many.org')}")
    assert "Cannot sign in" in page.text
    assert get(jane, "/console/users/usr_00").status == 404


def test_names_are_text(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "nasty")
    correct(jane, user_id, name=NASTY, lastname="=cmd()")
    for path in (f"/console/users/{user_id}", "/console/users?q=nasty"):
        page = get(jane, path)
        assert "&lt;script&gt;" in page.text
        assert "<script>" not in page.text
    answer = get(jane, "/console/users/download?q=nasty&format=csv")
    (row,) = csv.DictReader(answer.text.splitlines())
    assert (row["name"], row["lastname"]) == (NASTY, "'=cmd()")
    answer = get(jane, "/console/users/download?q=nasty&format=jsonl")
    assert json.loads(answer.text)["lastname"] == "=cmd()"


def test_a_user_without_a_password_is_created_with_a_link_that_is_shown_once(
    console: Console, jane: HttpClient
) -> None:
    form = {"email": " ada@example.com ", "name": "Ada", "form_key": "a" * 32}
    page = send(jane, "/console/users/new", **form)
    user_id = id_of(console, "ada@example.com")
    (secret,) = re.findall(rf"{PUBLIC}/set-password#(mrl_[\w-]+)", page.text)
    assert page.headers["cache-control"] == "no-store"
    again = send(jane, "/console/users/new", **form)
    assert (again.status, again.headers["location"]) == (
        303,
        f"/console/users/{user_id}?note=repeated",
    )
    shown = get(jane, again.headers["location"])
    assert "the account was created once. If you did not see the link, create another" in shown.text
    assert "Unused, works until" in shown.text
    assert secret not in shown.text
    assert secret not in str(console.control_plane.audit_log.list(0, 1_000))


@pytest.mark.parametrize("change", ["other values", "deleted", "undone"])
def test_a_form_to_which_the_browser_went_back_is_shown_again(
    console: Console, jane: HttpClient, change: str
) -> None:
    email = f"back-{change.partition(' ')[0]}@example.com"
    form = {"email": email, "name": "Ada", "is_sso_user": "yes", "form_key": os.urandom(16).hex()}
    path = send(jane, "/console/users/new", **form).headers["location"].partition("?")[0]
    with console.control_plane.store.read() as tx:
        created = tx.accounts.find(email)
    assert created
    if change == "other values":
        form["name"] = "Eda"
    elif change == "deleted":
        send(jane, f"{path}/delete", email=email)
    else:
        console.control_plane.batches.undo(
            OPERATOR, created.batch_id, "", force=False, dry_run=False
        )

    answer = send(jane, "/console/users/new", **form)

    assert answer.status == 400
    assert "This form was sent before" in answer.text
    shown = fields_of(answer)
    assert shown.items() >= {"email": email, "name": form["name"]}.items()
    assert shown["form_key"] != form["form_key"]


def test_a_user_with_a_password_is_created(console: Console, jane: HttpClient) -> None:
    hashes = HASHES._value.get()
    answer = send(
        jane, "/console/users/new", email="bea@example.com", name="Bea", password=PASSWORD
    )
    assert HASHES._value.get() == hashes + 1
    user_id = id_of(console, "bea@example.com")
    assert (answer.status, answer.headers["location"]) == (
        303,
        f"/console/users/{user_id}?note=created",
    )
    entries = console.control_plane.audit_log.list(0, 1_000, only=AuditFilter(subject=user_id))
    assert [entry.event for entry in entries] == ["account.created"]
    assert not any(
        batch.batch_id in user_id.replace("usr_", "bat_")
        for batch in console.control_plane.batches.page(open_only=False, before="", limit=1_000)
    )
    client = HttpClient(console.url)
    signed_in = send(client, "/sign-in", email="bea@example.com", password=PASSWORD)
    assert signed_in.headers["location"] == "/password"


def test_a_refused_form_says_all_problems_and_keeps_its_fields(jane: HttpClient) -> None:
    page = send(jane, "/console/users/new", email="foo", name=" ", title="Cook", password="tiny")
    assert page.status == 400
    for text in ("is not an email address", "First name: is blank", "Password: "):
        assert text in page.text
    assert 'value="Cook"' in page.text
    assert "tiny" not in page.text
    assert "<title>Problem: Create a user" in page.text
    page = send(jane, "/console/users/new", email="JANE@example.com", name="Jane")
    assert page.status == 400
    assert "Email: " in page.text


def test_each_problem_leads_to_its_field_also_where_sso_is_the_only_method(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = new_user(console, "sol")
    monkeypatch.setattr(console.control_plane.batches, "policy", Policy(sso_only=True))
    for page in (
        send(jane, "/console/users/new", email="foo", name=" "),
        correct(jane, user_id, name="", title="T" * 300),
    ):
        targets = re.findall(r'<li><a href="#([^"]+)">', page.text)
        assert {"name", "is_sso_user-yes"} < set(targets) or targets == ["name", "title"]
        assert all(f' id="{target}"' in page.text for target in targets)


def test_an_account_is_corrected(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "cora")
    answer = correct(jane, user_id, name="Cora", lastname="", is_sso_user="yes")
    assert answer.headers["location"] == f"/console/users/{user_id}?note=corrected"
    (user,) = console.control_plane.users.with_ids([user_id])
    assert (user.name, user.lastname, user.is_sso_user) == ("Cora", None, True)
    page = correct(jane, user_id, name="", title="T" * 300)
    assert page.status == 400
    assert "Title: has 300 characters" in page.text
    assert correct(jane, user_id).headers["location"] == f"/console/users/{user_id}"
    assert events(console, user_id) == ["account.updated"]


def test_an_account_gets_another_email(console: Console, jane: HttpClient) -> None:
    user_id, other = new_user(console, "mona"), new_user(console, "otto")
    answer = correct(jane, user_id, email=" Mona.Roe@example.com ")
    assert answer.headers["location"] == f"/console/users/{user_id}?note=corrected"
    assert events(console, user_id) == ["account.email_changed"]
    assert emails_of(get(jane, "/console/users?q=mona@example.com")) == ["Mona.Roe@example.com"]

    taken = correct(jane, other, email="mona.roe@example.com")
    assert taken.status == 409
    assert '<a href="#email">' in taken.text
    assert "reuse_email" not in taken.text

    freed = correct(jane, other, email="mona@example.com")
    assert freed.status == 409
    assert 'name="reuse_email"' in freed.text
    assert " checked" not in freed.text
    sent = {**fields_of(freed), "reuse_email": "yes"}
    assert send(jane, f"/console/users/{other}/correct", **sent).status == 303
    assert id_of(console, "mona@example.com") == other


def test_owners_change_the_email_of_each_other_and_not_their_own(
    console: Console, jane: HttpClient
) -> None:
    own, kim = id_of(console, "jane@example.com"), new_user(console, "kirk")
    console.control_plane.lifecycle.set_role(OPERATOR, kim, "owner")
    page = get(jane, f"/console/users/{own}/correct")
    assert "Another owner can change it." in page.text
    assert 'type="text"' not in (re.search(r'<input[^>]*name="email"[^>]*>', page.text) or [""])[0]
    assert correct(jane, own, email="other@example.com").status == 403
    assert correct(jane, own, title="Chief").status == 303
    assert correct(jane, kim, email="kirk.roe@example.com").status == 303
    assert id_of(console, "kirk.roe@example.com") == kim
    console.control_plane.lifecycle.set_role(OPERATOR, kim, "collaborator")


def test_blanks_around_a_name_are_removed_and_none_are_added(
    console: Console, jane: HttpClient
) -> None:
    user = checked_user("blanks@example.com", name=" Ann ")  # as in a file
    console.control_plane.batches.create(OPERATOR, "blanks", [user], "fail")
    user_id = id_of(console, "blanks@example.com")
    correct(jane, user_id, title=" Engineer ")
    correct(jane, user_id, name="Ann")
    correct(jane, user_id, name="Ann  ")
    send(jane, "/console/users/new", email="blanks2@example.com", name=" Ann ", lastname=" ")
    ids = [user_id, id_of(console, "blanks2@example.com")]
    found = console.control_plane.users.with_ids(ids)
    assert [(one.name, one.lastname, one.title) for one in found] == [
        ("Ann", None, "Engineer"),
        ("Ann", None, None),
    ]


def test_a_personnel_number_is_given_shown_corrected_and_downloaded(
    console: Console, jane: HttpClient
) -> None:
    form = {"email": "nina@example.com", "name": "Nina", "external_id": "0042"}
    send(jane, "/console/users/new", **form)
    user_id = id_of(console, "nina@example.com")
    shown = get(jane, f"/console/users/{user_id}").text
    assert re.search("<dt>Personnel number</dt><dd>.*0042", shown)
    correct(jane, user_id, external_id="0043")
    (user,) = console.control_plane.users.with_ids([user_id])
    assert user.external_id == "0043"
    page = correct(jane, user_id, external_id=" 43")
    assert '<a href="#external_id">Personnel number: has a blank at' in page.text
    (line,) = get(jane, "/console/users/download?q=nina@&format=jsonl").text.splitlines()
    assert json.loads(line)["external_id"] == "0043"
    correct(jane, user_id, external_id="")
    (user,) = console.control_plane.users.with_ids([user_id])
    assert user.external_id is None


def test_two_owners_who_correct_an_account_keep_the_fields_of_each_other(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "two")
    path = f"/console/users/{user_id}/correct"
    opened = fields_of(get(jane, path))
    correct(jane, user_id, title="Engineer")
    answer = send(jane, path, **{**opened, "lastname": "Miller"})
    assert answer.headers["location"] == f"/console/users/{user_id}?note=corrected"
    (user,) = console.control_plane.users.with_ids([user_id])
    assert (user.title, user.lastname) == ("Engineer", "Miller")


def test_a_field_of_an_account_that_two_corrected_is_replaced_only_after_its_value_was_shown(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "three")
    path = f"/console/users/{user_id}/correct"
    opened = fields_of(get(jane, path))
    correct(jane, user_id, title="Engineer", is_sso_user="yes")
    sent = {**opened, "title": "Cook", "opened_is_sso_user": "yes", "is_sso_user": ""}
    page = send(jane, path, **sent)
    assert page.status == 409
    assert '<a href="#title">This is now: Engineer.' in page.text
    assert 'value="Cook"' in page.text
    (user,) = console.control_plane.users.with_ids([user_id])
    assert (user.title, user.is_sso_user) == ("Engineer", True)
    assert send(jane, path, **fields_of(page)).status == 303
    (user,) = console.control_plane.users.with_ids([user_id])
    assert (user.title, user.is_sso_user) == ("Cook", False)


def test_a_correction_that_another_one_overtakes_is_not_lost(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = new_user(console, "four")
    update = UserUpdateService.update

    def overtaken(service: UserUpdateService, *arguments: Any, **options: Any) -> UpdatedUser:
        monkeypatch.setattr(UserUpdateService, "update", update)
        update(service, OPERATOR, user_id, UserChanges(title="Engineer"))
        return update(service, *arguments, **options)

    monkeypatch.setattr(UserUpdateService, "update", overtaken)
    page = correct(jane, user_id, title="Cook")
    assert page.status == 409
    assert "This is now: Engineer." in page.text


def verbs(page: HttpResponse) -> list[str]:
    """Give what happened last on the page of an account, in a word each."""
    entries = page.text.partition('id="entry-list"')[2]
    return re.findall(r"(?:</a>|server</bdi>) (\w+)", entries)


def test_an_account_is_suspended_and_restored(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "sue")
    send(jane, f"/console/users/{user_id}/suspend")
    assert "is suspended" in get(jane, f"/console/users/{user_id}?note=suspended").text
    assert ">Restore<" in get(jane, f"/console/users/{user_id}").text
    send(jane, f"/console/users/{user_id}/restore")
    assert events(console, user_id) == ["account.suspended", "account.restored"]
    page = get(jane, f"/console/users/{user_id}")
    assert verbs(page) == ["restored", "suspended", "created"]
    own = get(jane, f"/console/users/{id_of(console, 'jane@example.com')}")
    assert verbs(own)[:2] == ["restored", "suspended"]


def test_a_suspension_by_a_sync_is_told_from_one_by_hand(
    console: Console, jane: HttpClient
) -> None:
    user_id, by_sync = new_user(console, "syd"), "An update from a file suspended it"
    console.control_plane.lifecycle.suspend(OPERATOR, user_id, by_sync=True)
    assert by_sync in get(jane, f"/console/users/{user_id}").text
    console.control_plane.lifecycle.suspend(OPERATOR, user_id)
    page = get(jane, f"/console/users/{user_id}").text
    assert ("The account is suspended" in page, by_sync in page) == (True, False)


def test_a_suspended_account_says_whether_its_user_could_sign_in_again(
    console: Console, jane: HttpClient
) -> None:
    for name, password, expected in (("pia", PASSWORD, True), ("pit", None, False)):
        user_id = new_user(console, name, password)
        console.control_plane.lifecycle.suspend(OPERATOR, user_id)
        page = get(jane, f"/console/users/{user_id}").text
        assert ("the user can sign in again, as before" in page) == expected
        assert ("create a link for the user then" in page) != expected


def test_an_account_that_only_its_role_has_used_does_not_say_that_it_was_used(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "rolf")
    assert ">First used</dt><dd>Never<" in get(jane, f"/console/users/{user_id}").text
    for role in ("owner", "collaborator"):
        send(jane, f"/console/users/{user_id}/role", role=role)
    page = get(jane, f"/console/users/{user_id}").text
    assert ">Kept by an undo since</dt>" in page
    assert "First used" not in page


def test_an_unknown_address_marks_no_section_as_the_current_one(jane: HttpClient) -> None:
    assert 'aria-current="page"' not in get(jane, "/console/nonsense").text
    assert 'aria-current="page"' in get(jane, "/console/users/usr_0").text


def test_a_personnel_number_is_in_the_list_and_on_the_page_of_its_user(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "nora")
    number = UserChanges(external_id="P-<0042>")
    console.control_plane.updates.update(OPERATOR, user_id, number)
    listed = get(jane, "/console/users?q=nora&state=password").text
    for page in (listed, get(jane, f"/console/users/{user_id}").text):
        assert "<bdi translate=no>P-&lt;0042&gt;</bdi>" in page


def test_suspend_restore_and_delete_each_have_their_heading_and_text(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "sybil")
    active = get(jane, f"/console/users/{user_id}").text
    console.control_plane.lifecycle.suspend(OPERATOR, user_id)
    suspended = get(jane, f"/console/users/{user_id}").text
    row = r'<strong>(Suspend|Delete)</strong></p>\s*<p class="hint">(\w+ \w+ \w+)'
    assert re.findall(row, active) == [
        ("Suspend", "A suspended user"),
        ("Delete", "This deletes the"),
    ]
    assert re.findall(row, suspended) == [("Delete", "This deletes the")]
    assert active.index("Danger zone") > active.index("What happened last"), "it is the end"
    assert "If you restore" in suspended
    assert "Danger zone" not in suspended.partition("If you restore")[0]
    assert "<p>This signs the user out everywhere" in active, "it is not yet done"


def test_a_role_is_set_and_the_last_owner_stays_one(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "ora")
    assert ">Make an owner<" in get(jane, f"/console/users/{user_id}/role").text
    send(jane, f"/console/users/{user_id}/role", role="owner")
    send(jane, f"/console/users/{user_id}/role", role="collaborator")
    assert events(console, user_id) == ["account.role_set"] * 2
    own = id_of(console, "jane@example.com")
    for change in ("role", "suspend", "delete"):
        form = {"role": "collaborator", "email": "jane@example.com"}
        page = send(jane, f"/console/users/{own}/{change}", **form)
        assert page.status == 409
        assert "last owner who is not suspended" in page.text
    assert send(jane, f"/console/users/{user_id}/role", role="king").status == 400


def test_a_link_is_shown_once_and_a_form_sent_again_keeps_it(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "lina")
    page = send(jane, f"/console/users/{user_id}/link", newest="0")
    assert len(re.findall(r"#mrl_[\w-]+", page.text)) == 1
    again = send(jane, f"/console/users/{user_id}/link", newest="0")
    assert again.headers["location"] == f"/console/users/{user_id}?note=link"
    (newest,) = re.findall(
        r'name="newest" value="(\d+)"', get(jane, f"/console/users/{user_id}").text
    )
    page = send(jane, f"/console/users/{user_id}/link", newest=newest)
    assert "The older link does not work any more" in page.text
    send(jane, f"/console/users/{user_id}/suspend")
    page = send(jane, f"/console/users/{user_id}/link", newest="0")
    assert "is suspended: restore it first" in page.text


def test_a_user_is_signed_out_everywhere(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "sid")
    sid, _ = console.browser("sid"), console.browser("sid")
    assert get(sid, "/").status == 200
    shown = get(jane, f"/console/users/{user_id}").text
    assert "Where the user is signed in" in shown
    assert shown.count('data-label="Signed in"') == 2
    send(jane, f"/console/users/{user_id}/sign-out")
    assert get(sid, "/").status == 303
    own = id_of(console, "jane@example.com")
    send(jane, f"/console/users/{own}/sign-out")
    assert get(jane, "/console").status == 200, "the own session stays"


def test_before_an_account_that_was_used_is_deleted_its_emails_are_said_to_stay_taken(
    console: Console, jane: HttpClient
) -> None:
    user_id = new_user(console, "dale")
    taken = "No other account gets its emails for 30 days."
    assert taken not in get(jane, f"/console/users/{user_id}/delete").text
    with console.control_plane.store.write() as tx:
        tx.accounts.mark_used(user_id, tx.now())
    assert taken in get(jane, f"/console/users/{user_id}/delete").text


def test_an_account_is_deleted_once_its_email_is_typed(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "del")
    page = send(jane, f"/console/users/{user_id}/delete", email="dell@example.com")
    assert page.status == 400
    assert "Type the email above to delete this account" in page.text
    answer = send(jane, f"/console/users/{user_id}/delete", email=" DEL@example.com")
    assert answer.headers["location"] == "/console/users?note=deleted"
    assert get(jane, f"/console/users/{user_id}").status == 404


def test_selected_accounts_are_suspended_and_the_filters_stay(
    console: Console, jane: HttpClient
) -> None:
    ids = [new_user(console, name) for name in ("sela", "selb")]
    query = "&".join(f"user_id={user_id}" for user_id in ids)
    page = get(jane, f"/console/users/suspend?q=sel&{query}")
    assert "Suspend 2 accounts?" in page.text
    pairs = [("user_id", user_id) for user_id in [*ids, "usr_00"]]
    answer = post(jane, "/console/users/suspend?q=sel", pairs)
    assert answer.headers["location"].startswith("/console/users?q=sel&note=suspended&changed=")
    assert "<p>2 accounts are suspended.</p>" in get(jane, answer.headers["location"]).text
    found = console.control_plane.users.with_ids(ids)
    assert all(user.suspended_at for user in found)


def test_after_their_own_account_an_owner_suspends_no_other(
    console: Console,
) -> None:
    owner, other = new_user(console, "self"), new_user(console, "other")
    console.control_plane.lifecycle.set_role(OPERATOR, owner, "owner")
    client = console.browser("self")
    pairs = [("user_id", user_id) for user_id in (owner, other)]
    answer = post(client, "/console/users/suspend", pairs)
    assert answer.headers["location"].startswith("/sign-in/form?")
    assert not console.control_plane.users.with_ids([other])[0].suspended_at


def test_the_account_that_cannot_be_suspended_is_named(console: Console, jane: HttpClient) -> None:
    ids = [new_user(console, "selc"), id_of(console, "jane@example.com")]
    key = "b" * 32
    pairs = [("form_key", key), *(("user_id", user_id) for user_id in ids)]
    page = post(jane, "/console/users/suspend", pairs)
    assert page.status == 409
    assert "last owner" in page.text
    assert "Suspend 1 account?" in page.text
    assert "The others are suspended." in page.text
    assert console.control_plane.users.with_ids(ids[:1])[0].suspended_at
    assert fields_of(page)["form_key"] == key, "the undo is for both parts"
    alone = post(jane, "/console/users/suspend", [("user_id", ids[1])])
    assert alone.status == 409
    assert "The others" not in alone.text


def test_without_a_database_no_further_account_is_tried(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[str]()

    def fail(_: UserLifecycle, __: object, user_id: str, *___: Any, **____: Any) -> None:
        tried.append(user_id)
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(UserLifecycle, "suspend", fail)
    pairs = [("user_id", new_user(console, name)) for name in ("sele", "selg")]
    page = post(jane, "/console/users/suspend", pairs)
    assert (page.status, "Something went wrong" in page.text) == (503, True)
    assert len(tried) == 1


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_links_for_selected_accounts_are_a_file(
    console: Console, jane: HttpClient, file_format: str
) -> None:
    first = {"csv": 40, "jsonl": 42}[file_format]
    ids = [id_of(console, f"p{at:03}@many.org") for at in (first, first + 1)]
    query = "&".join(f"user_id={user_id}" for user_id in ids)
    assert "Create links for 2 accounts?" in get(jane, f"/console/users/links?{query}").text
    pairs = [*(("user_id", user_id) for user_id in ids), ("format", file_format)]
    answer = post(jane, "/console/users/links", pairs)
    assert answer.headers["content-disposition"] == f'attachment; filename="links.{file_format}"'
    assert answer.headers["cache-control"] == "no-store"
    lines = answer.text.removeprefix("\ufeff").splitlines()
    rows = list(csv.DictReader(lines) if file_format == "csv" else map(json.loads, lines))
    name, email, url = {
        "csv": ("First name", "Email", "Link"),
        "jsonl": ("name", "email", "url"),
    }[file_format]
    assert {row[name] for row in rows} == {f"Person {at:03}" for at in (first, first + 1)}
    found = [(row[email], row[url].partition("#")[0]) for row in rows]
    assert found == [(f"p{at:03}@many.org", f"{PUBLIC}/set-password") for at in (first, first + 1)]


def test_the_links_of_others_arrive_if_an_account_is_deleted_in_the_same_moment(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = (new_user(console, name, password=None) for name in ("seli", "selj"))
    create = PasswordLinkService.create

    def create_and_delete(*arguments: Any, **options: Any) -> Any:
        created = create(*arguments, **options)
        console.control_plane.lifecycle.delete(OPERATOR, gone)
        return created

    monkeypatch.setattr(PasswordLinkService, "create", create_and_delete)
    pairs = [("user_id", gone), ("user_id", stays), ("format", "jsonl")]
    file = post(jane, "/console/users/links", pairs)
    assert file.status == 200
    assert "selj@example.com" in file.text


def test_links_for_a_suspended_account_are_refused(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "seld")
    send(jane, f"/console/users/{user_id}/suspend")
    page = post(jane, "/console/users/links", [("user_id", user_id), ("format", "csv")])
    assert page.status == 409
    assert "restore it first" in page.text


def test_nothing_selected_is_said(jane: HttpClient) -> None:
    assert "Select at least one account" in get(jane, "/console/users/suspend").text
    assert post(jane, "/console/users/suspend", []).status == 400
    many = [("user_id", f"usr_{at}") for at in range(51)]
    assert post(jane, "/console/users/suspend", many).status == 400
    assert post(jane, "/console/users/suspend", many[:50]).status == 303


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        (None, "The user cannot sign in before you create a link."),
        (PASSWORD, "The user can sign in again."),
    ],
)
def test_the_sentence_after_a_change_says_how_the_user_can_sign_in_now(
    console: Console, jane: HttpClient, password: str | None, sentence: str
) -> None:
    user_id = new_user(console, f"told-{password is None}", password)
    page = f"/console/users/{user_id}"
    if password is None:  # its unused link ends with the change of the role
        send(jane, f"{page}/link")
    changed = get(jane, send(jane, f"{page}/role", role="owner").headers["location"])
    assert f"The role is changed, and the user is signed out everywhere. {sentence}" in changed.text
    send(jane, f"{page}/suspend")
    restored = get(jane, send(jane, f"{page}/restore").headers["location"])
    assert f"The account is restored. {sentence}" in restored.text


def test_no_get_changes_anything(console: Console, jane: HttpClient) -> None:
    user_id = new_user(console, "stays")
    only = AuditFilter(subject=user_id)  # others may be written late, such as failed sign-ins
    before = console.control_plane.audit_log.list(0, 10_000, only=only)
    for page in ("", "/correct", "/role", "/delete"):
        assert get(jane, f"/console/users/{user_id}{page}").status == 200
    for change in ("suspend", "restore", "link", "sign-out"):
        assert get(jane, f"/console/users/{user_id}/{change}").status == 405
    assert get(jane, f"/console/users/suspend?user_id={user_id}").status == 200
    assert console.control_plane.audit_log.list(0, 10_000, only=only) == before
