"""The `sub` of users that come from an export: no two accounts have one.

docs/decisions/0035-export.md has the reasons.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import structs

from anyscale.domain.models.batches import Conflict
from anyscale.domain.validation import CheckedUser
from anyscale.server.store.records.batches import DROPPED_OR_EXPIRED
from anyscale.server.store.records.users import SubjectHolder
from anyscale.server.store.transaction import Transaction


def find_subjects(
    tx: Transaction, users: Sequence[CheckedUser], own_ids: Sequence[str] = ()
) -> Sequence[SubjectHolder]:
    """Return the rows, but those with own ids, that have the `sub` of one of the users."""
    subjects = [user.sub for user in users if user.sub]
    if not subjects:
        return []
    own = set(own_ids)
    return [one for one in tx.exports.subject_holders(subjects) if one.user_id not in own]


def clear_obsolete_subjects(tx: Transaction, found: Sequence[SubjectHolder]) -> None:
    """Free the subjects of dropped and expired batches."""
    if obsolete := [one.user_id for one in found if one.state in DROPPED_OR_EXPIRED]:
        tx.exports.clear_subjects(obsolete)


def subject_conflicts(
    batch_id: str, users: Sequence[CheckedUser], found: Sequence[SubjectHolder], first: int
) -> dict[int, Conflict]:
    """Return the conflicts of the users of a chunk whose `sub` another person has, by position.

    The account that has the email too is the same person: that is a conflict of its email.
    `batch_id` is that of the users, or empty if they are only looked up.
    """
    holders = _by_subject(found)
    return {one.position: one for one in _conflicts(batch_id, users, holders, first)}


def without_subjects(
    users: Sequence[CheckedUser], found: Sequence[SubjectHolder]
) -> Sequence[CheckedUser]:
    """Return the users as they can be inserted: without a `sub` that an account has."""
    holders = _by_subject(found)
    if not holders:
        return users
    return [structs.replace(user, sub=None) if user.sub in holders else user for user in users]


def _by_subject(found: Sequence[SubjectHolder]) -> Mapping[str, SubjectHolder]:
    return {one.sub: one for one in found if one.state not in DROPPED_OR_EXPIRED}


def _conflicts(
    batch_id: str, users: Sequence[CheckedUser], holders: Mapping[str, SubjectHolder], first: int
) -> Iterator[Conflict]:
    seen = set[str]()
    for position, user in enumerate(users, first):
        if not user.sub:
            continue
        holder = holders.get(user.sub)
        is_other = holder is not None and holder.email_key != user.email_key
        if user.sub in seen or is_other:
            open_batch = holder.batch_id if holder and holder.state == "open" else None
            other = None if open_batch == batch_id else open_batch
            yield Conflict(position=position, email=user.email, kind="sub", holder=other)
        seen.add(user.sub)
