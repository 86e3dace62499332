"""One-time links: 256 random bits after a `#`, stored as a hash, one for each account."""

import re
import secrets
from contextlib import closing, nullcontext
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest
from tests.support.callers import OPERATOR, personal_token_caller, token_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.sending import UNUSED_RELAY, mails
from tests.support.servers.control_planes import Deployment
from tests.support.users import PASSWORD, POLICY, checked_users, find_accounts, passwords_for

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.batches import Created
from anyscale.domain.times import from_milliseconds
from anyscale.domain.validation import CheckedUser
from anyscale.errors import (
    ConfigError,
    LinkInvalid,
    LinkRefused,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    TooLarge,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.links import SkippedAccounts
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.mail.kinds import LINK
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.user.models import PasswordLink

BROWSER = ClientInfo("192.0.2.1", "a browser")


def created(control_plane: ControlPlane, users: list[CheckedUser]) -> Created:
    return control_plane.batches.create(
        OPERATOR, secrets.token_hex(8), users, "fail", passwords_for(users)
    )


def ids(control_plane: ControlPlane, *names: str) -> list[str]:
    return [user.user_id for user in created(control_plane, checked_users(*names)).users]


def secret_of(link: PasswordLink) -> str:
    return link.url.partition("#")[2]


def with_other_settings(deployment: Deployment, **changes: object) -> ControlPlane:
    settings = msgspec.structs.replace(deployment.settings(), **changes)
    return cheap_control_plane(settings)


def test_a_link_sets_the_password_of_its_account_once(control_plane: ControlPlane) -> None:
    jane, joe = ids(control_plane, "jane", "joe")
    link, other = control_plane.links.create(OPERATOR, [jane, joe])
    assert (link.user_id, link.email) == (jane, "jane@example.com")
    assert re.fullmatch(
        r"https://accounts\.example\.com/set-password#mrl_[A-Za-z0-9]{43}", link.url
    )
    assert link.url != other.url

    signed_in = control_plane.password_changes.by_link(secret_of(link), PASSWORD, BROWSER)

    assert signed_in.user_id == jane
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.by_link(secret_of(link), PASSWORD, BROWSER)
    assert control_plane.password_changes.link_account(secret_of(other)).user_id == joe


def test_a_link_is_invalid_once_its_creator_is_no_owner(control_plane: ControlPlane) -> None:
    joe, *owners = ids(control_plane, "joe", "jane", "ann", "kim", "lou")
    jane, ann, kim, _ = owners
    for owner in owners:
        control_plane.lifecycle.set_role(OPERATOR, owner, "owner")
    by_jane, by_ann, by_kim = (
        personal_token_caller(control_plane, one) for one in (jane, ann, kim)
    )
    for end, caller in (
        (lambda: control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator"), by_jane),
        (lambda: control_plane.lifecycle.suspend(OPERATOR, ann), by_ann),
        (
            lambda: control_plane.tokens.revoke(OPERATOR, "laptop"),
            token_caller(control_plane, "laptop"),
        ),
        (lambda: control_plane.lifecycle.delete(OPERATOR, kim), by_kim),
    ):
        (link,) = control_plane.links.create(caller, [joe])
        assert control_plane.password_changes.link_account(secret_of(link)).user_id == joe
        end()
        with pytest.raises(LinkInvalid):
            control_plane.password_changes.link_account(secret_of(link))


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "ended"])
@pytest.mark.parametrize("end", ["suspend", "delete", "set_role"])
def test_what_becomes_of_the_links_of_a_former_owner_is_in_the_log(
    control_plane: ControlPlane, end: str, keep: bool
) -> None:
    joe, una, jane, ann = ids(control_plane, "joe", "una", "jane", "ann")
    lifecycle, role = control_plane.lifecycle, ["collaborator"] if end == "set_role" else []
    for owner in (jane, ann):
        lifecycle.set_role(OPERATOR, owner, "owner")
    caller = personal_token_caller(control_plane, jane)
    links = control_plane.links.create(caller, [joe, una, jane])[:2]  # one is not for another user
    assert control_plane.links.count_made([jane]) == 2

    getattr(lifecycle, end)(OPERATOR, jane, *role, keep_links=keep)

    log = control_plane.audit_log.list(0, 10, newest_first=True)
    data = next(one.data for one in log if one.subject == jane)
    assert f'"links_{"kept" if keep else "ended"}":2' in data
    assert data.count("links_") == 1
    for link in links:
        with nullcontext() if keep else pytest.raises(LinkInvalid):
            control_plane.password_changes.link_account(secret_of(link))


