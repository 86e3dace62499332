"""The fields of an application: what is wrong with them, all at once."""

from collections.abc import Mapping
from typing import Any

from msgspec import json

from anyscale.domain.characters import is_visible
from anyscale.domain.validation import MAX_TEXT, shown
from anyscale.errors import ConfigError
from anyscale.server.core.openid.audience import checked_audience
from anyscale.server.core.openid.redirect_uris import checked_address, checked_redirect_uris
from anyscale.server.store.transaction import Transaction


def checked_fields(
    tx: Transaction,
    fields: Mapping[str, Any],
    *,
    is_public: bool,
    has_factors: bool,
    client_id: str = "",
    is_repeatable: bool = False,
) -> dict[str, Any]:
    """Return valid fields as the database stores them.

    Args:
        tx: the transaction.
        fields: those that are new.
        is_public: whether the application has no secret.
        has_factors: whether this server asks for second factors.
        client_id: of an application that exists.
        is_repeatable: whether a lost response may have the call repeated.

    Raises:
        ConfigError: with the problems of all fields.
    """
    checked: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, value in fields.items():
        try:
            _refuse(name, value, is_public=is_public, has_factors=has_factors)
            holder = tx.applications.named(value) if name == "name" else None
            if holder and holder.client_id != client_id:
                raise name_in_use(value, is_repeatable=is_repeatable)
            checked[name] = _stored(tx, name, value)
        except ConfigError as error:
            problems += [(name, message) for message in error.args]
    if problems:
        raise _about(*problems)
    return checked


def name_in_use(name: str, *, is_repeatable: bool = False) -> ConfigError:
    """Return the error for a name that another application has."""
    message = f"there is an application {shown(name)}: choose another name"
    return _about(("name", f"{message}. {_IF_REPEATED}" if is_repeatable else message))


_IF_REPEATED = (
    "If this call was repeated, `anyscale application list` shows it, and `rotate-secret` creates "
    "a new secret"
)


def _about(*problems: tuple[str, str]) -> ConfigError:
    error = ConfigError(*(message for _, message in problems))
    error.fields = tuple(field for field, _ in problems)
    return error


def _refuse(name: str, value: Any, *, is_public: bool, has_factors: bool) -> None:
    if name == "name" and (not is_visible(value) or len(value) > MAX_TEXT):
        raise ConfigError(
            f"the name of an application has 1 to {MAX_TEXT} visible characters, without blanks "
            "around it"
        )
    if name == "redirect_uris" and not value:
        raise ConfigError("an application needs a redirect URI")
    if name == "requires_pkce" and is_public and not value:
        raise ConfigError("a public application needs PKCE, since it has no secret")
    if name == "requires_second_factor" and value and not has_factors:
        raise ConfigError(
            "no application can require a second factor while ANYSCALE_SECOND_FACTOR is off"
        )


def _stored(tx: Transaction, name: str, value: Any) -> Any:
    if name in ("redirect_uris", "post_logout_redirect_uris"):
        return json.encode(checked_redirect_uris(value)).decode()
    if name == "audience":
        return json.encode(checked_audience(tx, value)).decode()
    return checked_address(value) if name == "address" else value
