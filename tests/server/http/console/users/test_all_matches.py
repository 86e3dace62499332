"""Changes of all accounts that match the filters of the list: limits, owners, repetition, undo."""

import re
from collections.abc import Iterator

import pytest
from tests.server.http.console.conftest import Console, OpenConsole, run_console
from tests.server.http.pages.requests import PUBLIC, create_owner, fields_of, get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.users import NEW_PASSWORD, checked_user

from anyscale.comparison import sync_limits
from anyscale.server.core.accounts import bulk_changes
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.console.users import matches, selected

SUSPEND, RESTORE, LINKS = (f"/console/users/{name}" for name in ("suspend", "restore", "links"))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with run_console(tmp_path_factory.mktemp("matches"), public_url=PUBLIC) as console:
        yield console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


def add(console: Console, word: str, number: int, *, owners: int = 0) -> str:
    """Create people who have a word; return the filter that finds them, as a part of an address."""
    users = [checked_user(f"{word}{at}@example.com") for at in range(number)]
    console.control_plane.batches.create(OPERATOR, word, users, "fail")
    for at in range(owners):
        create_owner(console.control_plane, f"{word}{at}")
    return f"?q={word}"


def ask(jane: HttpClient, path: str, where: str) -> HttpResponse:
    return get(jane, f"{path}{where}&all=yes")


def confirm(jane: HttpClient, path: str, where: str, **typed: str) -> HttpResponse:
    """Open the page that asks, and send its form."""
    fields = fields_of(ask(jane, path, where)) | typed
    return send(jane, f"{path}{where}&all=yes", **fields)


def suspended(console: Console, word: str) -> int:
    with console.control_plane.store.read() as tx:
        found = [tx.accounts.find(f"{word}{at}@example.com") for at in range(200)]
    return sum(account.suspended for account in found if account)


def events(console: Console, event: str) -> int:
    entries = console.control_plane.audit_log.list(0, 10_000)
    return sum(entry.event == event for entry in entries)


def words_of(page: HttpResponse) -> str:
    main = page.text[page.text.index("<main") :]
    return " ".join(re.sub("<[^>]+>", " ", main).split())


def undo_of(page: HttpResponse) -> str:
    found = re.search(r'<form method="post" action="([^"]+undo=[^"]+)">', page.text)
    assert found
    return found[1].replace("&amp;", "&")


def test_all_that_match_are_suspended_but_no_owner_and_the_undo_restores_exactly_these(
    console: Console, jane: HttpClient
) -> None:
    where = add(console, "apple", 60, owners=2)
    plane = console.control_plane
    (before,) = (user.user_id for user in plane.users.find(["apple9@example.com"]) if user)
    plane.lifecycle.suspend(OPERATOR, before)
    entries = events(console, "account.suspended")

    asked = words_of(ask(jane, SUSPEND, where))
    answer = confirm(jane, SUSPEND, where, number="57")

    assert "Suspend 57 accounts?" in asked
    assert "60 users match the search for apple" in asked
    assert "2 accounts of owners are left out." in asked
    assert "1 account is suspended already, and left out." in asked
    assert answer.status == 303
    assert suspended(console, "apple") == 58
    assert events(console, "account.suspended") == entries + 57
    listed = get(jane, answer.headers["location"])
    assert "57 accounts are suspended." in words_of(listed)

    undone = send(jane, undo_of(listed), form_key="a" * 32)

    shown = get(jane, undone.headers["location"])
    assert "57 accounts are restored." in words_of(shown)
    assert "Suspend them again" in words_of(shown)
    assert suspended(console, "apple") == 1
    repeated = send(jane, undo_of(listed), form_key="a" * 32)
    assert repeated.headers["location"] == undone.headers["location"]


