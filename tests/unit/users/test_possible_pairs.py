"""People of a plan who may be one person with another name and another email."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from anyscale.comparison.possible_pairs import possible_pairs
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_planner import Planner
from anyscale.domain.emails import email_key
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser


def entry(email: str, **fields: Any) -> CheckedUser:
    unset: dict[str, Any] = dict.fromkeys(("title", "external_id", "is_sso_user"), UNSET)
    return CheckedUser(email=email, email_key=email_key(email), **{**unset, **fields})


def account(email: str, **fields: Any) -> User:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known = {"permission_level": "collaborator", "created_at": at, **fields}
    return User(email=email, user_id=f"usr_{email}", **known)


def pairs_of(entries: Sequence[CheckedUser], accounts: Sequence[User]) -> list[tuple[str, str]]:
    """Return the emails of the pairs of a plan in which no entry has an account."""
    planner = Planner(SyncOptions())
    planner.add_entries([(at, one, None) for at, one in enumerate(entries)])
    planner.end_entries()
    for one in accounts:
        planner.add_missing(one)
    plan = planner.plan(len(accounts))
    return [(pair.create.email, pair.suspend.email) for pair in possible_pairs(plan)]


ANN = {"name": "Ann", "lastname": "Lee"}


@pytest.mark.parametrize(
    ("email", "fields", "is_possible"),
    [
        ("ann.roe@x.org", {"name": "ANN", "lastname": "Roe"}, True),
        ("a.lee@x.org", {"name": "Anna", "lastname": "Lee"}, True),
        ("Ann.Lee@y.org", {"name": "A.", "lastname": "Roe"}, True),
        ("eve.roe@x.org", {"name": "Eve", "lastname": "Roe"}, False),
        ("ann.roe@x.org", {"name": "Ann", "lastname": "Roe", "external_id": "2"}, False),
        ("ann.le@x.org", ANN, False),  # a question already, which stops the sync
    ],
)
def test_a_common_name_or_the_same_beginning_of_the_email_is_a_hint(
    email: str, fields: dict[str, str], is_possible: bool
) -> None:
    leaver = account("ann.lee@x.org", **ANN, external_id="1")
    expected = [(email, "ann.lee@x.org")] if is_possible else []
    assert pairs_of([entry(email, **fields)], [leaver]) == expected


def test_a_large_plan_has_no_hints() -> None:
    new = [entry(f"new{at}@x.org", name="Ann", lastname=f"New{at}") for at in range(21)]
    left = [account(f"old{at}@x.org", name="Ann", lastname=f"Old{at}") for at in range(10)]
    assert len(pairs_of(new[:20], left)) == 200
    assert pairs_of(new, left) == []
