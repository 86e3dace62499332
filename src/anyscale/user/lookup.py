"""Find accounts: one by email or name, or a list of them, page by page."""

import sys
from collections.abc import Iterator
from functools import partial

from anyscale.errors import ConfigError, NotFound, UserAmbiguous
from anyscale.transport.base import Transport
from anyscale.user.models import User, check_type
from anyscale.user.passwords import FORBIDDEN
from anyscale.user.validation import MAX_TEXT

__all__ = ["PAGE", "find_user", "list_users"]

#: users per request, at most
PAGE = 1_000


def list_users(
    transport: Transport,
    email: str | None,
    name: str | None,
    max_items: int | None,
    page_size: int,
    *,
    suspended: bool,
) -> Iterator[User]:
    """Iterate over users, page by page: see `UserCalls.list`."""
    _check_text("email", email)
    _check_text("name", name)
    next_page = partial(transport.users, email=email or "", name=name or "", suspended=suspended)
    after, remaining = "", sys.maxsize if max_items is None else max_items
    while remaining > 0:
        limit = min(page_size, PAGE, remaining)
        page = next_page(after=after, limit=limit)
        yield from page
        if len(page) < limit:
            return
        after = page[-1].user_id
        remaining -= limit


def find_user(transport: Transport, email: str | None, name: str | None) -> User:
    """Return the one user who matches: see `UserCalls.get`."""
    check_type("email", email, str, type(None))
    check_type("name", name, str, type(None))
    if (email is None) == (name is None):
        raise ConfigError("give either an email or a name")
    text = name if email is None else email
    assert text is not None
    if not 0 < len(text) <= MAX_TEXT or FORBIDDEN.search(text):
        users = []  # no account has it, and a control plane would refuse to look it up
    elif email is None:
        users = transport.users_with_name(text)
    else:
        users = transport.users_with_email(text)
    criterion = f"the {'name' if email is None else 'email'} {text!r}"
    if not users:
        raise NotFound(f"there is no user with {criterion}")
    if len(users) > 1:
        raise UserAmbiguous(name or "", [user.email for user in users])
    return users[0]


def _check_text(name: str, text: str | None) -> None:
    check_type(name, text, str, type(None))
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} is not UTF-8 text") from None
