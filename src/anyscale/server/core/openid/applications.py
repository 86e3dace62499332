"""Applications: the programs that sign our users in, which owners create."""

from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Any

from msgspec import UNSET, json, structs

from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.times import from_milliseconds
from anyscale.domain.validation import MAX_TEXT, shown
from anyscale.errors import ConfigError, NotFound
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import Caller, require_owner
from anyscale.server.core.ids import new_id
from anyscale.server.core.openid.audience import checked_audience, is_allowed
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.redirect_uris import (
    checked_redirect_uris,
    is_registered,
    origin_of,
)
from anyscale.server.core.secrets import hash_of, new_secret
from anyscale.server.core.time_units import HOUR_MS
from anyscale.server.store.records.openid import ApplicationRecord
from anyscale.server.store.transaction import Store, Transaction

__all__ = ["ApplicationService"]

#: milliseconds for which the secret before works after a rotation
_OVERLAP = HOUR_MS

#: Marks a client secret, so that scanners find it in a log, a repository or a chat.
_PREFIX = "mrc_"


class ApplicationService:
    """Creates, changes and deletes applications, and authenticates them.

    The methods with a caller raise `NotAuthenticated` or `NotPermitted` if it is no owner any more;
    those with a `client_id` raise `NotFound` for an unknown one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, new: NewApplication, caller: Caller) -> CreatedApplication:
        """Create an application. Raises `ConfigError` if a field is wrong."""
        secret = None if new.is_public else _new_secret()
        with self._store.write() as tx:
            require_owner(tx, caller)
            now, fields = tx.now(), structs.asdict(new)
            del fields["is_public"]
            application = ApplicationRecord(
                client_id=new_id("app_", now),
                secret_hash=hash_of(secret) if secret else None,
                created_by=caller.actor,
                created_at=now,
                **_checked(tx, fields, is_public=new.is_public),
            )
            if not tx.applications.add(application):
                raise _name_in_use(new.name)
            _append(tx, caller, "application.created", application.client_id)
        return CreatedApplication(_shown(application), secret)

    def list(self) -> list[Application]:
        """Return all applications, the oldest first."""
        with self._store.read() as tx:
            return [_shown(application) for application in tx.applications.list()]

    def get(self, client_id: str) -> Application:
        """Return an application."""
        with self._store.read() as tx:
            return _shown(_required(tx.applications.get(client_id), client_id))

    def last_sign_in(self, client_id: str) -> int | None:
        """Return when a user last signed in at an application: milliseconds since 1970.

        None if nobody did in the last 90 days, or all who did are signed out there.
        """
        with self._store.read() as tx:
            return tx.grants.last_created_at(client_id)

    def update(self, client_id: str, changes: ApplicationChanges, caller: Caller) -> Application:
        """Change fields, and end the grants that the new audience or redirect URIs exclude.

        Raises:
            ConfigError: a field is wrong, or there is none.
        """
        fields = structs.asdict(changes)
        sent = {name: value for name, value in fields.items() if value is not UNSET}
        if not sent:
            raise ConfigError("there is nothing to change: give at least one field")
        with self._store.write() as tx:
            require_owner(tx, caller)
            application = _lock(tx, client_id)
            checked = _checked(tx, sent, is_public=application.is_public)
            changed = structs.replace(application, **checked)
            holder = tx.applications.named(changed.name)
            if holder and holder.client_id != client_id:
                raise _name_in_use(changed.name)
            tx.applications.replace(changed)
            _end_excluded_grants(tx, changed)
            _append(tx, caller, "application.updated", client_id, fields=sorted(sent))
        return _shown(changed)

    def rotate_secret(self, client_id: str, caller: Caller, *, now: bool) -> CreatedApplication:
        """Replace the secret. The one before works for an hour, unless `now`.

        Raises:
            ConfigError: the application is public.
        """
        secret = _new_secret()
        with self._store.write() as tx:
            require_owner(tx, caller)
            application = _lock(tx, client_id)
            if application.is_public:
                raise ConfigError(f"{client_id} is a public application, which has no secret")
            changed = structs.replace(
                application,
                secret_hash=hash_of(secret),
                previous_hash=None if now else _previous(application, tx.now()),
                previous_until=None if now else tx.now() + _OVERLAP,
            )
            tx.applications.replace(changed)
            _append(tx, caller, "application.secret_rotated", client_id, now=now)
        return CreatedApplication(_shown(changed), secret)

    def delete(self, client_id: str, caller: Caller) -> None:
        """Delete an application with all grants of its users."""
        with self._store.write() as tx:
            require_owner(tx, caller)
            _lock(tx, client_id)
            tx.grants.delete_all(client_id=client_id)
            tx.applications.delete(client_id)
            _append(tx, caller, "application.deleted", client_id)

    def authenticate(self, client_id: str, secret: str | None) -> ApplicationRecord:
        """Return the application of a request; `secret` is None if it sent none.

        Raises:
            OAuthError: `invalid_client`.
        """
        with self._store.read() as tx:
            application, now = tx.applications.get(client_id), tx.now()
        if application is None or not _is_authentic(application, secret, now):
            raise OAuthError("invalid_client", "the application or its secret is unknown")
        return application

    def allows_origin(self, origin: str) -> bool:
        """Whether a public application has a redirect URI of an origin (CORS)."""
        with self._store.read() as tx:
            applications = tx.applications.list()
        return any(
            origin in map(origin_of, application.redirects)
            for application in applications
            if application.is_public
        )


def _lock(tx: Transaction, client_id: str) -> ApplicationRecord:
    return _required(tx.applications.lock(client_id), client_id)


def _new_secret() -> str:
    return f"{_PREFIX}{new_secret()}"


def _previous(application: ApplicationRecord, now: int) -> bytes | None:
    """Return the secret that works for another hour: the one that the program has.

    After a rotation whose response was lost, nobody has the current one.
    """
    is_in_use = (application.previous_until or 0) > now
    return application.previous_hash if is_in_use else application.secret_hash


def _required(application: ApplicationRecord | None, client_id: str) -> ApplicationRecord:
    if application is None:
        raise NotFound(f"there is no application {client_id}")
    return application


def _is_authentic(application: ApplicationRecord, secret: str | None, now: int) -> bool:
    if application.is_public or secret is None:
        return application.is_public and secret is None
    sent = hash_of(secret)
    is_previous = (application.previous_until or 0) > now and compare_digest(
        sent, application.previous_hash or b""
    )
    return compare_digest(sent, application.secret_hash or b"") or is_previous


def _checked(tx: Transaction, fields: dict[str, Any], *, is_public: bool) -> dict[str, Any]:
    """Return valid fields as the database stores them, or raise `ConfigError`."""
    checked = dict(fields)
    for name, value in fields.items():
        with _about(name):
            checked[name] = _checked_value(tx, name, value, is_public=is_public)
    return checked


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Let an error of a block name the field."""
    try:
        yield
    except ConfigError as error:
        error.field = field
        raise


