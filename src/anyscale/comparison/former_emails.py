"""Look up what a plan gives to accounts: a former email, or what an open batch has reserved."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import uuid4

from msgspec import structs

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.matched_users import CHUNK
from anyscale.domain.conflicts import conflict_detail
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.batches import Conflict
from anyscale.domain.models.sync import SyncStep
from anyscale.domain.validation import CheckedUser

#: How the email of an account before can be given to another all the same.
REUSE_FOR_ACCOUNT: Final = (
    "to give it to the account at once, use `anyscale user update` with `--reuse-email`"
)


def former_holders(
    transport: ComparisonCalls, users: Sequence[CheckedUser]
) -> dict[str, CheckedUser]:
    """Return the users whose emails accounts had until a short time ago, by the `user_id`."""
    found = _look_up(transport, [_with_email(user.email) for user in users])
    return {one.user_id: users[at] for at, one in found if one.kind == "freed" and one.user_id}


def refused_emails(transport: ComparisonCalls, corrections: Sequence[SyncStep]) -> dict[str, str]:
    """Return why accounts cannot get the emails of corrections yet, by the `user_id`."""
    users = [_with_email(str(step.changes.email)) for step in corrections if step.changes]
    refused: dict[str, str] = {}
    for at, one in _look_up(transport, users):
        user_id = corrections[at].user_id or ""
        if one.kind == "reserved" or (one.kind == "freed" and one.user_id != user_id):
            refused[user_id] = conflict_detail(one, REUSE_FOR_ACCOUNT)
    return refused


def refused_numbers(transport: ComparisonCalls, corrections: Sequence[SyncStep]) -> dict[str, str]:
    """Return why accounts cannot get the external ids of corrections yet, by the `user_id`."""
    users = [_with_number(str(step.changes.external_id)) for step in corrections if step.changes]
    return {
        corrections[at].user_id or "": conflict_detail(one)
        for at, one in _look_up(transport, users)
        if one.kind == "reserved"
    }


def _look_up(
    transport: ComparisonCalls, users: Sequence[CheckedUser]
) -> Iterator[tuple[int, Conflict]]:
    """Iterate over the conflicts of users, each with the position of its user."""
    for start in range(0, len(users), CHUNK):
        for one in transport.batches.look_up(users[start : start + CHUNK], 0):
            yield start + one.position, one


def _with_number(number: str) -> CheckedUser:
    # With an unused email: a conflict of the own email would hide that of the number.
    return structs.replace(_with_email(f"{uuid4().hex}@number.invalid"), external_id=number)


def _with_email(email: str) -> CheckedUser:
    # An entry need not have a name, and its number is that of the account itself. Where everybody
    # signs in by SSO, the control plane looks up nobody else.
    return CheckedUser(name="-", email=email, is_sso_user=True, email_key=email_key_or_empty(email))
