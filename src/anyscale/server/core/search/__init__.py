"""Lists and searches of accounts, page by page, and the index of words that searches use.

`UserListing` serves `GET /v1/users` and the console. The server fills the index in the background
(`SearchIndex`), but not while a batch is undone (`defer_filling`). Other packages import these
names from here: the modules are private.
"""

from anyscale.server.core.search.cursor import MAX_CURSOR
from anyscale.server.core.search.index import SearchIndex, defer_filling
from anyscale.server.core.search.listing import FoundPage, NarrowedQuery, UserListing

__all__ = [
    "MAX_CURSOR",
    "FoundPage",
    "NarrowedQuery",
    "SearchIndex",
    "UserListing",
    "defer_filling",
]