def test_a_link_is_invalid_once_its_account_is_suspended_or_changes_its_role(
    control_plane: ControlPlane,
) -> None:
    (joe,) = ids(control_plane, "joe")
    (link,) = control_plane.links.create(OPERATOR, [joe])
    control_plane.lifecycle.suspend(OPERATOR, joe)
    control_plane.lifecycle.restore(OPERATOR, joe)
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(secret_of(link))
    (link,) = control_plane.links.create(OPERATOR, [joe])
    control_plane.lifecycle.set_role(OPERATOR, joe, "owner")
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(secret_of(link))


def test_links_are_returned_in_the_order_of_the_request(control_plane: ControlPlane) -> None:
    some = ids(control_plane, *"abcd")
    links = control_plane.links.create(OPERATOR, [some[2], some[0], some[3], some[0]])
    assert [link.user_id for link in links] == [some[2], some[0], some[3]]


def test_a_new_link_replaces_the_previous_one(control_plane: ControlPlane) -> None:
    jane = ids(control_plane, "jane")
    (first,), (second,) = (
        control_plane.links.create(OPERATOR, jane),
        control_plane.links.create(OPERATOR, jane),
    )
    message = "this link was used before, has expired, or was replaced by a newer one: ask for a"
    with pytest.raises(LinkInvalid, match=message):
        control_plane.password_changes.link_account(secret_of(first))
    control_plane.password_changes.link_account(secret_of(second))