def _checked_value(tx: Transaction, name: str, value: Any, *, is_public: bool) -> Any:
    if name == "name":
        _check_name(value)
    elif name == "redirect_uris" and not value:
        raise ConfigError("an application needs a redirect URI")
    elif name == "requires_pkce" and is_public and not value:
        raise ConfigError("a public application needs PKCE, since it has no secret")
    if name in ("redirect_uris", "post_logout_redirect_uris"):
        return json.encode(checked_redirect_uris(value)).decode()
    return json.encode(checked_audience(tx, value)).decode() if name == "audience" else value


def _name_in_use(name: str) -> ConfigError:
    error = ConfigError(
        f"there is an application {shown(name)}: choose another name. If this call was repeated, "
        "`anyscale application list` shows it, and `rotate-secret` creates a new secret"
    )
    error.field = "name"
    return error


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_TEXT or not name.isprintable():
        raise ConfigError(f"the name of an application has 1 to {MAX_TEXT} visible characters")


def _end_excluded_grants(tx: Transaction, application: ApplicationRecord) -> None:
    """End the grants whose user or redirect URI the application does not have any more."""
    for grant in tx.grants.list_of_application(application.client_id):
        account = tx.accounts.get(grant.user_id)
        is_valid = account is not None and is_allowed(tx, application, account)
        if not is_valid or not is_registered(
            grant.redirect_uri, application.redirects, is_public=application.is_public
        ):
            tx.grants.delete(grant.grant_id)


def _shown(application: ApplicationRecord) -> Application:
    return Application(
        client_id=application.client_id,
        name=application.name,
        redirect_uris=application.redirects,
        post_logout_redirect_uris=application.logout_redirects,
        is_public=application.is_public,
        refresh_tokens=application.refresh_tokens,
        requires_pkce=application.requires_pkce,
        audience=application.allowed,
        created_by=application.created_by,
        created_at=from_milliseconds(application.created_at),
    )


def _append(tx: Transaction, caller: Caller, event: str, client_id: str, **data: Any) -> None:
    append_entry(tx, caller.actor, event, client_id, data)
