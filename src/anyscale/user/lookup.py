"""Find one account, by its email, name or id."""

from anyscale.comparison.list_users import USER_ID_PREFIX, list_users
from anyscale.domain.models.base import check_type
from anyscale.domain.models.users import User
from anyscale.domain.passwords import FORBIDDEN
from anyscale.domain.schemas.users import USER_PAGE
from anyscale.domain.user_query import MAX_QUERY_TEXT, UserQuery
from anyscale.domain.validation import MAX_TEXT
from anyscale.errors import ConfigError, NotFound, UserAmbiguous
from anyscale.transport.base import Transport

#: how many accounts of one name an error lists at most
_NAMESAKES = 10_000


def check_sizes(max_items: int | None, page_size: int) -> None:
    """Raise what `UserCalls.list` raises for wrong numbers."""
    check_type("page_size", page_size, int)
    check_type("max_items", max_items, int, type(None))
    if page_size < 1 or (max_items is not None and max_items < 0):
        raise ConfigError("page_size must be 1 or more, and max_items 0 or more")


def find_user(
    transport: Transport,
    *,
    email: str | None = None,
    name: str | None = None,
    user_id: str | None = None,
) -> User:
    """Return the one user who matches: see `UserCalls.get`."""
    check_type("email", email, str, type(None))
    check_type("name", name, str, type(None))
    check_type("user_id", user_id, str, type(None))
    given = [text for text in (email, name, user_id) if text is not None]
    if len(given) != 1:
        raise ConfigError("give either an email or a name, or a user_id")
    if user_id is not None:
        return _find_by_id(transport, user_id)
    (text,) = given
    if not 0 < len(text) <= MAX_TEXT or FORBIDDEN.search(text):
        users = []  # no account has it, and a control plane would refuse to look it up
    else:
        query = UserQuery(email=email, name=name, exact=True)
        users = list(list_users(transport, query, _NAMESAKES, USER_PAGE))
    criterion = f"the {'name' if email is None else 'email'} {text!r}"
    if not users:
        raise _not_found(transport, criterion)
    if len(users) > 1:
        raise UserAmbiguous(name or "", [user.email for user in users])
    return users[0]


def _find_by_id(transport: Transport, user_id: str) -> User:
    """Return the user with an id, which is the best match of a search for it."""
    if user_id.startswith(USER_ID_PREFIX) and len(user_id) <= MAX_QUERY_TEXT:
        for user in list_users(transport, UserQuery(search=user_id), 1, 1):
            if user.user_id == user_id:
                return user
    raise _not_found(transport, f"the id {user_id!r}")


def _not_found(transport: Transport, criterion: str) -> NotFound:
    # In a new shell without `ANYSCALE_HOST`, another control plane is searched than before.
    return NotFound(f"there is no user with {criterion} in the control plane at {transport.where}")
