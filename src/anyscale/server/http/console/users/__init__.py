"""/console/users: the list of accounts, one account, a new one, and changes of many at once."""

from anyscale.server.http.console.users import (
    account,
    changes,
    download,
    listing,
    new,
    selected,
    selected_links,
)

__all__ = ["HANDLERS"]

HANDLERS = [
    *listing.HANDLERS,
    *download.HANDLERS,
    *new.HANDLERS,
    *selected.HANDLERS,
    *selected_links.HANDLERS,
    *account.HANDLERS,
    *changes.HANDLERS,
]
