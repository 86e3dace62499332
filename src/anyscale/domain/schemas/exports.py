"""The body of the response of an export."""

from typing import Final

from msgspec import Struct

from anyscale.domain.models.exports import ExportedUser

#: accounts of a page, at most
EXPORT_PAGE: Final = 2_000


class ExportPage(Struct, frozen=True):
    """A page of all accounts, as `anyscale user export` writes them; it never has hashes."""

    users: list[ExportedUser]
    #: the `after` of the next call; null on the last page
    after: str | None
    #: how many accounts there are, on the first page; null on the others
    total: int | None
    #: how many accounts of the page have a password, whose hash is left out
    hashes_left_out: int
