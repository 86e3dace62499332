"""The calls of set-password links over HTTP."""

from collections.abc import Sequence

from anyscale.domain.models.users import (
    PasswordLink,
    User,
)
from anyscale.domain.schemas.users import (
    PasswordLinks,
    SetPasswordLinks,
    UserList,
)
from anyscale.transport.http.ids import batch_path
from anyscale.transport.http.retrying_client import RetryingClient

#: users of a response, at most
_PAGE = 1000


class Links:
    """See `base.Links`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def create(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        body = SetPasswordLinks(list(user_ids))
        return self._request(PasswordLinks, "POST", "/v1/users:setPasswordLinks", body).links

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        path = f"{batch_path(batch_id)}/usersWithoutCredentials"
        return self._request(UserList, "GET", path, after=after, limit=min(limit, _PAGE)).users