def test_only_the_hash_of_a_link_is_stored(
    control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    (link,) = control_plane.links.create(OPERATOR, ids(control_plane, "jane"))
    secret = secret_of(link)
    with control_plane.store.read() as tx:
        row = tx.links.get(sha256(secret.encode()).digest())
        kept = execute_sql(tx, "select * from links").fetchall()
    assert row
    assert row.created_by == "local:test"
    assert row.expires_at - row.created_at == timedelta(days=7) / timedelta(milliseconds=1)
    assert from_milliseconds(row.expires_at) == link.expires_at
    for text in (kept, link, control_plane.audit_log.list(0, 100), caplog.text):
        assert secret not in str(text)
        assert secret not in repr(text)


def test_a_link_expires_after_the_configured_days(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    jane = ids(control_plane, "jane")
    with closing(with_other_settings(store_deployment, link_days=30)) as patient:
        (link,) = patient.links.create(OPERATOR, jane)
    with control_plane.store.read() as tx:
        now = from_milliseconds(tx.now())
    assert timedelta(days=29, hours=23) < link.expires_at - now < timedelta(days=30, seconds=1)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update links set expires_at = 1")
    with pytest.raises(LinkInvalid, match="has expired"):
        control_plane.password_changes.link_account(secret_of(link))


def test_each_account_finds_the_entry_of_its_link_without_an_email(
    control_plane: ControlPlane,
) -> None:
    first, second = (
        created(control_plane, checked_users("a", "b")),
        created(control_plane, checked_users("c")),
    )
    wanted = [user.user_id for user in (*first.users, *second.users)]
    links = control_plane.links.create(OPERATOR, wanted)
    until = int(links[0].expires_at.timestamp() * 1000)
    for user_id in wanted:
        only = AuditFilter(subject=user_id)
        (entry,) = control_plane.audit_log.list(0, 100, only=only)
        assert (entry.event, entry.actor) == ("links.created", "local:test")
        assert abs(msgspec.json.decode(entry.data)["expires_at"] - until) <= 1
    entries = control_plane.audit_log.list(0, 100)
    assert "@" not in str(entries)
    control_plane.links.create(OPERATOR, [])
    assert control_plane.audit_log.list(0, 100) == entries


def test_links_are_created_for_all_users_or_for_none(control_plane: ControlPlane) -> None:
    jane, joe, carl = ids(control_plane, "jane", "joe", "carl")
    control_plane.lifecycle.suspend(OPERATOR, joe)
    (before,) = control_plane.links.create(OPERATOR, [jane])
    noted = control_plane.audit_log.list(0, 100)
    with pytest.raises(LinkRefused, match=r"joe@example\.com is suspended: restore it first"):
        control_plane.links.create(OPERATOR, [jane, carl, joe])
    with pytest.raises(NotFound, match="there is no user usr_none"):
        control_plane.links.create(OPERATOR, [jane, carl, "usr_none"])
    with pytest.raises(TooLarge, match="at most 1,000 links"):
        control_plane.links.create(OPERATOR, [jane] * 1001)
    assert control_plane.audit_log.list(0, 100) == noted
    control_plane.password_changes.link_account(secret_of(before))


@pytest.mark.parametrize("which", ["inactive", "inactive and owners"])
def test_accounts_that_changed_since_are_skipped_also_if_none_is_left(
    deployment: Deployment, which: SkippedAccounts
) -> None:
    with closing(with_other_settings(deployment, mail=UNUSED_RELAY)) as control_plane:
        jane, joe, carl = ids(control_plane, "jane", "joe", "carl")
        control_plane.lifecycle.suspend(OPERATOR, joe)
        control_plane.lifecycle.set_role(OPERATOR, carl, "owner")
        before, left = control_plane.audit_log.list(0, 100), [joe, "usr_none"]
        assert control_plane.links.create(OPERATOR, left, skip=which) == []
        control_plane.links.mail(OPERATOR, left, skip=which)
        assert LINK not in {mail.kind for mail in mails(control_plane)}
        assert control_plane.audit_log.list(0, 100) == before
        links = control_plane.links.create(OPERATOR, [*left, carl, jane], skip=which)
        expected = [jane] if which == "inactive and owners" else [carl, jane]
        assert [link.user_id for link in links] == expected


def test_only_owners_may_create_links(control_plane: ControlPlane) -> None:
    jane = ids(control_plane, "jane")
    reader = token_caller(control_plane, "x", "reader")
    with pytest.raises(NotPermitted):
        control_plane.links.create(reader, jane)
    control_plane.tokens.revoke(OPERATOR, "x")
    with pytest.raises(NotAuthenticated):
        control_plane.links.create(reader, jane)


def test_no_links_are_created_without_a_public_url_or_with_sso_only(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    jane = ids(control_plane, "jane")
    noted = control_plane.audit_log.list(0, 100)
    with (
        closing(with_other_settings(store_deployment, public_url=None)) as nowhere,
        pytest.raises(ConfigError, match="ANYSCALE_PUBLIC_URL is not set"),
    ):
        nowhere.links.create(OPERATOR, jane)
    policy = msgspec.structs.replace(POLICY, sso_only=True)
    with (
        closing(with_other_settings(store_deployment, policy=policy)) as sso_only,
        pytest.raises(LinkRefused, match="everybody here signs in by SSO"),
    ):
        sso_only.links.create(OPERATOR, jane)
    assert control_plane.audit_log.list(0, 100) == noted


# Users without credentials


def test_users_without_credentials_are_listed_and_counted(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    users = [
        *checked_users("a", "b", "c"),
        msgspec.structs.replace(checked_users("sso")[0], is_sso_user=True),
        *checked_users("has", password=PASSWORD),
    ]
    batch = created(control_plane, users).batch
    neighbours = ids(control_plane, "z")
    found = control_plane.links.without_credentials(batch.batch_id, "", 2)
    found += control_plane.links.without_credentials(batch.batch_id, found[-1].user_id, 10)
    assert [user.email.partition("@")[0] for user in found] == ["a", "b", "c", "sso"]
    assert control_plane.batches.show(OPERATOR, batch.batch_id).without_credentials == 4
    assert neighbours[0] not in {user.user_id for user in found}

    (link,) = control_plane.links.create(OPERATOR, [found[0].user_id])
    assert (
        control_plane.batches.show(OPERATOR, batch.batch_id).without_credentials == 4
    )  # until it is used
    control_plane.password_changes.by_link(secret_of(link), PASSWORD, BROWSER)
    control_plane.lifecycle.suspend(OPERATOR, found[1].user_id)

    assert control_plane.batches.show(OPERATOR, batch.batch_id).without_credentials == 2
    provider = ProviderSettings(issuer="https://idp.example", client_id="x")
    with closing(with_other_settings(store_deployment, provider=provider)) as sso:
        assert sso.batches.show(OPERATOR, batch.batch_id).without_credentials == 1
        (left,) = sso.links.without_credentials(batch.batch_id, "", 10)
        assert left.email == "c@example.com"


@pytest.mark.parametrize(("issuer", "expected"), [("", 2), ("https://idp.example", 1)])
def test_the_call_that_publishes_a_batch_counts_them_as_showing_it_does(
    store_deployment: Deployment, issuer: str, expected: int
) -> None:
    users = checked_users("none", "sso") + checked_users("has", "both", password=PASSWORD)
    for at in (1, 3):
        users[at] = msgspec.structs.replace(users[at], is_sso_user=True)
    provider = ProviderSettings(issuer=issuer, client_id="x") if issuer else None
    with closing(with_other_settings(store_deployment, provider=provider)) as control_plane:
        batches = control_plane.batches
        batch_id = batches.open(OPERATOR, "key", "fail").batch_id
        size = batches.policy.chunk_users
        for number in range(2):
            batches.reserve(OPERATOR, batch_id, number, users[number * size :][:size])
        batches.hash(OPERATOR, batch_id, [(2, PASSWORD), (3, PASSWORD)])
        done = batches.publish(OPERATOR, batch_id, 4)
        assert (done.without_credentials, done.removed, done.remaining) == (expected, 0, 4)
        shown = batches.show(OPERATOR, batch_id)
        assert msgspec.structs.replace(shown, opened_by_caller=None) == done


def test_users_without_credentials_are_counted_for_published_batches_only(
    control_plane: ControlPlane,
) -> None:
    published = created(control_plane, checked_users("a")).batch
    opened = control_plane.batches.open(OPERATOR, "open", "fail")
    control_plane.batches.reserve(OPERATOR, opened.batch_id, 0, checked_users("b"))
    assert published.without_credentials is None
    listed = control_plane.batches.page(open_only=False, before="", limit=10)
    assert [batch.without_credentials for batch in listed] == [None, None]
    assert control_plane.batches.show(OPERATOR, opened.batch_id).without_credentials is None
    assert control_plane.links.without_credentials(opened.batch_id, "", 10) == []
    with pytest.raises(NotFound, match="there is no batch bat_none"):
        control_plane.links.without_credentials("bat_none", "", 10)


# Owners that the operator creates


def test_the_operator_creates_an_owner_or_promotes_a_user(control_plane: ControlPlane) -> None:
    first = control_plane.owners.create("boss@example.com", None, OPERATOR)
    assert not first.existed
    assert find_accounts(control_plane, name="boss", exact=True)[0].permission_level == "owner"
    (jane,) = ids(control_plane, "jane")

    second = control_plane.owners.create("JANE@example.com", "Other", OPERATOR)

    assert (second.existed, second.user_id) == (True, jane)
    (user,) = find_accounts(control_plane, email="jane@example.com", exact=True)
    assert (user.name, user.permission_level) == ("Jane", "owner")
    for owner in (first, second):
        assert owner.link
        signed_in = control_plane.password_changes.by_link(secret_of(owner.link), PASSWORD, BROWSER)
        assert signed_in.user_id == owner.user_id
    events = [entry.event for entry in control_plane.audit_log.list(0, 100)]
    assert events[:3] == ["account.created", "account.role_set", "links.created"]
    assert "boss@" not in str(control_plane.audit_log.list(0, 100))


def test_creating_an_owner_again_creates_another_link_only(control_plane: ControlPlane) -> None:
    control_plane.owners.create("boss@example.com", None, OPERATOR)
    noted = control_plane.audit_log.list(0, 100)[-1].number
    control_plane.owners.create("boss@example.com", None, OPERATOR)
    assert [entry.event for entry in control_plane.audit_log.list(noted, 100)] == ["links.created"]


def test_an_owner_gets_no_link_if_sso_is_the_only_method(
    store_deployment: Deployment,
) -> None:
    policy = msgspec.structs.replace(POLICY, sso_only=True)
    with closing(
        with_other_settings(store_deployment, policy=policy, public_url=None, batch_create=False)
    ) as control_plane:
        owner = control_plane.owners.create("boss@example.com", "Boss", OPERATOR)
        assert owner.link is None
        with control_plane.store.read() as tx:
            account = tx.accounts.get(owner.user_id)
    assert account
    assert (account.permission_level, account.is_sso_user) == ("owner", True)


def test_an_owner_that_cannot_be_created_is_refused_before_any_write(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    (jane,) = ids(control_plane, "jane")
    control_plane.lifecycle.suspend(OPERATOR, jane)
    before = store_deployment.all_rows()
    with pytest.raises(ConfigError, match="email: 'boss' is not an email address"):
        control_plane.owners.create("boss", None, OPERATOR)
    with pytest.raises(ConfigError, match="name: is blank"):
        control_plane.owners.create("boss@example.com", " ", OPERATOR)
    with pytest.raises(LinkRefused, match="suspended: restore it first"):
        control_plane.owners.create("jane@example.com", None, OPERATOR)
    with (
        closing(with_other_settings(store_deployment, public_url=None)) as nowhere,
        pytest.raises(ConfigError, match="ANYSCALE_PUBLIC_URL"),
    ):
        nowhere.owners.create("boss@example.com", None, OPERATOR)
    assert store_deployment.all_rows() == before
