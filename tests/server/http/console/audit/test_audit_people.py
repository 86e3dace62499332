"""The audit log by people and periods: names, choices, chips, and what happened to an account."""

import json
import re
from html import unescape
from urllib.parse import urlencode

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get
from tests.store.query_plans import explained
from tests.support.callers import operator
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient, HttpResponse

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import CheckedUser, Policy, check
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.audit.names import names_of
from anyscale.server.core.search.query import MAX_WORDS
from anyscale.server.http.console.audit import people

OCTOBER = 1_792_800_000_000  # 2026-10-24 00:00 UTC
DAY = 86_400_000
PEOPLE = [("Ann", "König"), ("Anna", "König"), ("Uwe", "Lang"), ("Eve", "Gone")]


def person(first: str, last: str) -> CheckedUser:
    email = f"{first}.{last}@example.com".lower().replace("ö", "oe")
    user = check(
        Policy(), name=first, email=email, password="", is_sso_user=False, lastname=last, title=None
    )
    assert user
    return user


@pytest.fixture(scope="module")
def ids(shared_console: Console) -> dict[str, str]:
    """The ids of people of one batch, in whose first entries it was October."""
    control_plane = shared_console.control_plane
    root = operator("root")
    people = [person(*names) for names in PEOPLE]
    control_plane.batches.create(root, "people", people, "fail")
    found = control_plane.users.find([one.email for one in people])
    ids = {user.name: user.user_id for user in found if user}
    with control_plane.store.write() as tx:
        by_uwe = f"user:{ids['Uwe']}"
        append_entry(tx, by_uwe, "account.suspended", ids["Ann"], {})
        append_entry(tx, by_uwe, "account.restored", ids["Ann"], {})
    with control_plane.store.write() as tx:
        execute_sql(tx, f"update audit set at = {OCTOBER} + number")
        append_entry(tx, by_uwe, "account.role_set", ids["Anna"], {"role": "owner"})
    control_plane.updates.update(root, ids["Eve"], UserChanges(email="eve.new@example.com"))
    control_plane.lifecycle.delete(root, ids["Eve"])
    return ids


@pytest.fixture(scope="module")
def jane(shared_console: Console, ids: dict[str, str]) -> HttpClient:
    assert ids
    return shared_console.browser()


def listed(client: HttpClient, **query: str) -> HttpResponse:
    return get(client, f"/console/audit?{urlencode(query)}")


