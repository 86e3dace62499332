"""The `sub` of users that come from an export: no two accounts have one.

docs/decisions/0035-export.md has the reasons.
"""

from collections.abc import Iterator, Sequence

from msgspec import structs

from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused, Problem
from anyscale.server.store.records.batches import DROPPED_OR_EXPIRED
from anyscale.server.store.records.users import SubjectHolder
from anyscale.server.store.transaction import Transaction

__all__ = ["with_free_subjects"]

_TAKEN = "is the sub of another account, which applications would take for this user"


def with_free_subjects(
    tx: Transaction, users: Sequence[CheckedUser], ids: Sequence[str], first: int
) -> Sequence[CheckedUser]:
    """Return the users of a chunk as they can be inserted.

    The `sub` is left out of a user whose email is taken by the account that has the `sub`: such a
    user is skipped, or a conflict.

    Args:
        tx: the transaction that inserts them.
        users: of the chunk.
        ids: their ids.
        first: the position of the first one.

    Raises:
        BatchRefused: other accounts, or other users of the batch, have one of them.
    """
    subjects = [user.sub for user in users if user.sub]
    if not subjects:
        return users
    own = set(ids)
    found = [one for one in tx.exports.subject_holders(subjects) if one.user_id not in own]
    obsolete = [one.user_id for one in found if one.state in DROPPED_OR_EXPIRED]
    if obsolete:
        tx.exports.clear_subjects(obsolete)
    holders = {one.sub: one for one in found if one.state not in DROPPED_OR_EXPIRED}
    if problems := list(_problems(users, holders, first)):
        raise BatchRefused(problems)
    return [structs.replace(user, sub=None) if user.sub in holders else user for user in users]


def _problems(
    users: Sequence[CheckedUser], holders: dict[str, SubjectHolder], first: int
) -> Iterator[Problem]:
    seen = set[str]()
    for position, user in enumerate(users, first):
        if not user.sub:
            continue
        holder = holders.get(user.sub)
        if user.sub in seen or (holder and holder.email_key != user.email_key):
            yield Problem(index=position, field="sub", code="sub_taken", detail=_TAKEN)
        seen.add(user.sub)
