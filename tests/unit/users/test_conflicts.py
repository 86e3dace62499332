"""Conflicts of emails: their problems, and which of them are skipped."""

from datetime import UTC, datetime
from functools import partial

import pytest

from anyscale.domain.conflicts import conflict_problems, is_skipped
from anyscale.domain.models.batches import Conflict


def test_each_kind_of_conflict_is_described() -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    reserved_email = partial(Conflict, kind="reserved", holder="bat_1")
    conflicts = [
        Conflict(position=0, email="a@x.org", kind="exists", user_id="usr_1"),
        Conflict(position=2, email="b@x.org", kind="duplicate", other=1),
        reserved_email(position=3, email="c@x.org", reserved_by="local:ann", reserved_since=since),
        reserved_email(position=4, email="d@x.org"),
        Conflict(position=5, email="e@x.org", kind="exists", external_id="0042"),
        Conflict(position=6, email="f@x.org", kind="duplicate", other=1, external_id="0042"),
        reserved_email(position=7, email="g@x.org", external_id="0042"),
    ]
    problems = conflict_problems(conflicts)
    reserved = "is reserved by the unfinished batch bat_1"
    opened = "which local:ann opened at 2026-01-02 03:04:05 UTC"
    mend = "let it end, or drop it by `anyscale batch drop`"
    assert [(p.index, p.field, p.code, p.detail) for p in problems] == [
        (0, "email", "email_exists", "'a@x.org' has an account already"),
        (2, "email", "email_duplicate", "'b@x.org' is also the email of create_users[1]"),
        (3, "email", "email_reserved", f"'c@x.org' {reserved}, {opened}: {mend}"),
        (4, "email", "email_reserved", f"'d@x.org' {reserved}: {mend}"),
        (
            *(5, "external_id", "external_id_exists"),
            (
                "'0042' has an account already: if the email of its user has changed, "
                "`anyscale user sync --correct` corrects the account"
            ),
        ),
        (
            *(6, "external_id", "external_id_duplicate"),
            "'0042' is also the external_id of create_users[1]",
        ),
        (7, "external_id", "external_id_reserved", f"'0042' {reserved}: {mend}"),
    ]


@pytest.mark.parametrize(
    ("if_exists", "kind", "skipped"),
    [
        ("skip", "exists", True),
        ("skip", "duplicate", False),
        ("skip", "reserved", False),
        ("fail", "exists", False),
    ],
)
def test_only_an_account_is_skipped_and_only_by_request(
    if_exists: str, kind: str, skipped: bool
) -> None:
    conflict = Conflict(position=0, email="a@x.org", kind=kind)
    assert is_skipped(conflict, if_exists) is skipped
