"""Pages of accounts over HTTP, also from control planes of versions without a cursor."""

from typing import Any

from msgspec import UNSET, structs

from anyscale.domain.schemas.users import UserPage, UserQuery
from anyscale.errors import VersionMismatch
from anyscale.transport.retrying_client import RetryingClient

__all__ = ["UserPages"]

#: A continuation by `after`, where the control plane has no cursor. No cursor begins like this.
_USER_ID = "usr_"


class UserPages:
    """Reads the accounts of a query page by page."""

    def __init__(self, client: RetryingClient) -> None:
        self._client = client

    def read(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        """Return a page: see `Transport.users`.

        Raises:
            VersionMismatch: an earlier version does not know a part of the query, and would return
                all users.
        """
        by = "after" if cursor.startswith(_USER_ID) else "cursor"
        parameters = _parameters(query) | {by: cursor, "limit": limit}
        page = self._client.request(UserPage, "GET", "/v1/users", **parameters)
        if page.cursor is not UNSET:
            return page
        self._require_known(query, page, cursor if by == "cursor" else "")
        is_last = len(page.users) < limit
        return structs.replace(page, cursor=None if is_last else page.users[-1].user_id)

    def _require_known(self, query: UserQuery, page: UserPage, cursor: str) -> None:
        if query.suspended and any(user.suspended_at is None for user in page.users):
            raise self._mismatch("cannot list suspended users")
        if cursor or not query.is_plain:
            raise self._mismatch("knows neither all filters of this list nor its order")

    def _mismatch(self, what: str) -> VersionMismatch:
        return VersionMismatch(
            f"{self._client.host} {what}: use the same version of musterroll on both sides"
        )


def _parameters(query: UserQuery) -> dict[str, Any]:
    """Return the parameters of a query. Those that earlier versions know are always there."""
    parameters: dict[str, Any] = {"email": query.email, "name": query.name}
    parameters["suspended"] = str(query.suspended).lower()
    parameters |= {name: text for name in ("search", "role") if (text := getattr(query, name))}
    for name in ("sso", "without_credentials"):
        if getattr(query, name):
            parameters[name] = "true"
    if query.newest_first:
        parameters["order"] = "-created"
    return parameters
