"""Whose account a user of a file has, as rules about any accounts and any file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from anyscale.domain.emails import email_key
from anyscale.domain.matching import Match, depends_on_file, has_other_email, is_other_name, match
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser

Entry = TypeVar("Entry", User, CheckedUser)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def account(
    email: str,
    number: str | None = None,
    name: str = "Jane",
    last: str | None = None,
    **fields: str,
) -> User:
    suspended = NOW if fields.get("suspended") else None
    role = fields.get("role", "collaborator")
    return User(
        *(f"{email}@x.org", name, NOW, role, f"usr_{email}", suspended, last),
        external_id=number,
    )


def row(
    email: str, number: str | None = None, name: str = "Jane", last: str | None = None
) -> CheckedUser:
    address = f"{email}@x.org"
    return CheckedUser(
        name, address, lastname=last, external_id=number, email_key=email_key(address)
    )


class World(NamedTuple):
    """Accounts and a file."""

    accounts: Sequence[User]
    file: Sequence[CheckedUser]
    same_person: frozenset[str] = frozenset()

    def matches(self) -> list[Match]:
        by_number = {one.external_id: one for one in self.accounts if one.external_id}
        by_email = {one.email: one for one in self.accounts}
        numbers = {one.external_id for one in self.file if one.external_id}

        def is_in_file(number: str) -> bool:
            return number in numbers

        return [
            match(
                user,
                by_number.get(user.external_id or ""),
                by_email.get(user.email),
                is_in_file=is_in_file,
                same_person=self.same_person,
            )
            for user in self.file
        ]

    def pairs(self) -> list[tuple[CheckedUser, User]]:
        return [
            (user, one.account)
            for user, one in zip(self.file, self.matches(), strict=True)
            if one.account
        ]

    def applied(self) -> "World":
        """The accounts after the corrections that a file may make, and the same file."""
        changed = {
            one.user_id: structs.replace(
                one, email=user.email, external_id=user.external_id or one.external_id
            )
            for user, one in self.pairs()
            if one.permission_level != "owner"
        }
        accounts = [changed.get(one.user_id, one) for one in self.accounts]
        return self._replace(accounts=accounts)


_emails = st.sampled_from("abcdef")
_numbers = st.none() | st.sampled_from("12345")
_names = st.sampled_from(["Jane", "Bob"])
_lasts = st.none() | st.sampled_from(["Doe", "Roe"])


def unique(one: st.SearchStrategy[Entry]) -> st.SearchStrategy[list[Entry]]:
    key = (lambda found: found.email), (lambda found: found.external_id or found.email)
    return st.lists(one, max_size=5, unique_by=key)


worlds = st.builds(
    World,
    unique(
        st.builds(
            account,
            *(_emails, _numbers, _names, _lasts),
            suspended=st.sampled_from(["", "", "", "yes"]),
            role=st.sampled_from(["collaborator", "collaborator", "owner"]),
        )
    ),
    unique(st.builds(row, _emails, _numbers, _names, _lasts)),
    st.frozensets(st.sampled_from("12345"), max_size=2),
)


@given(worlds)
@example(World([account("a", "1"), account("b", "2")], [row("b", "1"), row("a", "2")]))
@example(
    World([account("a", "1"), account("b", "2", role="owner")], [row("b", "1"), row("a", "2")])
)
def test_no_two_users_have_the_same_account(world: World) -> None:
    ids = [one.user_id for _, one in world.pairs()]
    assert len(set(ids)) == len(ids)


@given(worlds)
@example(World([account("a", "1"), account("b", "2")], [row("b", "1"), row("a", "2")]))
@example(
    World(
        [account("a", "1"), account("b", "2"), account("c", "3")],
        [row("b", "1"), row("c", "2"), row("d", "3"), row("a", "4")],
    )
)
@example(World([account("a", "1", role="owner")], [row("b", "1"), row("a", "2")]))
def test_without_a_fault_the_file_can_be_applied_and_then_matches_again(world: World) -> None:
    if any(one.fault for one in world.matches()):
        return
    after = world.applied()
    emails = [one.email for one in after.accounts]
    numbers = [one.external_id for one in after.accounts if one.external_id]
    assert len(set(emails)) == len(emails)
    assert len(set(numbers)) == len(numbers)
    # Nobody who has no account yet has the email of an account.
    new = [
        user.email for user, one in zip(world.file, world.matches(), strict=True) if not one.account
    ]
    assert not set(new) & set(emails)

    again = after.pairs()
    assert [(user, one.user_id) for user, one in again] == [
        (user, one.user_id) for user, one in world.pairs()
    ]
    assert not any(
        has_other_email(user, one) for user, one in again if one.permission_level != "owner"
    )


@given(worlds)
def test_an_account_that_has_the_external_id_is_the_match_or_a_fault(world: World) -> None:
    by_number = {one.external_id: one for one in world.accounts}
    for user, found in zip(world.file, world.matches(), strict=True):
        if user.external_id and (owned := by_number.get(user.external_id)):
            assert found.account == owned or found.fault
        elif found.account:
            assert found.account.email == user.email
        assert not (found.account and found.fault)


@given(worlds)
def test_by_number_alone_nobody_gets_the_account_of_another_person(world: World) -> None:
    for user, one in world.pairs():
        if has_other_email(user, one) and user.external_id not in world.same_person:
            assert one.suspended_at is None
            assert not is_other_name(user, one)


@given(worlds, st.sampled_from([None, UNSET]))
def test_a_file_without_external_ids_is_matched_by_emails(world: World, missing: None) -> None:
    file = [structs.replace(user, external_id=missing) for user in world.file]
    by_email = {one.email: one for one in world.accounts}
    found = world._replace(file=file).matches()
    assert [one.account for one in found] == [by_email.get(user.email) for user in file]
    assert not any(one.fault for one in found)


@given(worlds)
def test_a_match_that_does_not_depend_on_the_file_is_the_same_in_any_file(world: World) -> None:
    by_email = {one.email: one for one in world.accounts}
    whole = world.matches()
    for at, user in enumerate(world.file):
        if not depends_on_file(user, by_email.get(user.email)):
            (alone,) = world._replace(file=[user]).matches()
            assert alone == whole[at]


@pytest.mark.parametrize(
    ("accounts", "file", "detail"),
    [
        (
            [account("a", "1"), account("b", last="Roe")],
            row("b", "1"),
            (
                "'1' is the external_id of Jane (a@x.org), and 'b@x.org' is the email of Jane Roe "
                "(b@x.org): correct one of the two, or give that account another email in the "
                "same file, by its external_id"
            ),
        ),
        (
            [account("a", "1", "Bob", "Doe")],
            row("b", "1", "Jane"),
            (
                "'1' is the external_id of Bob Doe (a@x.org), and no name is the same: if it is "
                "the same person, say `--same-person 1`; if not, remove it from that account first"
            ),
        ),
        (
            [account("a", "1", suspended="yes")],
            row("b", "1"),
            (
                "'1' is the external_id of Jane (a@x.org), whose account is suspended: if it is "
                "the same person, say `--same-person 1`; if not, remove it from that account first"
            ),
        ),
        (
            [account("a", "1", "Bob")],
            row("a", "2", "Jane"),
            (
                "'a@x.org' is the email of Bob (a@x.org), whose external_id is '1', and no name "
                "is the same: if it is the same person, say `--same-person 2`; if not, remove it "
                "from that account first"
            ),
        ),
    ],
)
def test_a_fault_names_both_people_and_the_ways_out(
    accounts: Sequence[User], file: CheckedUser, detail: str
) -> None:
    (found,) = World(accounts, [file]).matches()
    assert found.fault
    assert found.fault.detail == detail
    if "--same-person" in detail:
        assert file.external_id
        (confirmed,) = World(accounts, [file], frozenset([file.external_id])).matches()
        assert confirmed == Match(accounts[0])


@pytest.mark.parametrize(
    ("ours", "theirs", "is_other"),
    [
        (("Jane", "Doe"), ("JANE", "Roe"), False),
        (("Jane", "Müller"), ("Ann", "Mu\u0308ller "), False),
        (("Jane", "Doe"), ("Doe", "Jane"), True),
        (("Jane", None), ("Bob", None), True),
        ((UNSET, UNSET), ("Bob", "Doe"), True),
    ],
)
def test_a_person_is_known_by_the_first_or_the_last_name(
    ours: tuple[str, str | None], theirs: tuple[str, str | None], is_other: bool
) -> None:
    assert is_other_name(row("a", "1", *ours), account("a", "1", *theirs)) is is_other
