"""Who is who: which account a user of a file means, and when that is in doubt."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from anyscale.domain.emails import email_key
from anyscale.domain.matching import (
    Match,
    compare_names,
    depends_on_file,
    doubt_of,
    has_other_email,
    match,
)
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser

Entry = TypeVar("Entry", User, CheckedUser)

#: what an entry has of a column that its file lacks
ABSENT: Any = UNSET

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
def test_without_a_conflict_the_file_can_be_applied_and_then_matches_again(world: World) -> None:
    if any(one.conflict for one in world.matches()):
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
def test_an_account_that_has_the_external_id_is_the_match_or_in_conflict(world: World) -> None:
    by_number = {one.external_id: one for one in world.accounts}
    for user, found in zip(world.file, world.matches(), strict=True):
        if user.external_id and (owned := by_number.get(user.external_id)):
            assert found.account == owned or found.conflict
        elif found.account:
            assert found.account.email == user.email
        assert not (found.account and found.conflict)


@given(worlds)
def test_without_a_doubt_a_number_or_an_email_and_a_name_say_that_it_is_the_same_person(
    world: World,
) -> None:
    for user, one in world.pairs():
        if doubt_of(user, one):
            continue
        is_same_number = bool(user.external_id) and user.external_id == one.external_id
        assert is_same_number or not (user.external_id and one.external_id)
        if has_other_email(user, one):
            assert is_same_number
            assert user.name == one.name or (user.lastname and user.lastname == one.lastname)
        elif not is_same_number:
            assert user.name == one.name or user.lastname == one.lastname


@given(worlds, st.sampled_from([None, UNSET]))
def test_a_file_without_external_ids_is_matched_by_emails(world: World, missing: None) -> None:
    file = [structs.replace(user, external_id=missing) for user in world.file]
    by_email = {one.email: one for one in world.accounts}
    found = world._replace(file=file).matches()
    assert [one.account for one in found] == [by_email.get(user.email) for user in file]
    assert not any(one.conflict for one in found)


@given(worlds)
def test_a_match_that_does_not_depend_on_the_file_is_the_same_in_any_file(world: World) -> None:
    by_email = {one.email: one for one in world.accounts}
    whole = world.matches()
    for at, user in enumerate(world.file):
        if not depends_on_file(user, by_email.get(user.email)):
            (alone,) = world._replace(file=[user]).matches()
            assert alone == whole[at]


@pytest.mark.parametrize(
    ("file", "are_left"),
    [
        # a column of numbers that was sorted by itself
        ([row("b", "1", "Jane", "Roe"), row("a", "2", "Jane", "Doe")], True),
        ([row("b", "1", "Jane Roe"), row("a", "2", "JANE", "doe ")], True),
        # emails that were exchanged, and a name that was changed at the same time
        ([row("b", "1", "Jane", "Doe"), row("a", "2", "Jane", "Roe")], False),
        ([row("b", "1", "Jane", "Poe"), row("a", "2", "Jane", "Roe")], False),
    ],
)
def test_the_number_of_one_account_with_all_else_of_another_one_is_in_conflict(
    file: Sequence[CheckedUser], are_left: bool
) -> None:
    accounts = [account("a", "1", "Jane", "Doe"), account("b", "2", "Jane", "Roe")]
    found = World(accounts, file).matches()
    assert [bool(one.conflict) for one in found] == [are_left, are_left]
    for conflict in (one.conflict for one in found if one.conflict):
        assert {one.user_id for one in conflict.accounts} == {"usr_a", "usr_b"}
        assert "is the number in the wrong row?" in conflict.detail


def test_a_conflict_names_both_people_and_the_ways_out() -> None:
    accounts = [account("a", "1"), account("b", last="Roe")]
    (found,) = World(accounts, [row("b", "1")]).matches()
    assert found.conflict
    assert found.conflict.accounts == tuple(accounts)
    assert found.conflict.detail == (
        "'1' is the external_id of Jane (a@x.org), and 'b@x.org' is the email of Jane Roe "
        "(b@x.org): correct one of the two, or give that account another email in the "
        "same file, by its external_id"
    )


#: the account `1, Jane Doe, a@x.org`, or one that a sync suspended or that has no number
JANE = account("a", "1", "Jane", "Doe")
GONE = structs.replace(JANE, suspended_at=NOW, suspended_by_sync=True)
LOST_GONE = structs.replace(GONE, name="????", lastname="????")
UNNUMBERED = structs.replace(JANE, external_id=None)
UNNUMBERED_GONE = structs.replace(GONE, external_id=None)


@pytest.mark.parametrize(
    ("known", "user", "kind"),
    [
        # the same number
        (JANE, row("a", "1", "Bob", "Roe"), None),
        (JANE, row("z", "1", "Jane", "Roe"), None),
        (JANE, row("z", "1", "Bob", "Doe"), None),
        (JANE, row("z", "1", "Jane Roe"), None),
        (JANE, row("z", "1", "Bob", "Roe"), "other_person"),
        (JANE, row("z", "1", "Doe", "Jane"), "other_person"),
        (JANE, row("z", "1", ABSENT, ABSENT), "other_person"),
        (JANE, row("z", "1", "J\u0430n\u0435", "D\u043e\u0435"), "other_person"),
        (JANE, row("z", "1", "Ja\u200bne", "Do\u200de"), "other_person"),
        (JANE, row("z", "1", "Jane Doe", "Roe"), "other_person"),
        (JANE, row("z", "1", "Doe Jane"), "other_person"),
        (JANE, row("z", "1", "Jane-Ann", "Doe-Roe"), "other_person"),
        (account("a", "1", "Jane"), row("z", "1", "Bob", "Jane"), "other_person"),
        # another number
        (JANE, row("a", "9", "JANE", "doe "), "renumbered"),
        (JANE, row("a", "9", "Jane Doe"), "renumbered"),
        (JANE, row("a", "01", "Jane", "Doe"), "renumbered"),
        (JANE, row("a", "9", "Jane", "Roe"), "other_person"),
        (JANE, row("a", "9", "Bob", "Doe"), "other_person"),
        (JANE, row("a", "01", "Bob", "Doe"), "other_person"),
        (JANE, row("a", "\uff11", "Jane", "Roe"), "other_person"),
        (JANE, row("a", "1.0", "Jane", "Roe"), "other_person"),
        (JANE, row("a", "-", "Bob", "Doe"), "other_person"),
        (JANE, row("A", "9", "Doe", "Jane"), "other_person"),
        (JANE, row("a", "9", ABSENT, ABSENT), "other_person"),
        (GONE, row("a", "9", "Jane", "Doe"), "returned"),
        # a number on one side at most
        (UNNUMBERED, row("a", "9", "Jane", "Roe"), None),
        (UNNUMBERED, row("a", "9", "Bob", "Roe"), "other_person"),
        (UNNUMBERED, row("a", None, "Bob", "Doe"), None),
        (UNNUMBERED, row("a", None, "Bob", "Roe"), "other_person"),
        (UNNUMBERED, row("a", None, "Bob Roe"), "other_person"),
        (UNNUMBERED, row("a", None, "Bob", ABSENT), None),
        (UNNUMBERED, row("a", None, ABSENT, "Roe"), None),
        (UNNUMBERED, row("a", None, ABSENT, ABSENT), None),
        (JANE, row("a", None, "Bob", "Roe"), "other_person"),
        # nothing of the former name would be left
        (account("a", name="Jane"), row("a", "9", "Bob"), "other_person"),
        (account("a", name="Jane"), row("a", None, "Bob", ABSENT), "other_person"),
        (account("a", name="Jane"), row("a", None, "Bob Roe", ABSENT), "other_person"),
        (account("a", name="Jane Doe"), row("a", None, "Bob", ABSENT), "other_person"),
        (account("a", name="Jane"), row("a", None, "jane", "Roe"), None),
        # a name of which most letters are lost is evidence for nothing
        (account("a", "1", "????", "????"), row("a", "9", "????", "????"), "other_person"),
        (account("a", "1", "Ann", "D?e"), row("a", "9", "Ann", "D?e"), "renumbered"),
        (account("a", "1", "????", "????"), row("a", "1", "????", "????"), None),
        (account("a", "1", "????", "????"), row("a", "1", "Jane", "Doe"), None),
        (account("a", "1", "????", "????"), row("z", "1", "Jane", "Doe"), "other_person"),
        (account("a", "1", "????", "Doe"), row("z", "1", "Jane", "Roe"), "other_person"),
        (account("a", "1", "J?ne", "Doe"), row("z", "1", "Jane", "Roe"), None),
        (LOST_GONE, row("a", "1", "????", "????"), "returned"),
        (LOST_GONE, row("a", "1", "J???", "D???"), "returned"),
        # people who are back
        (GONE, row("a", "1", "Jane", "Doe"), None),
        (GONE, row("a", "1", "Jane Doe"), None),
        (GONE, row("A", "1", "\uff2aane ", " DOE"), None),
        (GONE, row("a", "01", "Jane", "Doe"), "returned"),
        (GONE, row("a", "1", "Doe", "Jane"), "returned"),
        (GONE, row("a", "1", "Jane", ABSENT), "returned"),
        (GONE, row("z", "1", "Jane", "Doe"), "returned"),
        (GONE, row("a", "1", "Jane", "Roe"), "returned"),
        (GONE, row("a", "1", ABSENT, ABSENT), "returned"),
        (GONE, row("a", None, "Jane", "Doe"), "returned"),
        (UNNUMBERED_GONE, row("a", None, "Jane", "Doe"), None),
        (UNNUMBERED_GONE, row("a", None, "Jane", "Roe"), "returned"),
        (UNNUMBERED_GONE, row("a", None, "Jane", ABSENT), "returned"),
        (UNNUMBERED_GONE, row("a", "9", "Jane", "Doe"), "returned"),
    ],
)
def test_what_is_in_doubt(known: User, user: CheckedUser, kind: str | None) -> None:
    doubt = doubt_of(user, known)
    assert (doubt and doubt.kind) == kind


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        (("Jane", "Doe"), ("JANE", "Roe"), "similar"),
        (("Jane", "Müller"), ("Ann", "Mu\u0308ller "), "similar"),
        (("Jane", "Doe"), ("Doe", "Jane"), "other"),
        (("Jane", None), ("Bob", None), "other"),
        (("Jane", None), ("Jane", None), "same"),
        (("Jane Doe", None), ("Jane", "Doe"), "same"),
        (("Anna Maria Doe", None), ("Anna Maria", "Roe"), "similar"),
        (("Łukasz", "Wójcik"), ("?ukasz", "W?jcik"), "same"),
        ((ABSENT, "Doe"), ("Bob", "Doe"), "similar"),
        ((ABSENT, ABSENT), ("Bob", "Doe"), "unknown"),
    ],
)
def test_names_are_compared_also_in_one_column(
    ours: tuple[str, str | None], theirs: tuple[str, str | None], result: str
) -> None:
    assert compare_names(row("a", "1", *ours), account("a", "1", *theirs)) == result
