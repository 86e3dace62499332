"""The console shows who has no second factor, and removes those that a user has lost."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from msgspec import structs
from tests.server.http.console.conftest import Console, OpenConsole, run_console
from tests.server.http.pages.requests import create_owner, get, send
from tests.store.contract.factors import app_row, passkey_row
from tests.support.servers.http_client import HttpClient
from tests.support.users import create_accounts, find_accounts

from anyscale.server.core.accounts.account_details import AccountDetailsQuery
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.store.records.factors import FactorState

RESET = "reset-second-factor"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """With jane, an owner without a factor, boss, one with a factor, and members ann and bob."""
    policy = SecondFactorPolicy("everyone", grace_days=14)
    with run_console(tmp_path_factory.mktemp("factors"), second_factor=policy) as console:
        create_accounts(console.control_plane, "ann", "boss")
        create_owner(console.control_plane, "boss")
        yield console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


@pytest.fixture(autouse=True)
def ids(console: Console) -> dict[str, str]:
    """The ids by name; ann has an app, a passkey and two recovery codes."""
    users = find_accounts(console.control_plane)
    ids = {user.email.partition("@")[0]: user.user_id for user in users}
    with console.control_plane.store.write() as tx:
        for user_id in ids.values():
            tx.factors.delete_all(user_id)
        used = structs.replace(passkey_row(2, ids["ann"]), used_at=1_700_000_000_000)
        for factor in (app_row(1, ids["ann"]), used, app_row(3, ids["boss"])):
            tx.factors.add(factor)
        tx.recovery_codes.replace(ids["ann"], [b"1", b"2"])
    return ids


def section(client: HttpClient, user_id: str) -> str:
    """Return the text about second factors on the page of an account."""
    page = get(client, f"/console/users/{user_id}").text
    found = re.search(r'aria-labelledby="second-factor">(.*?)</section>', page, re.DOTALL)
    return unescape(" ".join(re.sub("<[^>]+>", "", found[1]).split())) if found else ""


def test_the_page_of_an_account_shows_its_factors(
    console: Console, jane: HttpClient, ids: dict[str, str]
) -> None:
    shown = section(jane, ids["ann"])
    assert re.search(r"Authenticator app, Phone Since .*, never used Passkey, Key Since", shown)
    assert "last used 2023-11-14" in shown
    assert "2 recovery codes are left." in shown
    assert "Remove second factors" in shown


def test_the_page_of_an_account_says_from_when_on_one_is_due(
    console: Console, jane: HttpClient, ids: dict[str, str]
) -> None:
    bob = ids["bob"]
    assert section(jane, bob).endswith("None. The time to add one begins with the next sign-in.")
    with console.control_plane.store.write() as tx:
        tx.factor_states.save(FactorState(user_id=bob, required_since=1_700_000_000_000))
    assert "None. The user has to add one from 2023-11-28" in section(jane, bob)


def test_one_is_due_only_for_accounts_that_need_it(console: Console, ids: dict[str, str]) -> None:
    transactions = console.control_plane.transactions
    details = AccountDetailsQuery(transactions, SecondFactorPolicy("owners", grace_days=14))
    due = {name: details.get(ids[name]).second_factors.is_due for name in ("jane", "boss", "bob")}
    assert due == {"jane": True, "boss": False, "bob": False}


def test_lost_factors_are_removed_with_a_reason(
    console: Console, jane: HttpClient, ids: dict[str, str]
) -> None:
    path = f"/console/users/{ids['ann']}/{RESET}"
    assert "Make sure first that it is really this user" in get(jane, path).text
    for reason in ("", "x" * 201):
        refused = send(jane, path, reason=reason)
        assert (refused.status, 'aria-describedby="reason-hint' in refused.text) == (400, True)
    done = send(jane, path, reason="lost phone")
    assert done.headers["location"].endswith("?note=factors_removed")
    assert "the user is signed out everywhere" in get(jane, done.headers["location"]).text
    assert section(jane, ids["ann"]).startswith("Second factor None.")
    again = send(jane, path, reason="lost phone")
    assert again.headers["location"].endswith("?note=no_factors")
    with console.control_plane.store.read() as tx:
        removed = [one for one in tx.audit.list(0, 999) if one.event == "factor.removed"]
    assert [(one.subject, '"lost phone"' in one.data) for one in removed] == [(ids["ann"], True)]


def test_those_of_an_owner_have_the_command_of_the_operator(
    jane: HttpClient, ids: dict[str, str]
) -> None:
    assert section(jane, ids["boss"]).endswith(f"anyscale server {RESET} boss@example.com")
    refused = send(jane, f"/console/users/{ids['boss']}/{RESET}", reason="lost phone")
    assert (refused.status, f"anyscale server {RESET} boss" in refused.text) == (409, True)


def test_the_list_and_the_overview_have_those_without_one(jane: HttpClient) -> None:
    found = get(jane, "/console/users?factor=none&role=owner").text
    assert re.findall('aria-label="Select ([^"]+)"', found) == ["jane@example.com"]
    assert "boss@example.com" not in get(jane, "/console/users?factor=none&q=boss").text
    overview = get(jane, "/console").text
    assert "<p>1 owner has no second factor</p>" in overview
    assert "<p>2 accounts have no second factor, owners included</p>" in overview


def test_nothing_is_shown_if_they_are_off(open_console: OpenConsole) -> None:
    console = open_console(second_factor=SecondFactorPolicy("off"))
    jane = console.browser()
    [user, *_] = find_accounts(console.control_plane)
    for path in ("/console", "/console/users", f"/console/users/{user.user_id}"):
        page = get(jane, path)
        assert (page.status, "econd factor" in page.text) == (200, False)