def test_accounts_that_a_sync_has_suspended_match_and_an_undo_suspends_them_as_before(
    console: Console, jane: HttpClient
) -> None:
    where, plane = add(console, "lemon", 3), console.control_plane

    def by_sync() -> list[bool]:
        found = plane.users.find([f"lemon{at}@example.com" for at in range(3)])
        return [bool(user and user.suspended_by_sync) for user in found]

    (first,) = (user.user_id for user in plane.users.find(["lemon0@example.com"]) if user)
    plane.lifecycle.suspend(OPERATOR, first, by_sync=True)
    restored = send(jane, RESTORE, user_id=first, form_key="b" * 32)
    assert by_sync() == [False] * 3
    send(jane, undo_of(get(jane, restored.headers["location"])), form_key="c" * 32)
    assert by_sync() == [True, False, False]

    asked = words_of(ask(jane, SUSPEND, where))
    answer = confirm(jane, SUSPEND, where)

    assert "Suspend 3 accounts?" in asked
    reason = (
        "1 account is suspended by an update from a file: after this, no later file restores it"
    )
    assert reason in asked
    assert by_sync() == [False] * 3
    listed = get(jane, answer.headers["location"])
    assert "2 accounts are suspended." in words_of(listed)
    send(jane, undo_of(listed), form_key="d" * 32)
    assert suspended(console, "lemon") == 1


def test_above_the_limit_of_a_sync_the_number_is_typed(console: Console, jane: HttpClient) -> None:
    where = add(console, "birch", 51)
    page = ask(jane, SUSPEND, where)
    assert re.search(r"51 to suspend, of \d+ accounts: if that is right, type 51\.", words_of(page))
    for wrong in ("", "50"):
        refused = confirm(jane, SUSPEND, where, number=wrong)
        assert refused.status == 400
        assert "Type 51, the number of accounts to suspend." in refused.text
    assert suspended(console, "birch") == 0
    assert confirm(jane, SUSPEND, where, number="51").status == 303
    assert suspended(console, "birch") == 51

    few = add(console, "cedar", 50)
    assert "type 50" not in ask(jane, SUSPEND, few).text
    assert confirm(jane, SUSPEND, few).status == 303


def test_the_limit_is_about_the_accounts_that_are_not_suspended(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_limits, "_MANY", 2)
    console = open_console(public_url=PUBLIC)
    add(console, "maple", 30)
    for user in console.control_plane.users.find([f"maple{at}@example.com" for at in range(27)]):
        assert user
        console.control_plane.lifecycle.suspend(OPERATOR, user.user_id)
    page = ask(console.browser(), SUSPEND, "?q=maple")
    assert "3 to suspend, of 5 accounts: if that is right, type 3." in words_of(page)


def test_a_list_of_suspended_accounts_offers_to_restore_them(
    console: Console, jane: HttpClient
) -> None:
    where = add(console, "daisy", 3)
    confirm(jane, SUSPEND, where)
    page = get(jane, f"/console/users{where}&state=suspended").text
    assert f'formaction="{RESTORE}"' in page
    assert f'formaction="{SUSPEND}"' not in page

    answer = confirm(jane, RESTORE, f"{where}&state=suspended")

    assert "3 accounts are restored." in words_of(get(jane, answer.headers["location"]))
    assert suspended(console, "daisy") == 0


