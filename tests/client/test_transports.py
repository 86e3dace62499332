"""The contract of `transport.base.Transport`, tested for each transport and database."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.support.databases.postgres_databases import PostgresDatabases
from tests.support.faults.permissions import without_root
from tests.support.servers.control_planes import Deployment, new_deployment
from tests.support.users import (
    PASSWORD,
    POLICY,
    checked_user,
    checked_users,
    list_accounts,
    passwords_for,
)

from anyscale.api_schemas import UserQuery
from anyscale.errors import (
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
    NotFound,
    RequestInvalid,
    StoreUnavailable,
    VersionMismatch,
)
from anyscale.server.settings import Settings
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.transport.http import HttpTransport
from anyscale.user.lookup import find_user
from anyscale.user.models import User, UserChanges

Connect = Callable[..., Transport]


@pytest.fixture
def connect(deployment: Deployment) -> Connect:
    """Create a transport to the control plane of the test; the caller closes it."""
    return deployment.transport


def embedded(folder: Path) -> Transport:
    database, url = folder / "data" / "anyscale.db", "https://accounts.example.com"
    return EmbeddedTransport(Settings(database=database, policy=POLICY, public_url=url))


@pytest.fixture
def transport(connect: Connect) -> Iterator[Transport]:
    with closing(connect()) as transport:
        yield transport


def accounts(transport: Transport) -> list[str]:
    return [user.email for user in list_accounts(transport)]


def test_a_transport_tells_where_it_is_and_its_limits(transport: Transport) -> None:
    assert transport.where
    assert transport.claims_at_once >= 1
    assert transport.hashes_at_once >= 1
    assert transport.policy() == POLICY


@pytest.mark.parametrize("text", ["", "x" * 257, "Ja\0ne", "\udcff", "a\nb"])
def test_a_text_that_no_account_has_finds_no_user(transport: Transport, text: str) -> None:
    for email, name in ((text, None), (None, text)):
        with pytest.raises(NotFound, match="there is no user with the"):
            find_user(transport, email, name)


def test_names_are_found_exactly_and_in_part_in_every_script(transport: Transport) -> None:
    names = ["ŉguyen", "ΐος", "ᾳδω", "Straße", "ﬁnn"]
    for number, name in enumerate(names):
        transport.create(
            f"key-{number}", [checked_user(f"u{number}@example.com", name=name)], "fail"
        )
    for name in names:
        assert [user.name for user in transport.users_with_name(name)] == [name]
        for text in (name, name.upper(), name.casefold()):
            found = list_accounts(transport, name=text)
            assert [user.name for user in found] == [name]
    finn = list_accounts(transport, name="fi")
    assert [user.name for user in finn] == ["ﬁnn"]


@pytest.mark.parametrize(
    ("email", "other"),
    [
        ("γιωργος.π@example.com", "ΓΙΩΡΓΟΣ.Π@example.com"),
        ("ασ@example.com", "ΑΣ@example.com"),  # noqa: RUF001 - Greek letters alone
        ("ας@example.com", "ΑΣ@example.com"),
    ],
)
def test_emails_that_differ_in_case_alone_are_one_in_every_script(
    transport: Transport, email: str, other: str
) -> None:
    transport.create("one", [checked_user(email)], "fail")
    with pytest.raises(BatchRefused) as refused:
        transport.create("two", [checked_user(other)], "fail")
    assert [problem.code for problem in refused.value.problems] == ["email_exists"]
    assert [user.email for user in transport.users_with_email(other)] == [email]
    found = list_accounts(transport, email=other)
    assert [user.email for user in found] == [email]


def test_a_small_batch_is_created_in_one_call(transport: Transport) -> None:
    users = checked_users("b", "a", password=PASSWORD)
    created = transport.create("key", users, "fail", passwords_for(users))

    assert [user.email for user in created.users] == ["b@example.com", "a@example.com"]
    assert (created.batch.state, created.batch.users, created.replayed) == ("published", 2, False)
    assert transport.create("key", users, "fail", passwords_for(users)).replayed
    assert accounts(transport) == ["b@example.com", "a@example.com"]


def test_a_large_batch_is_claimed_hashed_and_published(transport: Transport) -> None:
    batch = transport.open("key", "fail")
    assert (
        transport.claim(batch.batch_id, 0, checked_users("d", "c", "b", password=PASSWORD)).users
        == 3
    )
    assert transport.claim(batch.batch_id, 1, checked_users("a")).conflicts == 0
    with pytest.raises(BatchUnfinished):
        transport.publish(batch.batch_id, 4)
    assert transport.hash(batch.batch_id, [(at, PASSWORD) for at in range(2)]) == 2
    assert transport.hash(batch.batch_id, [(2, PASSWORD)]) == 1
    assert accounts(transport) == []

    published = transport.publish(batch.batch_id, 4)

    assert published.published_by == published.opened_by == batch.opened_by
    created = transport.created(batch.batch_id, "", 3)
    created += transport.created(batch.batch_id, created[-1].user_id, 3)
    assert [user.email[0] for user in created] == ["d", "c", "b", "a"]
    assert {user.created_at for user in created} == {published.published_at}
    shown = transport.show(batch.batch_id)
    assert shown == structs.replace(published, without_way_in=1)
    assert transport.batches(open_only=False, before="", limit=100) == [published]
    assert transport.find("key") == published


def test_conflicts_name_the_holder_of_the_email(transport: Transport) -> None:
    transport.create("key", checked_users("a"), "fail")
    holder, batch = transport.open("holder", "fail"), transport.open("batch", "skip")
    transport.claim(holder.batch_id, 0, checked_users("b"))

    claimed = transport.claim(batch.batch_id, 0, checked_users("a", "b", "c"))

    assert (claimed.users, claimed.skipped, claimed.conflicts) == (1, 1, 1)
    assert claimed.holders == [holder.batch_id]
    exists, held = transport.conflicts(batch.batch_id)
    assert (exists.position, exists.kind) == (0, "exists")
    assert (held.position, held.kind, held.holder) == (1, "held", holder.batch_id)
    assert (held.held_by, held.held_since) == (holder.opened_by, holder.opened_at)
    looked_up = transport.look_up(checked_users("a", "b", "z"), 0)
    assert [(c.position, c.kind) for c in looked_up] == [(0, "exists"), (1, "held")]
    (account,) = transport.users_with_email("a@example.com")
    assert [c.user_id for c in looked_up] == [account.user_id, None]


def test_released_and_dropped_emails_are_free(transport: Transport) -> None:
    batch = transport.open("key", "fail")
    transport.claim(batch.batch_id, 0, checked_users("a"))
    transport.release(batch.batch_id)
    assert transport.look_up(checked_users("a"), 0) == []
    transport.claim(batch.batch_id, 0, checked_users("a"))
    assert transport.drop(batch.batch_id).state == "dropped"
    assert transport.look_up(checked_users("a"), 0) == []
    assert transport.find("key") is None


def test_refusals_are_the_errors_of_the_package(transport: Transport) -> None:
    transport.create("small", checked_users("a"), "fail")
    with pytest.raises(BatchRefused) as refused:
        transport.create("other", checked_users("b", "a"), "fail")
    assert [(p.index, p.field, p.code) for p in refused.value.problems] == [
        (1, "email", "email_exists")
    ]
    with pytest.raises(KeyReused):
        transport.create("small", checked_users("c"), "fail")
    batch = transport.open("large", "fail")
    with pytest.raises(KeyReused):
        transport.open("large", "skip")
    transport.claim(batch.batch_id, 0, checked_users("c"))
    with pytest.raises(KeyReused):
        transport.claim(batch.batch_id, 0, checked_users("d"))
    transport.drop(batch.batch_id)
    with pytest.raises(BatchGone):
        transport.claim(batch.batch_id, 0, checked_users("c"))
    with pytest.raises(BatchGone):
        transport.publish(batch.batch_id, 1)


def test_an_unknown_batch_is_not_found(connect: Connect) -> None:
    for first in (lambda _: None, lambda transport: transport.open("key", "fail")):
        with closing(connect()) as transport:
            first(transport)
            calls: list[Callable[[str], object]] = [
                transport.show,
                transport.conflicts,
                transport.release,
                transport.drop,
                lambda batch_id: transport.created(batch_id, "", 10),
            ]
            for call in calls:
                with pytest.raises(NotFound, match="there is no batch bat_none"):
                    call("bat_none")


def test_users_are_found_by_parts_and_exactly(transport: Transport) -> None:
    transport.create("key", checked_users("Jane.Doe", "joe"), "fail")

    def found(email: str = "", name: str = "", limit: int = 10) -> list[str]:
        users = list_accounts(transport, limit, email=email, name=name)
        return [user.email for user in users]

    assert found(email="JANE.") == ["Jane.Doe@example.com"]
    assert found(name="jAN") == ["Jane.Doe@example.com", "joe@example.com"]
    assert found(name="nobody") == []
    assert found(limit=1) == ["Jane.Doe@example.com"]
    (jane,) = transport.users_with_email("jane.doe@EXAMPLE.com")
    assert (jane.email, jane.permission_level) == ("Jane.Doe@example.com", "collaborator")
    assert transport.users_with_email("jane.doe@example.org") == []
    assert transport.users_with_email("no email") == []
    assert len(transport.users_with_name("Jane")) == 2
    assert transport.users_with_name("jane") == []


def test_an_account_is_suspended_restored_promoted_and_deleted(transport: Transport) -> None:
    transport.create("key", checked_users("jane", "joe"), "fail")
    jane, joe = (user.user_id for user in list_accounts(transport))
    for _ in range(2):  # repeating a call changes nothing more
        for user_id in (jane, joe):
            transport.set_role(user_id, "owner")
        transport.suspend(jane)
        with pytest.raises(LastOwner, match="make another user an owner first"):
            transport.suspend(joe)
        with pytest.raises(LinkRefused, match="restore it first"):
            transport.set_password_links([jane])
        transport.restore(jane)
    levels = [user.permission_level for user in transport.users_with_name("Jane")]
    assert levels == ["owner", "owner"]
    transport.set_role(jane, "collaborator")
    transport.delete(jane)
    assert accounts(transport) == ["joe@example.com"]
    for call in (transport.suspend, transport.restore, transport.delete):
        with pytest.raises(NotFound, match=f"there is no user {jane}"):
            call(jane)
    with pytest.raises(NotFound):
        transport.set_role("usr_/../none?x", "owner")
    events = [entry.event for entry in transport.audit(0, 100) if entry.subject == jane]
    assert events == [
        *["account.role_set"],
        *["account.suspended", "account.restored"] * 2,
        *["account.role_set", "account.deleted"],
    ]


def test_the_newest_audit_entries_come_first_and_no_page_repeats_one(transport: Transport) -> None:
    for name in ("ann", "bob", "cid"):
        transport.create(name, checked_users(name), "fail")
    numbers = [entry.number for entry in transport.audit(0, 100)]
    first, second = numbers[:2]
    pages = [transport.audit(first, 2, newest_first=True)]
    while page := pages[-1]:
        transport.create(f"key{len(pages)}", checked_users(f"user{len(pages)}"), "fail")
        pages.append(transport.audit(first, 2, before=page[-1].number, newest_first=True))
    listed = [entry.number for page in pages for entry in page]
    assert listed == list(reversed(numbers[1:]))
    assert [entry.number for entry in transport.audit(0, 9, before=second)] == [first]
    newest = transport.audit(0, 1, newest_first=True)
    assert newest[0].number == numbers[-1] + len(pages) - 1


def test_an_account_is_updated_and_every_field_of_it_is_listed(transport: Transport) -> None:
    transport.create("key", checked_users("jane", "joe"), "fail")
    jane, joe = list_accounts(transport)
    changes = UserChanges(name="Jané", lastname="Doe", title="", is_sso_user=True)
    for _ in range(2):  # repeating a call changes nothing more
        updated = transport.update(jane.user_id, changes)
        expected = structs.replace(jane, **changes.to_dict())
        assert (updated.user, updated.has_password) == (expected, False)
    assert transport.users_with_email("jane@example.com") == [expected]
    assert transport.users_with_name("Jané") == [expected]
    assert list_accounts(transport, name="JANÉ") == [expected]
    assert transport.users_with_email("joe@example.com") == [joe]
    cleared = transport.update(jane.user_id, UserChanges(lastname=None)).user
    assert (cleared.lastname, cleared.title) == (None, "")
    with pytest.raises(ConfigError, match="name: is blank"):
        transport.update(jane.user_id, UserChanges(name=" "))
    with pytest.raises(ConfigError, match="there is nothing to change"):
        transport.update(jane.user_id, UserChanges())
    with pytest.raises(NotFound, match="there is no user usr_none"):
        transport.update("usr_none", changes)
    entries = [one for one in transport.audit(0, 100) if one.event == "account.updated"]
    assert [json.loads(entry.data)["fields"] for entry in entries] == [
        ["is_sso_user", "lastname", "name", "title"],
        ["lastname"],
    ]


def test_a_call_that_a_control_plane_does_not_know_is_a_version_mismatch(
    postgres_databases: PostgresDatabases,
) -> None:
    with new_deployment("http-sqlite", postgres_databases) as deployment:
        transport = deployment.transport()
        assert isinstance(transport, HttpTransport)
        with closing(transport), pytest.raises(VersionMismatch, match="does not know this call"):
            transport._request(User, "PATCH", "/v1/users", changes=False)


def test_suspended_users_are_listed_with_the_time(transport: Transport) -> None:
    transport.create("key", checked_users("jane", "joe"), "fail")
    transport.create("other", checked_users("ann"), "fail")
    jane, _, ann = list_accounts(transport)
    assert (jane.suspended_at, suspended(transport)) == (None, [])

    for user in (jane, ann):
        transport.suspend(user.user_id)

    (found,) = transport.users_with_email("jane@example.com")
    assert found.suspended_at
    assert found.suspended_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - found.suspended_at) < timedelta(minutes=1)
    assert found.suspended_at >= found.created_at
    assert found == structs.replace(jane, suspended_at=found.suspended_at)
    for users in (
        list_accounts(transport),
        transport.users_with_name("Jane"),
    ):
        moments = {user.email.split("@")[0]: user.suspended_at for user in users}
        assert (moments["jane"], moments["joe"]) == (found.suspended_at, None)
    assert suspended(transport) == ["jane@example.com", "ann@example.com"]
    assert suspended(transport, limit=1) == ["jane@example.com"]
    assert suspended(transport, email="ann") == ["ann@example.com"]
    assert suspended(transport, email="joe") == []
    transport.restore(jane.user_id)
    assert transport.users_with_email("jane@example.com") == [jane]
    assert suspended(transport) == ["ann@example.com"]


def suspended(transport: Transport, limit: int | None = None, **query: Any) -> list[str]:
    return [user.email for user in list_accounts(transport, limit, suspended=True, **query)]


def test_accounts_are_listed_in_pages_from_either_end(transport: Transport) -> None:
    for letter in "abcde":
        transport.create(letter, checked_users(letter), "fail")
    transport.drop(transport.open("dropped", "fail").batch_id)
    listed = []
    for newest_first in (False, True):
        query = UserQuery(newest_first=newest_first)
        first = transport.users(query, "", 2)
        second = transport.users(query, str(first.cursor), 2)
        last = transport.users(query, str(second.cursor), 2)
        listed.append([user.email[0] for page in (first, second, last) for user in page.users])
        assert last.cursor is None
        assert transport.users(query, str(first.cursor), 2) == second  # again, as after a timeout
    from_the_oldest, from_the_newest = listed
    assert sorted(from_the_oldest) == list("abcde")  # batches of one millisecond are in any order
    assert from_the_newest == from_the_oldest[::-1]


def test_accounts_are_listed_by_role_sso_and_credentials(transport: Transport) -> None:
    users = [
        checked_user("owner@example.com"),
        structs.replace(checked_user("sso@example.com"), is_sso_user=True),
    ]
    transport.create("one", users, "fail")
    users = [checked_user("none@example.com"), checked_user("has@example.com", PASSWORD)]
    transport.create("two", users, "fail", passwords_for(users))
    transport.set_role(list_accounts(transport, email="owner")[0].user_id, "owner")

    def found(**query: Any) -> list[str]:
        return [user.email.partition("@")[0] for user in list_accounts(transport, **query)]

    assert found(role="owner") == ["owner"]
    assert found(role="collaborator") == ["sso", "none", "has"]
    assert found(sso=True) == ["sso"]
    # There is no identity provider here, so SSO users cannot sign in either.
    assert found(without_credentials=True) == ["owner", "sso", "none"]
    assert found(without_credentials=True, newest_first=True) == ["none", "sso", "owner"]
    assert found(without_credentials=True, role="collaborator") == ["sso", "none"]
    assert found(without_credentials=True, sso=True, email="SSO") == ["sso"]
    assert found(suspended=True, sso=True) == []


def test_accounts_are_searched_by_email_id_names_and_parts(transport: Transport) -> None:
    users = [
        structs.replace(checked_user("joanna@example.com", name="Joanna"), lastname="Straße"),
        structs.replace(checked_user("x@example.com", name="Anna"), lastname="Lee"),
    ]
    transport.create("one", users, "fail")
    transport.create("two", checked_users("anna"), "fail")

    def found(search: str, **query: Any) -> list[str]:
        users = list_accounts(transport, page_size=1, search=search, **query)
        return [user.email.partition("@")[0] for user in users]

    assert found("ANNA@example.com")[0] == "anna"
    assert found(list_accounts(transport, email="x@")[0].user_id) == ["x"]
    assert found("lee anna") == ["x"]
    assert found("strasse") == ["joanna"]
    assert sorted(found("ann")) == ["anna", "joanna", "x"]
    assert found("ann")[0] == "anna"  # whose email begins so
    assert found("ann", sso=True) == []
    assert found("?") == found("nobody") == []
    page = transport.users(UserQuery(search="lee"), "", 9)
    assert isinstance(page.unindexed, int)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (UserQuery(search=" "), "at least one character"),
        (UserQuery(search="a " * 25), "at most 24 words, not 25: leave some out"),
        (UserQuery(search="a", newest_first=True), "it takes no email, name or order"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    transport: Transport, query: UserQuery, message: str
) -> None:
    transport.create("key", checked_users("a"), "fail")
    with pytest.raises(RequestInvalid, match=message):
        transport.users(query, "", 9)


def test_a_cursor_of_another_query_or_of_nobody_is_refused(transport: Transport) -> None:
    transport.create("key", checked_users("a", "b"), "fail")
    cursor = str(transport.users(UserQuery(), "", 1).cursor)
    with pytest.raises(RequestInvalid, match="belongs to other filters or another search: start"):
        transport.users(UserQuery(sso=True), cursor, 1)
    for wrong in ("x", "é", cursor[:-4], f"{cursor}AA", "A" * 4_096):
        with pytest.raises(RequestInvalid, match=r"is not one that a control plane has returned"):
            transport.users(UserQuery(), wrong, 1)


def test_a_page_without_accounts_is_not_the_end_if_it_has_a_cursor(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.users.pages.BUDGET", -1.0)
    monkeypatch.setattr("anyscale.server.core.users.listing.BLOCK_ROWS", 2)
    for letter in "abcdef":
        transport.create(letter, checked_users(letter), "fail")
    page = transport.users(UserQuery(email="f@"), "", 10)
    assert page.users == []
    assert page.cursor
    assert [user.email for user in list_accounts(transport, email="f@")] == ["f@example.com"]


def test_links_are_created_for_users_without_credentials(transport: Transport) -> None:
    batch = transport.create("key", checked_users("b", "a"), "fail").batch.batch_id
    first = transport.without_credentials(batch, "", 1)
    found = [*first, *transport.without_credentials(batch, first[-1].user_id, 10)]
    assert [user.email for user in found] == ["b@example.com", "a@example.com"]

    links = transport.set_password_links([user.user_id for user in found])

    assert [link.email for link in links] == ["b@example.com", "a@example.com"]
    assert all(
        link.url.startswith("https://accounts.example.com/set-password#mrl_") for link in links
    )
    assert transport.set_password_links([]) == []
    assert [entry.event for entry in transport.audit(0, 100)].count("links.created") == 1
    with pytest.raises(NotFound):
        transport.set_password_links(["usr_0"])


def test_another_transport_sees_the_same_and_closing_twice_is_closing_once(
    connect: Connect,
) -> None:
    with closing(connect()) as one, closing(connect()) as other:
        assert accounts(other) == []
        one.create("key", checked_users("a"), "fail")
        assert accounts(other) == ["a@example.com"]
        one.close()
    with closing(connect()) as later:
        assert accounts(later) == ["a@example.com"]


def test_a_switched_off_feature_creates_nothing_and_says_why(connect: Connect) -> None:
    with closing(connect(available=False)) as transport:
        calls: list[Callable[[], object]] = [
            transport.policy,
            lambda: transport.create("key", checked_users("a"), "fail"),
            lambda: transport.open("key", "fail"),
        ]
        for call in calls:
            with pytest.raises(FeatureUnavailable, match="customer-hosted clouds"):
                call()
        assert accounts(transport) == []
        assert (
            transport.look_up(checked_users("a"), 0) == []
        )  # though other clients have created accounts


# The files of the embedded control plane


READING: dict[str, Callable[[Transport], object]] = {
    "policy": lambda t: t.policy(),
    "look_up": lambda t: t.look_up(checked_users("a"), 0),
    "find": lambda t: t.find("key"),
    "batches": lambda t: t.batches(open_only=False, before="", limit=100),
    "created": lambda t: t.created("bat_none", "", 10),
    "users": list_accounts,
    "users_with_email": lambda t: t.users_with_email("a@example.com"),
    "users_with_name": lambda t: t.users_with_name("Jane"),
    "show": lambda t: t.show("bat_none"),
    "conflicts": lambda t: t.conflicts("bat_none"),
    "release": lambda t: t.release("bat_none"),
    "drop": lambda t: t.drop("bat_none"),
    "without_credentials": lambda t: t.without_credentials("bat_none", "", 10),
    "suspend": lambda t: t.suspend("usr_none"),
    "delete": lambda t: t.delete("usr_none"),
    "update": lambda t: t.update("usr_none", UserChanges(title="CTO")),
    "set_password_links": lambda t: t.set_password_links(["usr_none"]),
}


@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_reading_calls_create_no_file_and_no_folder(
    tmp_path: Path, call: Callable[[Transport], object]
) -> None:
    with closing(embedded(tmp_path)) as transport, suppress(NotFound):
        assert call(transport) in (None, [], POLICY)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_reading_calls_do_not_change_a_file(
    tmp_path: Path, call: Callable[[Transport], object]
) -> None:
    with closing(embedded(tmp_path)) as transport:
        transport.create("key", checked_users("b"), "fail")
    before = {file: file.read_bytes() for file in (tmp_path / "data").iterdir()}

    with closing(embedded(tmp_path)) as transport, suppress(NotFound):
        call(transport)

    assert {file: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


def test_an_inaccessible_database_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    with closing(embedded(tmp_path)) as transport:
        transport.create("key", checked_users("a"), "fail")
    (tmp_path / "data").chmod(0o000)
    try:
        with (
            without_root(),
            closing(embedded(tmp_path)) as transport,
            pytest.raises(StoreUnavailable, match="Permission denied"),
        ):
            accounts(transport)
    finally:
        (tmp_path / "data").chmod(0o700)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "anyscale.db").write_text("no database" * 100)
    calls: list[Callable[[Transport], object]] = [accounts, lambda t: t.open("key", "fail")]
    for call in calls:
        with (
            closing(embedded(tmp_path)) as transport,
            pytest.raises(StoreUnavailable, match="the file is not a database"),
        ):
            call(transport)


def test_a_killed_first_use_leaves_no_users(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "anyscale.db").touch()
    with closing(embedded(tmp_path)) as transport:
        assert accounts(transport) == []
        with pytest.raises(NotFound):
            transport.show("bat_none")
        assert (tmp_path / "data" / "anyscale.db").stat().st_size == 0
        transport.create("key", checked_users("a"), "fail")
        assert accounts(transport) == ["a@example.com"]


def test_the_environment_names_the_database(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.db"
    transport = EmbeddedTransport.from_environment({"ANYSCALE_DATABASE_URL": f"sqlite:///{path}"})
    assert transport.where == str(path)
    assert not path.exists()
