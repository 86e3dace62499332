"""The users that records name, such as the actor `user:usr_...`, by their emails."""

import re
from collections.abc import Iterable

from msgspec import Struct, structs

from anyscale.server.core.accounts.queries import UserQueries

__all__ = ["emails_in"]

_USER_ID = re.compile(r"usr_[0-9a-f]{32}")


def emails_in(records: Iterable[Struct], users: UserQueries) -> dict[str, str]:
    """Return the emails of the accounts whose ids stand in the fields of records, by their ids."""
    texts = [str(value) for record in records for value in structs.astuple(record)]
    user_ids = sorted({one for text in texts for one in _USER_ID.findall(text)})
    return {user.user_id: user.email for user in users.with_ids(user_ids)}
