"""Applications: the programs that sign our users in, which owners create."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from msgspec import UNSET, json, structs

from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.times import from_milliseconds
from anyscale.errors import AlreadyReplaced, ConfigError, NotFound
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import Caller
from anyscale.server.core.forms import FORM_USED
from anyscale.server.core.ids import new_id
from anyscale.server.core.openid.application_fields import checked_fields, name_in_use
from anyscale.server.core.openid.audience import (
    Matches,
    checked_audience,
    count_matches,
    end_excluded_grants,
)
from anyscale.server.core.openid.redirect_uris import is_registered, is_registered_origin
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.secrets import hash_of, new_secret
from anyscale.server.core.time_units import HOUR_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.openid import ApplicationRecord, FormerSecret
from anyscale.server.store.transaction import Transaction

#: milliseconds that a former secret works after its rotation
_OVERLAP = HOUR_MS

#: Marks a client secret, so that scanners find it in a log, a repository or a chat.
_PREFIX = "mrc_"


class ApplicationService:
    """Creates, shows, changes and deletes applications.

    The methods with a caller raise `NotAuthenticated` or `NotPermitted` if it is not an owner;
    those with a `client_id` raise `NotFound` for an unknown one.

    `issuer` is the address of the provider; None without one.
    """

    def __init__(
        self, transactions: Transactions, issuer: str | None, policy: SecondFactorPolicy
    ) -> None:
        self._transactions = transactions
        self._issuer = issuer
        self._policy = policy

    def create(
        self, caller: Caller, new: NewApplication, form_key: str | None = None
    ) -> CreatedApplication:
        """Create an application. Raises `ConfigError` if a field is wrong.

        So it does for a form that arrives twice: `of_form` returns what the first one created.
        """
        secret, is_repeatable = None if new.is_public else _new_secret(), form_key is None
        with self._transactions.write_for(caller, Permission.MANAGE_APPLICATIONS, recent=True) as (
            tx,
            _,
        ):
            now, fields = tx.now(), structs.asdict(new)
            del fields["is_public"]
            application = ApplicationRecord(
                client_id=new_id("app_", now),
                secret_hash=hash_of(secret) if secret else None,
                secret_set_at=now if secret else None,
                created_by=caller.actor,
                created_at=now,
                form_key=form_key,
                **self._checked(tx, fields, is_public=new.is_public, is_repeatable=is_repeatable),
            )
            if not tx.applications.add(application):
                in_use = tx.applications.named(new.name)
                if in_use:
                    raise name_in_use(new.name, is_repeatable=is_repeatable)
                raise ConfigError(FORM_USED)
            uris = {"redirect_uris": application.redirects, "address": application.address}
            append_entry(tx, caller.actor, "application.created", application.client_id, uris)
        return CreatedApplication(_shown(application), secret, self._issuer)

    def list(self) -> list[Application]:
        """Return all applications, the oldest first."""
        with self._transactions.read() as tx:
            return [_shown(application) for application in tx.applications.list()]

    def get(self, client_id: str) -> Application:
        with self._transactions.read() as tx:
            return _shown(_required(tx.applications.get(client_id), client_id))

    def check(
        self, fields: dict[str, Any], *, is_public: bool = False, client_id: str = ""
    ) -> None:
        """Raise `ConfigError` for fields that are wrong, of a new application or of one that is."""
        with self._transactions.read() as tx:
            self._checked(tx, fields, is_public=is_public, client_id=client_id)

    def count_matches(self, audience: Sequence[str]) -> Matches | None:
        """Count the accounts of an audience; None if it is for all, or an entry is wrong."""
        with self._transactions.read() as tx, suppress(ConfigError):
            entries = checked_audience(tx, audience)
            return count_matches(tx, entries) if entries else None
        return None

    def of_form(self, caller: Caller, form_key: str, name: str) -> Application | None:
        """Return the application with a name that a form of the caller has created."""
        with self._transactions.read() as tx:
            found = tx.applications.of_form(form_key)
        is_same = found and (found.name, found.created_by) == (name, caller.actor)
        return _shown(found) if found and is_same else None

    def secret_set_at(self, client_id: str) -> int | None:
        """Return when the secret was created: milliseconds since 1970; None without one."""
        with self._transactions.read() as tx:
            return _required(tx.applications.get(client_id), client_id).secret_set_at

    def update(self, caller: Caller, client_id: str, changes: ApplicationChanges) -> Application:
        """Change fields, and end the grants that the new values exclude.

        Raises:
            ConfigError: a field is wrong, or there is none.
        """
        fields = structs.asdict(changes)
        sent = {name: value for name, value in fields.items() if value is not UNSET}
        if not sent:
            raise ConfigError("there is nothing to change: give at least one field")
        with self._transactions.write_for(caller, Permission.MANAGE_APPLICATIONS, recent=True) as (
            tx,
            _,
        ):
            application = _lock(tx, client_id)
            is_public = application.is_public
            checked = self._checked(tx, sent, is_public=is_public, client_id=client_id)
            changed = structs.replace(application, **checked)
            tx.applications.replace(changed)
            _end_excluded_grants(tx, application, changed)
            details = {"fields": sorted(sent), **_changed_uris(application, changed)}
            append_entry(tx, caller.actor, "application.updated", client_id, details)
        return _shown(changed)

    def rotate_secret(
        self, caller: Caller, client_id: str, *, now: bool, set_at: int | None = None
    ) -> CreatedApplication:
        """Replace the secret. The previous one works for an hour, unless `now`.

        Earlier ones keep their own ends, or stop too.
        `set_at` is that of the secret to be replaced; None for any.

        Raises:
            AlreadyReplaced: that secret is not the current one.
            ConfigError: the application is public.
        """
        secret = _new_secret()
        with self._transactions.write_for(caller, Permission.MANAGE_APPLICATIONS, recent=True) as (
            tx,
            _,
        ):
            application = _lock(tx, client_id)
            if application.is_public:
                raise ConfigError(f"{client_id} is a public application, which has no secret")
            if set_at not in (None, application.secret_set_at):
                raise AlreadyReplaced(f"the secret of {client_id} was replaced before")
            changed = structs.replace(
                application,
                secret_hash=hash_of(secret),
                former_secrets="[]" if now else _formers(application, tx.now()),
                secret_set_at=tx.now(),
            )
            tx.applications.replace(changed)
            append_entry(tx, caller.actor, "application.secret_rotated", client_id, {"now": now})
        return CreatedApplication(_shown(changed), secret, self._issuer)

    def delete(self, caller: Caller, client_id: str) -> None:
        """Delete an application with all grants of its users."""
        with self._transactions.write_for(caller, Permission.MANAGE_APPLICATIONS, recent=True) as (
            tx,
            _,
        ):
            _lock(tx, client_id)
            tx.grants.end_all(client_id)
            tx.applications.delete(client_id)
            append_entry(tx, caller.actor, "application.deleted", client_id, {})

    def _checked(self, tx: Transaction, fields: dict[str, Any], **known: Any) -> dict[str, Any]:
        return checked_fields(tx, fields, has_factors=self._policy.is_on, **known)

    def allows_origin(self, origin: str) -> bool:
        """Whether a public application runs on pages of an origin (CORS)."""
        with self._transactions.read() as tx:
            applications = tx.applications.list()
        return any(
            is_registered_origin(origin, application.redirects)
            for application in applications
            if application.is_public
        )


def _changed_uris(old: ApplicationRecord, new: ApplicationRecord) -> dict[str, Any]:
    """Return the addresses that came and went, so that one that was taken back is known."""
    changes = {
        "redirect_uris_added": set(new.redirects) - set(old.redirects),
        "redirect_uris_removed": set(old.redirects) - set(new.redirects),
        "post_logout_redirect_uris_added": set(new.logout_redirects) - set(old.logout_redirects),
        "post_logout_redirect_uris_removed": set(old.logout_redirects) - set(new.logout_redirects),
    }
    opens = {} if new.address == old.address else {"address": new.address}
    return {**{name: sorted(uris) for name, uris in changes.items() if uris}, **opens}


def _lock(tx: Transaction, client_id: str) -> ApplicationRecord:
    return _required(tx.applications.lock(client_id), client_id)


def _new_secret() -> str:
    return f"{_PREFIX}{new_secret()}"


def _formers(application: ApplicationRecord, now: int) -> str:
    """Return the secrets that still work after a rotation, as the database stores them.

    The program may have any of them: the current one, or the previous one if the response with the
    current one was lost. No rotation prolongs those that were replaced before.
    """
    current = FormerSecret(application.secret_hash or b"", now + _OVERLAP)
    working = [one for one in application.formers if one.works_until > now]
    return json.encode([current, *working]).decode()


def _required(application: ApplicationRecord | None, client_id: str) -> ApplicationRecord:
    if application is None:
        raise NotFound.application(client_id)
    return application


def _end_excluded_grants(
    tx: Transaction, before: ApplicationRecord, after: ApplicationRecord
) -> None:
    """End the grants that an application would not give any more. It is locked."""
    client_id, grants = after.client_id, tx.grants
    if after.audience != before.audience:
        end_excluded_grants(tx, after)
    if after.redirect_uris != before.redirect_uris:
        is_public, registered = after.is_public, after.redirects
        used = grants.redirect_uris(client_id)
        removed = [uri for uri in used if not is_registered(uri, registered, is_public=is_public)]
        grants.end_at(client_id, removed)
    if before.refresh_tokens and not after.refresh_tokens:
        grants.end_refreshable(client_id)
    if after.requires_pkce and not before.requires_pkce:
        grants.end_unproved(client_id)
    if after.requires_second_factor and not before.requires_second_factor:
        grants.end_one_factor(client_id)


def _shown(application: ApplicationRecord) -> Application:
    return Application(
        client_id=application.client_id,
        name=application.name,
        redirect_uris=application.redirects,
        post_logout_redirect_uris=application.logout_redirects,
        is_public=application.is_public,
        refresh_tokens=application.refresh_tokens,
        requires_pkce=application.requires_pkce,
        requires_second_factor=application.requires_second_factor,
        audience=application.allowed,
        address=application.address,
        created_by=application.created_by,
        created_at=from_milliseconds(application.created_at),
        last_sign_in_at=from_milliseconds(application.used_at) if application.used_at else None,
    )