def test_a_form_that_arrives_twice_changes_accounts_once(
    console: Console, jane: HttpClient
) -> None:
    where = f"{add(console, 'elder', 4)}&state=none"
    fields = fields_of(ask(jane, SUSPEND, where))
    entries = events(console, "account.suspended")
    first, second = (send(jane, f"{SUSPEND}{where}&all=yes", **fields) for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert events(console, "account.suspended") == entries + 4


def test_other_matches_than_the_page_showed_change_nothing(
    console: Console, jane: HttpClient
) -> None:
    where = add(console, "fern", 2)
    fields = fields_of(ask(jane, SUSPEND, where))
    add(console, "ferns", 1)
    refused = send(jane, f"{SUSPEND}{where}&all=yes", **fields)
    assert refused.status == 409
    assert "Other users match than when you opened this page" in refused.text
    assert "Suspend 3 accounts?" in refused.text
    assert suspended(console, "fern") == 0
    again = send(jane, f"{SUSPEND}{where}&all=yes", **fields_of(refused))
    assert again.status == 303
    assert (suspended(console, "fern"), suspended(console, "ferns")) == (2, 1)


def test_what_one_request_has_no_time_for_is_done_by_the_next_one_and_undone_together(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = add(console, "grape", 5)
    monkeypatch.setattr(bulk_changes, "_SLICE", 2)
    monkeypatch.setattr(selected, "_SECONDS", 0)
    page = ask(jane, SUSPEND, where)
    for done, left in ((2, 3), (4, 1)):
        page = send(jane, f"{SUSPEND}{where}&all=yes", **fields_of(page))
        assert "2 accounts are suspended. Press again for the others." in words_of(page)
        assert 'class="message warning" role="status"' in page.text
        assert f"Suspend {left} account" in page.text
        assert suspended(console, "grape") == done
    answer = send(jane, f"{SUSPEND}{where}&all=yes", **fields_of(page))
    listed = get(jane, answer.headers["location"])
    assert "5 accounts are suspended." in words_of(listed)

    monkeypatch.setattr(selected, "PAGE_USERS", 1)
    page, path = listed, undo_of(listed)
    for left in (3, 1):
        page = send(jane, path, **fields_of(page))
        assert "2 accounts are restored. Press again for the others." in words_of(page)
        assert 'class="message warning" role="status"' in page.text
        assert f"Restore {left} account" in page.text
        assert suspended(console, "grape") == left
    answer = send(jane, path, **fields_of(page))
    assert "5 accounts are restored." in words_of(get(jane, answer.headers["location"]))


def test_nobody_changes_all_accounts_without_a_filter_or_too_many(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (SUSPEND, RESTORE, LINKS):
        assert get(jane, f"{path}?all=yes").status == 400
        assert send(jane, f"{path}?all=yes").status == 400
    where = add(console, "hazel", 3)
    monkeypatch.setattr(matches, "MOST", 2)
    asked = ask(jane, SUSPEND, where)
    assert "more users than one form can change" in asked.text
    assert "users match" not in words_of(asked), "their number is not known"
    assert "0 accounts" not in asked.text


def test_an_old_session_signs_in_again_first(console: Console, jane: HttpClient) -> None:
    where = add(console, "ivory", 2)
    fields = fields_of(ask(jane, SUSPEND, where))
    let_time_pass(console.control_plane, 16 * MINUTE_MS)
    for path in (SUSPEND, RESTORE, LINKS):
        assert ask(jane, path, where).headers["location"].startswith("/sign-in-again?to=")
        answer = send(jane, f"{path}{where}&all=yes", **fields)
        assert answer.headers["location"].startswith("/sign-in-again?to=")
    assert suspended(console, "ivory") == 0
    send(jane, "/sign-in-again", to="", password=NEW_PASSWORD)


def test_all_that_match_get_links_but_no_owner_and_no_suspended_one(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = add(console, "juniper", 6, owners=1)
    (out,) = (u.user_id for u in console.control_plane.users.find(["juniper5@example.com"]) if u)
    console.control_plane.lifecycle.suspend(OPERATOR, out)
    asked = ask(jane, LINKS, where)
    assert "Create links for 4 accounts?" in asked.text
    assert "1 account is suspended, and left out." in words_of(asked)
    fields = fields_of(asked)

    file = send(jane, f"{LINKS}{where}&all=yes", **fields, format="csv")
    repeated = send(jane, f"{LINKS}{where}&all=yes", **fields, format="csv")

    lines = file.text.splitlines()[1:]
    assert [line.partition("@")[0] for line in lines] == [f"juniper{at}" for at in range(1, 5)]
    assert repeated.headers["location"].endswith("&all=yes&note=repeated")
    assert 'data-download="/console/users?q=juniper&amp;note=linked&amp;number=4"' in asked.text
    note = get(jane, "/console/users?q=juniper&note=linked&number=4")
    assert "4 accounts got a link" in note.text


def test_the_list_offers_all_that_match_where_there_are_several_pages(
    console: Console, jane: HttpClient
) -> None:
    where = add(console, "kelp", 51)
    page = get(jane, f"/console/users{where}").text
    assert f'data-counts="/console/users/count{where}"' in page
    assert get(jane, f"/console/users/count{where}").text == "51"
    assert 'name="all"' not in get(jane, "/console/users?q=kelp7@example.com&state=none").text
    assert 'name="all"' not in get(jane, "/console/users").text
