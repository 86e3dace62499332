"""The users that records name, such as the actor `user:usr_...`, by their names."""

import re
from collections.abc import Iterable

from msgspec import Struct, structs

from anyscale.domain.names import full_name
from anyscale.server.core.accounts.queries import UserQueries

_USER_ID = re.compile(r"usr_[0-9a-f]{32}")


def names_in(records: Iterable[Struct], users: UserQueries) -> dict[str, str]:
    """Return the names of the accounts whose ids stand in the fields of records, by their ids."""
    texts = [str(value) for record in records for value in structs.astuple(record)]
    user_ids = sorted({one for text in texts for one in _USER_ID.findall(text)})
    found = users.with_ids(user_ids) if user_ids else []
    return {one.user_id: full_name(one.name, one.lastname) for one in found}
