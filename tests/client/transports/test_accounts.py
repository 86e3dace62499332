"""Changes of accounts by every transport."""

import json
from contextlib import closing

import pytest
from msgspec import structs
from tests.client.transports.steps import accounts
from tests.store.contract.factors import app_row
from tests.support.servers.control_planes import Deployment
from tests.support.users import (
    checked_users,
    list_accounts,
)

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.users import ExpectedUser, UserChanges
from anyscale.errors import (
    AccountEdited,
    BatchRefused,
    ConfigError,
    EmailFreed,
    EmailTaken,
    LastOwner,
    LinkRefused,
    NotFound,
    OwnerKept,
)
from anyscale.transport.base import Transport
from anyscale.transport.http.transport import HttpTransport


def test_an_account_is_suspended_restored_promoted_and_deleted(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane", "joe"), "fail")
    jane, joe = (user.user_id for user in list_accounts(transport))
    for _ in range(2):  # repeating a call changes nothing more
        for user_id in (jane, joe):
            transport.users.set_role(user_id, "owner")
        transport.users.suspend(jane)
        with pytest.raises(LastOwner, match="make another user an owner first"):
            transport.users.suspend(joe)
        with pytest.raises(OwnerKept, match="change the role first"):
            transport.users.suspend(joe, keep_owner=True)
        with pytest.raises(LinkRefused, match="restore it first"):
            transport.links.create([jane])
        with pytest.raises(OwnerKept, match="change the role first"):
            transport.users.restore(jane, keep_owner=True)
        transport.users.suspend(jane, keep_owner=True)  # it is in that state already
        transport.users.restore(jane)
        transport.users.restore(jane, keep_owner=True)
    levels = [user.permission_level for user in list_accounts(transport, name="Jane", exact=True)]
    assert levels == ["owner", "owner"]
    transport.users.set_role(jane, "collaborator")
    transport.users.delete(jane)
    assert accounts(transport) == ["joe@example.com"]
    for call in (transport.users.suspend, transport.users.restore, transport.users.delete):
        with pytest.raises(NotFound, match=f"there is no user {jane}"):
            call(jane)
    with pytest.raises(NotFound):
        transport.users.set_role("usr_/../none?x", "owner")
    events = [entry.event for entry in transport.audit.list(0, 100) if entry.subject == jane]
    assert events == [
        *["account.role_set"],
        *["account.suspended", "account.restored"] * 2,
        *["account.role_set", "account.deleted"],
    ]


def test_lost_second_factors_are_removed_and_those_of_an_owner_only_by_the_operator(
    transport: Transport, deployment: Deployment
) -> None:
    transport.batches.create("key", checked_users("ann", "boss"), "fail")
    ann, boss = (user.user_id for user in list_accounts(transport))
    transport.users.set_role(boss, "owner")
    with closing(deployment.control_plane()) as own, own.store.write() as tx:
        for number, user_id in enumerate([ann, ann, boss]):
            assert tx.factors.add(app_row(number, user_id))
    assert list_accounts(transport, without_second_factor=True) == []
    assert list_accounts(transport, search="ann", without_second_factor=True) == []
    assert transport.users.reset_second_factor(ann, "lost phone") == 2
    assert transport.users.reset_second_factor(ann, "lost phone") == 0
    assert [one.user_id for one in list_accounts(transport, without_second_factor=True)] == [ann]
    if isinstance(transport, HttpTransport):
        with pytest.raises(OwnerKept, match="`anyscale server reset-second-factor boss@exam"):
            transport.users.reset_second_factor(boss, "lost phone")
    else:
        assert transport.users.reset_second_factor(boss, "lost phone") == 1
    removed = [one for one in transport.audit.list(0, 99) if one.event == "factor.removed"]
    assert removed[0].subject == ann


def test_a_sync_restores_only_what_a_sync_has_suspended(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane"), "fail")
    (jane,) = (user.user_id for user in list_accounts(transport))
    with pytest.raises(AccountEdited, match="another email was expected"):
        transport.users.suspend(jane, by_sync=True, expected=ExpectedUser(email="joe@example.com"))
    transport.users.suspend(jane, by_sync=True, expected=ExpectedUser(email="jane@example.com"))
    assert [user.suspended_by_sync for user in list_accounts(transport)] == [True]
    transport.users.restore(jane, by_sync=True)
    transport.users.suspend(jane)
    with pytest.raises(AccountEdited, match="manually since"):
        transport.users.restore(jane, by_sync=True)


def test_an_account_is_updated_and_every_field_of_it_is_listed(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane", "joe"), "fail")
    jane, joe = list_accounts(transport)
    changes = UserChanges(name="Jané", lastname="Doe", title="", is_sso_user=True)
    for _ in range(2):  # repeating a call changes nothing more
        updated = transport.users.update(jane.user_id, changes)
        expected = structs.replace(jane, **changes.to_dict())
        assert (updated.user, updated.has_password) == (expected, False)
    assert list_accounts(transport, email="jane@example.com", exact=True) == [expected]
    assert list_accounts(transport, name="Jané", exact=True) == [expected]
    assert list_accounts(transport, name="JANÉ") == [expected]
    assert list_accounts(transport, email="joe@example.com", exact=True) == [joe]
    cleared = transport.users.update(jane.user_id, UserChanges(lastname=None)).user
    assert (cleared.lastname, cleared.title) == (None, "")
    with pytest.raises(ConfigError, match="name: is blank"):
        transport.users.update(jane.user_id, UserChanges(name=" "))
    with pytest.raises(ConfigError, match="there is nothing to change"):
        transport.users.update(jane.user_id, UserChanges())
    with pytest.raises(NotFound, match="there is no user usr_none"):
        transport.users.update("usr_none", changes)
    entries = [one for one in transport.audit.list(0, 100) if one.event == "account.updated"]
    assert [json.loads(entry.data)["fields"] for entry in entries] == [
        ["is_sso_user", "lastname", "name", "title"],
        ["lastname"],
    ]


def test_a_field_that_somebody_has_edited_since_is_not_overwritten(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane"), "fail")
    (jane,) = list_accounts(transport)
    seen = ExpectedUser(name=jane.name, title=jane.title)
    transport.users.update(jane.user_id, UserChanges(title="CTO", lastname="Doe"))

    with pytest.raises(AccountEdited, match="edited the account since: another title was expected"):
        transport.users.update(jane.user_id, UserChanges(title="CEO", name="J"), seen)
    (edited,) = list_accounts(transport)
    assert (edited.name, edited.title) == (jane.name, "CTO")
    for _ in range(2):  # a repeated call finds its own value
        transport.users.update(jane.user_id, UserChanges(title="CTO", name="J"), seen)
    (changed,) = list_accounts(transport)
    assert (changed.name, changed.title, changed.lastname) == ("J", "CTO", "Doe")
    entries = [one for one in transport.audit.list(0, 100) if one.event == "account.updated"]
    assert [json.loads(one.data)["fields"] for one in entries] == [["lastname", "title"], ["name"]]


def test_an_account_gets_another_email(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane", "joe"), "fail")
    jane, joe = list_accounts(transport)
    roe = "Roe@example.com"
    changes = UserChanges(email=roe, title="CTO")
    for _ in range(2):  # repeating a call changes nothing more
        updated = transport.users.update(jane.user_id, changes).user
        assert updated == structs.replace(jane, email="Roe@example.com", title="CTO")
    gone, found = transport.users.find(["jane@example.com", "roe@example.com"])
    assert gone is None
    assert found
    assert found.to_dict() == updated.to_dict()
    with pytest.raises(EmailTaken, match=r"'roe@example\.com' has an account already") as taken:
        transport.users.update(joe.user_id, UserChanges(email="roe@example.com"))
    assert type(taken.value) is EmailTaken
    old = UserChanges(email="jane@example.com")
    with pytest.raises(EmailFreed, match=r"no other account gets it before .* use `--reuse-email`"):
        transport.users.update(joe.user_id, old)
    assert transport.users.update(joe.user_id, old, reuse_email=True).user.email == old.email
    with pytest.raises(ConfigError, match="email: 'foo' is not an email address"):
        transport.users.update(jane.user_id, UserChanges(email="foo"))
    with pytest.raises(AccountEdited):
        transport.users.update(
            jane.user_id, UserChanges(email="a@example.com"), ExpectedUser(email="x@b.org")
        )
    entries = [one for one in transport.audit.list(0, 100) if one.event == "account.email_changed"]
    assert [json.loads(entry.data)["old_email"] for entry in entries] == [jane.email, joe.email]
    for email, user in (("JANE@example.com", joe), ("joe@example.com", joe), (roe, jane)):
        found_entries = transport.audit.list(0, 100, only=AuditFilter(subject=email))
        assert [one.subject for one in found_entries] == [user.user_id] * len(found_entries)
        assert found_entries
    with pytest.raises(NotFound, match=r"there is no account eve@example\.com"):
        transport.audit.list(0, 100, only=AuditFilter(subject="eve@example.com"))


def test_a_batch_reports_a_freed_email(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane"), "fail")
    (jane,) = list_accounts(transport)
    transport.users.update(jane.user_id, UserChanges(email="roe@example.com"))
    (conflict,) = transport.batches.look_up(checked_users("jane"), 0)
    assert (conflict.kind, conflict.freed_at is not None) == ("freed", True)
    with pytest.raises(BatchRefused) as refused:
        transport.batches.create("again", checked_users("jane"), "skip")
    assert [problem.code for problem in refused.value.problems] == ["email_freed"]
    assert not refused.value.input_is_at_fault


def test_links_are_created_for_users_without_credentials(transport: Transport) -> None:
    batch = transport.batches.create("key", checked_users("b", "a"), "fail").batch.batch_id
    first = transport.links.without_credentials(batch, "", 1)
    found = [*first, *transport.links.without_credentials(batch, first[-1].user_id, 10)]
    assert [user.email for user in found] == ["b@example.com", "a@example.com"]

    links = transport.links.create([user.user_id for user in found])

    assert [link.email for link in links] == ["b@example.com", "a@example.com"]
    assert all(
        link.url.startswith("https://accounts.example.com/set-password#mrl_") for link in links
    )
    assert transport.links.create([]) == []
    assert [entry.event for entry in transport.audit.list(0, 100)].count("links.created") == 2
    with pytest.raises(NotFound):
        transport.links.create(["usr_0"])
