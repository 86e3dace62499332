"""A control plane: its store and its rules, put together as the settings say."""

from functools import cached_property
from typing import TYPE_CHECKING

from anyscale.errors import StoreUnavailable
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.hashing.pool import OWASP, PasswordHashPool, Profile
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.core.users.lifecycle import UserLifecycle
from anyscale.server.core.users.owners import OwnerService
from anyscale.server.core.users.password_links import PasswordLinkService
from anyscale.server.core.users.queries import UserQueries
from anyscale.server.settings import Settings
from anyscale.server.store.interface import Store
from anyscale.server.store.schema_versions import NOTHING_YET

if TYPE_CHECKING:
    from anyscale.server.core.login.password_change import PasswordService
    from anyscale.server.core.oidc.login import OidcLogin

__all__ = ["ControlPlane"]

_DAY = 24 * 60 * 60 * 1000


class ControlPlane:
    """A control plane over one database.

    Args:
        settings: the operator's.
        create: whether the database is made, or brought up, if need be.
        profile: the parameters of password hashes.
        hash_in_processes: whether worker processes hash, as in a server, and not threads.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = True,
        profile: Profile = OWASP,
        hash_in_processes: bool = False,
    ) -> None:
        self.settings = settings
        self.store = _store(settings, create=create)
        self.hashing = PasswordHashPool(profile, in_processes=hash_in_processes)
        self.users = UserQueries(self.store)
        self.tokens = TokenService(self.store)
        self.trail = AuditLog(self.store)
        self.sessions = SessionService(self.store)
        self._profile, self._hash_in_processes = profile, hash_in_processes
        self.batches = BatchService(
            self.store,
            self.hashing,
            settings.policy,
            available=settings.batch_create,
            expiry_days=settings.batch_expiry_days,
            sso=settings.sso,
        )
        self.accounts = UserLifecycle(self.store)
        self.links = PasswordLinkService(
            self.store,
            settings.address,
            days=settings.link_days,
            sso_only=settings.policy.sso_only,
            sso=settings.sso,
        )

    @cached_property
    def sign_in(self) -> "PasswordService":
        """What people do with passwords. Loaded where they do: it costs a command 100 ms."""
        from anyscale.server.core.login.password_change import PasswordService

        hashing = PasswordHashPool(self._profile, in_processes=self._hash_in_processes)
        days = self.settings.initial_password_days
        return PasswordService(self.store, hashing, self.trail, self.settings.policy, days)

    @property
    def owners(self) -> OwnerService:
        """What makes owners, for the operator alone."""
        sso_only = self.settings.policy.sso_only
        return OwnerService(self.store, self.hashing, self.accounts, self.links, sso_only=sso_only)

    def require_begun(self) -> None:
        """Make sure that there is anything to look at in a database that is not to be made.

        Raises:
            StoreUnavailable: nothing was ever set up in it.
        """
        if self.store.is_blank:
            raise StoreUnavailable(NOTHING_YET)

    def now(self) -> int:
        """Give the time, in milliseconds since 1970, as the database has it."""
        with self.store.read() as tx:
            return tx.now()

    @cached_property
    def sso(self) -> "OidcLogin":
        """Signing in at the identity provider, of which there has to be one. Loaded likewise."""
        from anyscale.server.core.oidc.login import OidcLogin

        assert self.settings.provider
        return OidcLogin(self.store, self.settings.provider, self.settings.address())

    def clean_up(self) -> None:
        """Drop batches that nobody touched for long, and forget what was kept long enough."""
        self.batches.expire()
        self.sessions.forget()
        with self.store.write() as tx:
            now = tx.now()
            tx.chunks.purge_conflicts(now - self.settings.report_days * _DAY)
            tx.batches.purge(now - self.settings.report_days * _DAY)
        if self.settings.audit_days is not None:
            self.trail.forget(now - self.settings.audit_days * _DAY)

    def close(self) -> None:
        """Let go of the threads and the database."""
        if "sign_in" in self.__dict__:
            self.sign_in.close()
        self.hashing.close()
        self.store.close()


def _store(settings: Settings, *, create: bool) -> Store:
    if isinstance(settings.database, str):
        from anyscale.server.store.postgres.store import PostgresStore

        return PostgresStore(settings.database, create=create)
    from anyscale.server.store.sqlite.store import SqliteStore

    return SqliteStore(settings.database, create=create)
