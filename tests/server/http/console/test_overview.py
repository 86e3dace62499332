"""The overview: numbers of accounts, unfinished batches, the last entries of the audit log."""

import re

from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import get
from tests.support.callers import OPERATOR, session_caller
from tests.support.users import create_accounts, find_accounts

from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.callers import user_actor

PART = re.compile(
    r'href="/console/users\?state=(\w+)">[\w -]+</a><br><strong class="number">(\d+)<'
)


def counts_of(text: str) -> dict[str, int]:
    return {state: int(count) for state, count in PART.findall(text)}


def test_accounts_are_counted_by_how_their_users_sign_in(open_console: OpenConsole) -> None:
    console = open_console(public_url="https://accounts.example.com")
    control_plane = console.control_plane
    create_accounts(control_plane, "sue")
    create_accounts(control_plane, "linus", "nora", "nils", password=None)
    ids = {user.email: user.user_id for user in find_accounts(control_plane)}
    control_plane.lifecycle.suspend(OPERATOR, ids["sue@example.com"])
    control_plane.links.create(OPERATOR, [ids["linus@example.com"]])
    jane = console.browser()
    page = get(jane, "/console")
    numbers = {"password": 2, "sso": 0, "link": 1, "none": 2, "suspended": 1}
    assert counts_of(page.text) == numbers
    assert "6 accounts, by how their users sign in" in page.text
    for state, number in numbers.items():
        emails = re.findall(r'aria-label="Select', get(jane, f"/console/users?state={state}").text)
        assert len(emails) == number, "each part links to its list"


def test_accounts_are_counted_once_a_minute(console: Console) -> None:
    jane = console.browser()
    before = counts_of(get(jane, "/console").text)
    create_accounts(console.control_plane, "late")
    assert counts_of(get(jane, "/console").text) == before


def test_the_last_entries_name_people(console: Console) -> None:
    (bob,) = console.control_plane.users.find(["bob@example.com"])
    assert bob
    console.control_plane.lifecycle.suspend(OPERATOR, bob.user_id)
    text = get(console.browser(), "/console").text
    assert re.search(r'suspended <a href="/console/users/usr_\w+"><bdi translate=no>\w+<', text)


def test_the_newest_entries_are_shown(open_console: OpenConsole) -> None:
    console = open_console()
    tokens = console.control_plane.tokens
    for number in range(30):
        tokens.create(OPERATOR, f"token-{number}", "owner", None)
    tokens.revoke(OPERATOR, "token-0")
    assert (
        "revoked the token <bdi translate=no>token-0</bdi>"
        in get(console.browser(), "/console").text
    )


def test_many_changes_in_a_row_push_nothing_out_of_what_happened_last(
    open_console: OpenConsole,
) -> None:
    console = open_console()
    names = [f"u{number}" for number in range(12)]
    create_accounts(console.control_plane, *names)
    console.control_plane.tokens.create(OPERATOR, "laptop", "owner", None)
    for user in find_accounts(console.control_plane):
        if user.email.partition("@")[0] in names:
            console.control_plane.lifecycle.suspend(OPERATOR, user.user_id)
    last = get(console.browser(), "/console").text.partition('id="entry-list"')[2]
    assert "suspended <bdi translate=no>12</bdi> accounts" in last
    assert "<bdi translate=no>laptop</bdi>" in last


def test_each_word_of_the_console_is_explained_where_it_is_first_met(console: Console) -> None:
    jane = console.browser()
    assert "There you create and manage accounts." in get(jane, "/").text
    assert "An import creates the accounts" in get(jane, "/console").text
    assert "An owner may manage all accounts" in get(jane, "/console/users").text


def test_an_import_has_the_name_of_its_file_a_person_and_one_row_on_all_pages(
    console: Console,
) -> None:
    batches, jane = console.control_plane.batches, console.browser()
    (owner,) = console.control_plane.users.find(["jane@example.com"])
    assert owner
    caller = session_caller(console.control_plane, owner.user_id)
    batch = batches.open(caller, "key", "fail", "März.csv")
    unnamed = batches.open(OPERATOR, "other", "fail")
    rows = []
    for path in ("/console", "/console/batches"):
        text = get(jane, path).text
        rows.append(re.findall(r'<a href="/console/batches/.*?</tr>', text, re.DOTALL)[:2])
        assert "user:usr_" not in text
    assert rows[0] == rows[1]
    of_jane, of_command = sorted(rows[0], key=lambda row: "März.csv" not in row)
    assert (
        f'href="/console/batches/{batch.batch_id}"><bdi translate=no>März.csv</bdi></a>' in of_jane
    )
    assert f'<a href="/console/users/{owner.user_id}"><bdi translate=no>Jane</bdi></a>' in of_jane
    assert re.search(rf'{unnamed.batch_id}">Users of <time', of_command)
    assert f"{OPERATOR.actor.removeprefix('local:')}</bdi>, on the server" in of_command
    page = get(jane, f"/console/batches/{batch.batch_id}").text
    assert "<h1><bdi translate=no>März.csv</bdi></h1>" in page
    assert page.count(f">{batch.batch_id}<") == 1, "the id is a detail"


def test_what_members_do_to_their_own_accounts_pushes_nothing_out(console: Console) -> None:
    plane = console.control_plane
    (bob,) = plane.users.find(["bob@example.com"])
    assert bob
    plane.tokens.create(OPERATOR, "nightly", "owner", None)
    own = [
        Entry(user_actor(bob.user_id), event, bob.user_id, data)
        for event, data in (
            ("authorization.created", {"client_id": "app_0"}),
            ("recovery_code.used", {"left": 7}),
            ("recovery_codes.created", {"count": 8}),
            ("factor.added", {"kind": "totp"}),
            ("password.changed", {}),
            ("sessions.revoked", {"count": 1}),
        )
    ]
    denied = Entry("anonymous", "access.denied", "", {"reason": "invalid_credentials"})
    removed = Entry(OPERATOR.actor, "factor.removed", bob.user_id, {"kinds": [], "reason": "lost"})
    with plane.store.write() as tx:
        append_entries(tx, [removed, *[*own, denied] * 3])
    last = get(console.browser(), "/console").text.partition('id="entry-list"')[2]
    assert "nightly" in last
    assert "removed the second factors" in last
    for words in ("recovery code", "signed in", "refused", "added", "password", "other session"):
        assert words not in last


def test_sign_ins_push_nothing_out_of_what_happened_last(console: Console) -> None:
    console.control_plane.tokens.create(OPERATOR, "nightly", "owner", None)
    jane = console.browser()
    for _ in range(12):
        console.browser()
    last = get(jane, "/console").text.partition('id="entry-list"')[2]
    assert "nightly" in last
    assert " signed in" not in last