def sentences(page: HttpResponse) -> list[str]:
    paragraphs = re.findall(r"<div>\n<p>(.*?)</p>\n<details>", page.text, re.DOTALL)
    return [unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", "", one))).strip() for one in paragraphs]


def address_of(page: HttpResponse, text: str) -> str:
    found = re.search(
        rf'href="([^"]+)">(?:<bdi translate=no>)?(?:<span class="hidden-text">)?{re.escape(text)}<',
        page.text,
    )
    assert found, text
    return unescape(found[1])


def test_a_name_or_a_part_of_it_finds_what_happened_to_a_user_and_what_the_user_did(
    jane: HttpClient,
) -> None:
    for typed in ("Uwe Lang", "uwe", "lang uwe", "uwe.lang@exam", "Uwe.Lang@example.com"):
        page = listed(jane, q=typed)
        assert sentences(page)[:3] == [
            "Uwe Lang made Anna König an owner",
            "Uwe Lang restored Ann König",
            "Uwe Lang suspended Ann König",
        ], typed
        assert "Remove the filter Uwe Lang" in page.text


def test_several_users_are_a_choice(jane: HttpClient) -> None:
    page = listed(jane, q="könig", event="account.suspended")
    assert sentences(page) == []
    assert page.text.count("@example.com</bdi>") == 2
    chosen = get(jane, address_of(page, "Ann König"))
    assert sentences(chosen) == ["Uwe Lang suspended Ann König"]
    assert sentences(get(jane, address_of(page, "Anna König"))) == []


def test_nobody_is_told_how_to_go_on(jane: HttpClient) -> None:
    for typed in ("Zacharias", "zacharias@example.com"):
        page = listed(jane, q=typed)
        assert page.status == 404
        assert f"Nobody is found by “{typed}”." in unescape(page.text)
        assert "A deleted user is found by the id" in page.text


def test_a_text_that_the_search_refuses_is_a_problem_of_the_field(jane: HttpClient) -> None:
    page = listed(jane, q=" ".join(map(str, range(MAX_WORDS + 1))))
    problem = f"Search for at most {MAX_WORDS} words, not {MAX_WORDS + 1}: leave some out."
    assert problem in page.text


def test_a_deleted_user_is_found_by_the_id_and_named_by_the_email_of_the_log(
    jane: HttpClient, ids: dict[str, str]
) -> None:
    page = listed(jane, q=ids["Eve"])
    assert sentences(page)[:2] == [
        "An operator on the server deleted the account of eve.new@example.com",
        (
            "An operator on the server changed the email of eve.new@example.com from "
            "eve.gone@example.com to eve.new@example.com"
        ),
    ]


def test_a_user_is_found_by_the_beginning_of_a_former_email(
    shared_console: Console, jane: HttpClient
) -> None:
    control_plane = shared_console.control_plane
    control_plane.batches.create(operator("root"), "renamed", [person("Ida", "Unwed")], "fail")
    (ida,) = control_plane.users.find(["ida.unwed@example.com"])
    assert ida
    changes = UserChanges(email="ida.wed@example.com", lastname="Wed")
    control_plane.updates.update(operator("root"), ida.user_id, changes)
    for typed in ("ida.unw", "Ida.Unwed@example.com"):
        assert "from ida.unwed@example.com to ida.wed" in " ".join(sentences(listed(jane, q=typed)))


def test_ids_and_actors_are_typed_as_well(jane: HttpClient, ids: dict[str, str]) -> None:
    assert sentences(listed(jane, q=f"user:{ids['Uwe']}"))[-1].startswith(
        "An operator on the server"
    )
    assert sentences(listed(jane, q="local:root"))
    batch_id = f"bat_{ids['Uwe'][4:-8]}"
    assert sentences(listed(jane, q=batch_id)) == [sentences(listed(jane, q=ids["Uwe"]))[-1]]


def test_a_click_replaces_the_other_filters_and_stays_in_the_period(
    jane: HttpClient, ids: dict[str, str]
) -> None:
    dates = {"from": "2026-10-01", "until": "2026-10-31", "zone": "Europe/Berlin"}
    page = listed(jane, account=ids["Ann"], event="account.suspended", **dates)
    assert sentences(page) == ["Uwe Lang suspended Ann König"]
    address = address_of(page, "Uwe Lang")
    assert address == f"/console/audit?{urlencode({'account': ids['Uwe'], **dates})}"
    assert len(sentences(get(jane, address))) == 3
    assert address_of(page, "account.suspended") == (
        f"/console/audit?{urlencode({'event': 'account.suspended', **dates})}"
    )


def test_each_filter_is_removed_by_itself(jane: HttpClient, ids: dict[str, str]) -> None:
    filters = {"account": ids["Ann"], "event": "account.suspended", "from": "2026-10-24"}
    page = listed(jane, **filters)
    for chip, name in {"Ann König": "account", "User suspended": "event"}.items():
        left = {other: text for other, text in filters.items() if other != name}
        assert address_of(page, f"Remove the filter {chip}") == f"/console/audit?{urlencode(left)}"
    assert "from=" not in address_of(page, "Remove the filter From 24 October 2026")
    assert address_of(page, "Ann König") == f"/console/users/{ids['Ann']}"


def test_a_period_is_of_days_in_a_zone(jane: HttpClient, ids: dict[str, str]) -> None:
    october = "Uwe Lang suspended Ann König"
    for first, last, zone, is_there in (
        ("2026-10-24", "2026-10-24", "", True),
        ("2026-10-25", "", "", False),
        ("", "2026-10-23", "", False),
        ("", "2026-10-23", "America/New_York", True),
        ("2026-10-24", "", "America/New_York", False),
        ("2026-10-24", "2026-10-24", "No/Where", True),
    ):
        page = listed(jane, account=ids["Ann"], zone=zone, **{"from": first, "until": last})
        assert (october in sentences(page)) is is_there, (first, last, zone)


def test_a_month_is_chosen_by_a_button(jane: HttpClient) -> None:
    this, last = (listed(jane, period=f"{name}-month") for name in ("this", "last"))
    first, end = (
        re.search(rf'name="{name}" type="date" value="(\d{{4}}-\d\d)-(\d\d)"', page.text)
        for name, page in (("from", this), ("until", last))
    )
    assert first
    assert end
    assert first[2] == "01"
    assert end[1] < first[1]
    assert sentences(this)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"from": "1 Oct"}, "This is not a date such as 2026-10-31."),
        ({"until": "9999-12-31"}, "This is not a date such as 2026-10-31."),
        ({"from": "2026-10-02", "until": "2026-10-01"}, "The last day is before the first one."),
        ({"from": "2026-10-02", "until": "20261001"}, "The last day is before the first one."),
    ],
)
def test_wrong_dates_are_problems_of_their_fields(
    jane: HttpClient, query: dict[str, str], problem: str
) -> None:
    page = listed(jane, **query)
    assert page.status == 400
    assert problem in page.text


def test_a_date_without_hyphens_is_one(jane: HttpClient) -> None:
    page = listed(jane, **{"from": "20261001", "until": "2026-10-31"})
    assert page.status == 200
    assert 'value="2026-10-01"' in page.text


def test_the_download_has_the_period_and_the_user(jane: HttpClient, ids: dict[str, str]) -> None:
    page = listed(jane, q="Ann König", until="2026-10-31", event="account.restored")
    file = get(jane, address_of(page, "Download for programs (JSON Lines)"))
    (line,) = file.text.splitlines()
    assert json.loads(line)["subject"] == ids["Ann"]


def test_the_page_of_an_account_has_the_same_entries_as_all_that_happened(
    jane: HttpClient, ids: dict[str, str]
) -> None:
    account = get(jane, f"/console/users/{ids['Ann']}")
    shown = [
        unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", "", one))).strip()
        for one in re.findall(r"</time>\n<p>(.*?)</p>\n</li>", account.text, re.DOTALL)
    ]
    assert shown[:2] == ["Uwe Lang restored Ann König", "Uwe Lang suspended Ann König"]
    assert shown[2].startswith("An operator on the server created 4 accounts by the import")
    assert sentences(get(jane, address_of(account, "Everything that happened"))) == shown


def test_the_names_of_a_page_take_as_many_statements_as_those_of_one_entry(
    shared_console: Console, ids: dict[str, str]
) -> None:
    data = '{"client_id":"app_0"}'
    entries = [
        AuditEntry(
            at, at, f"user:{user_id}", "account.updated", f"{kind}_{at:024x}{tail}", data, ""
        )
        for at in range(20)
        for user_id in ids.values()
        for kind, tail in (("usr", "0" * 8), ("bat", ""))
    ]
    steps = []
    for some in (entries[:2], entries):
        with (
            shared_console.control_plane.store.read() as tx,
            explained(tx, "explain query plan") as plans,
        ):
            names_of(tx, some)
        steps.append(len(plans))
    assert steps[0] == steps[1]


def test_a_search_that_takes_long_says_that_it_was_not_completed(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not all accounts were searched" not in listed(jane, q="acharias").text
    monkeypatch.setattr(people, "_PAGES", 0)
    assert "not all accounts were searched" in listed(jane, q="acharias").text
