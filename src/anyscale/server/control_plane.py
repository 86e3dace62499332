"""The composition root: creates the store and the services of a control plane from its settings."""

from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import structs

from anyscale.errors import StoreUnavailable
from anyscale.server.core.accounts.bulk_changes import BulkChanges
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.accounts.owners import OwnerService
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.accounts.update import UserUpdateService
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.batches.conflicts import freed_since
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.hashing.jobs import IMPORTED_NICENESS, SIGN_IN_NICENESS
from anyscale.server.core.hashing.pool import OWASP, PasswordHashPool, Profile
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.passkeys.relying_party import relying_party
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.core.transactions import Transactions
from anyscale.server.databases import open_store
from anyscale.server.settings import Settings
from anyscale.server.store.schema_versions import NOTHING_YET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyscale.server.core.accounts.account_details import AccountDetailsQuery
    from anyscale.server.core.accounts.export import UserExports
    from anyscale.server.core.accounts.syncs import SyncService
    from anyscale.server.core.login.passkey_login import PasskeyLogin
    from anyscale.server.core.login.password_change import PasswordChanges
    from anyscale.server.core.login.password_login import PasswordLogin
    from anyscale.server.core.login.password_resets import PasswordResets
    from anyscale.server.core.login.rate_limit import LoginRateLimiter
    from anyscale.server.core.login.second_factor_login import SecondFactorLogin
    from anyscale.server.core.login.sign_in_gate import SignInGate
    from anyscale.server.core.mail.queue import MailQueue
    from anyscale.server.core.mail.sender import MailSender
    from anyscale.server.core.openid.applications import ApplicationService
    from anyscale.server.core.openid.provider import OpenIdProvider
    from anyscale.server.core.openid.user_grants import UserGrants
    from anyscale.server.core.passkeys.ceremonies import PasskeyCeremonies
    from anyscale.server.core.passkeys.new_passkeys import NewPasskeys
    from anyscale.server.core.search import SearchIndex, UserListing
    from anyscale.server.core.second_factor.factors import FactorService
    from anyscale.server.core.second_factor.keys import SeedKeys
    from anyscale.server.core.second_factor.removal import FactorRemoval
    from anyscale.server.core.sso.sso_login import SsoLogin


class ControlPlane:
    """The services of a control plane, over one database.

    `create` creates or migrates the database if needed. `hash_in_processes` is for a server.

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
        self.store: Final = open_store(settings, create=create)
        #: the only way of the services to the store
        self.transactions: Final = Transactions(self.store)
        self.hashing: Final = PasswordHashPool(profile, in_processes=hash_in_processes)
        self.users: Final = UserQueries(self.transactions)
        self.tokens: Final = TokenService(self.transactions)
        self.audit_log: Final = AuditLog(self.transactions)
        self.sessions: Final = SessionService(self.transactions)
        self._profile, self._hash_in_processes = profile, hash_in_processes
        sso_only = settings.policy.sso_only
        #: writes what is to be mailed
        self.outbox: Final = Outbox(
            has_relay=settings.mail is not None, served=settings.served, sso_only=sso_only
        )
        self.batches: Final = BatchService(
            self.transactions,
            self.hashing,
            settings.policy,
            self.outbox,
            available=settings.batch_create,
            expiry_days=settings.batch_expiry_days,
        )
        self.lifecycle: Final = UserLifecycle(
            self.transactions, self.outbox, settings.second_factor
        )
        self.updates: Final = UserUpdateService(self.transactions, settings.policy, self.outbox)
        self.links: Final = PasswordLinkService(
            self.transactions,
            self.outbox,
            settings.link_page,
            days=settings.link_days,
            sso_only=sso_only,
        )
        self.owners: Final = OwnerService(
            self.transactions, self.hashing, self.lifecycle, self.links, sso_only=sso_only
        )
        self.bulk_changes: Final = BulkChanges(self.transactions)

    # Imported on use, as what follows: a command that creates some users needs none of these.

    @cached_property
    def listing(self) -> "UserListing":
        from anyscale.server.core.search import UserListing

        return UserListing(self.transactions)

    @cached_property
    def exports(self) -> "UserExports":
        """All accounts, for files."""
        from anyscale.server.core.accounts.export import UserExports

        return UserExports(self.transactions)

    @cached_property
    def account_details(self) -> "AccountDetailsQuery":
        """Reads accounts one by one, with all that belongs to them."""
        from anyscale.server.core.accounts.account_details import AccountDetailsQuery

        return AccountDetailsQuery(self.transactions, self.settings.second_factor)

    @cached_property
    def search_index(self) -> "SearchIndex":
        from anyscale.server.core.search import SearchIndex

        return SearchIndex(self.transactions)

    @cached_property
    def syncs(self) -> "SyncService":
        """Stores how far the syncs of the console are."""
        from anyscale.server.core.accounts.syncs import SyncService

        return SyncService(self.transactions)

    @cached_property
    def applications(self) -> "ApplicationService":
        from anyscale.server.core.openid.applications import ApplicationService

        return ApplicationService(
            self.transactions, self.settings.public_url, self.settings.second_factor
        )

    @cached_property
    def user_grants(self) -> "UserGrants":
        from anyscale.server.core.openid.user_grants import UserGrants

        return UserGrants(self.transactions)

    @cached_property
    def _login_hashing(self) -> PasswordHashPool:
        """The pool of sign-ins: one of their own, so that no batch keeps users waiting."""
        return PasswordHashPool(
            self._profile, in_processes=self._hash_in_processes, niceness=SIGN_IN_NICENESS
        )

    @cached_property
    def _imported_hashing(self) -> PasswordHashPool:
        """The pool of sign-ins by imported hashes: half of the cores, so that none keeps others.

        One that takes a second and 256 MiB is allowed.
        """
        return PasswordHashPool(
            self._profile,
            in_processes=self._hash_in_processes,
            niceness=IMPORTED_NICENESS,
            share=0.5,
        )

    @cached_property
    def _rate_limiter(self) -> "LoginRateLimiter":
        """The limits of sign-ins, which count those by password and by SSO together."""
        from anyscale.server.core.login.rate_limit import LoginRateLimiter

        return LoginRateLimiter()

    @cached_property
    def _gate(self) -> "SignInGate":
        from anyscale.server.core.login.sign_in_gate import SignInGate

        return SignInGate(self.settings.second_factor, self._rate_limiter)

    @cached_property
    def second_factor_login(self) -> "SecondFactorLogin":
        from anyscale.server.core.login.second_factor_login import SecondFactorLogin

        return SecondFactorLogin(
            self.transactions,
            self._gate,
            self.seed_keys,
            self.outbox,
            self.ceremonies,
        )

    @cached_property
    def ceremonies(self) -> "PasskeyCeremonies | None":
        """Lets browsers create and show passkeys; None where there are none."""
        rp = relying_party(self.settings.public_url)
        if rp is None or not self.settings.second_factor.is_on:
            return None
        from anyscale.server.core.passkeys.ceremonies import PasskeyCeremonies

        return PasskeyCeremonies(self.transactions, rp, self.settings.organization)

    @cached_property
    def new_passkeys(self) -> "NewPasskeys | None":
        """Adds passkeys to the accounts of signed-in users; None where there are none."""
        if self.ceremonies is None:
            return None
        from anyscale.server.core.passkeys.new_passkeys import NewPasskeys

        return NewPasskeys(self.factors, self.ceremonies)

    @cached_property
    def passkey_login(self) -> "PasskeyLogin | None":
        """Sign-in with only a passkey; None if the server does not offer passkeys."""
        if self.ceremonies is None:
            return None
        from anyscale.server.core.login.passkey_login import PasskeyLogin

        policy = self.settings.policy
        return PasskeyLogin(
            self.transactions, self.ceremonies, self._gate, self.password_login, policy
        )

    @cached_property
    def factor_removal(self) -> "FactorRemoval":
        from anyscale.server.core.second_factor.removal import FactorRemoval

        return FactorRemoval(self.transactions, self.outbox)

    @cached_property
    def factors(self) -> "FactorService":
        from anyscale.server.core.second_factor.factors import FactorService

        settings = self.settings
        return FactorService(
            self.transactions,
            self.seed_keys,
            settings.second_factor,
            self.outbox,
            settings.organization,
        )

    @cached_property
    def password_login(self) -> "PasswordLogin":
        """Sign-in by password. Imported on use: it takes 100 ms."""
        from anyscale.server.core.login.password_login import PasswordLogin

        policy, days = self.settings.policy, self.settings.initial_password_days
        return PasswordLogin(
            self.transactions,
            self._login_hashing,
            self._imported_hashing,
            self.audit_log,
            policy,
            days,
            self._rate_limiter,
            self._gate,
        )

    @cached_property
    def password_changes(self) -> "PasswordChanges":
        from anyscale.server.core.login.password_change import PasswordChanges

        policy, login = self.settings.policy, self.password_login
        return PasswordChanges(
            self.transactions, self._login_hashing, policy, login, self.outbox, self._gate
        )

    @cached_property
    def password_resets(self) -> "PasswordResets":
        from anyscale.server.core.login.password_resets import PasswordResets

        is_available = self.settings.login_options.mails_links
        return PasswordResets(self.transactions, self.settings.mail if is_available else None)

    @cached_property
    def mail_queue(self) -> "MailQueue":
        from anyscale.server.core.mail.queue import MailQueue

        mail = self.settings.mail
        return MailQueue(self.transactions, mail.per_minute if mail else 0)

    @cached_property
    def mail_senders(self) -> "Sequence[MailSender]":
        """Send the mails that are due; none without a relay. Imported on use: it takes 30 ms."""
        if self.settings.mail is None:
            return []
        from anyscale.server.core.mail.sender import new_senders

        return new_senders(
            self.transactions,
            self.settings.mail,
            organization=self.settings.organization,
            public_url=self.settings.address(),
            link_page=self.settings.link_page(),
            link_days=self.settings.link_days,
        )

    @cached_property
    def sso_login(self) -> "SsoLogin | None":
        """Sign-in at the identity provider; None without one. Imported on use: it takes 200 ms."""
        if self.settings.provider is None:
            return None
        from anyscale.server.core.sso.sso_login import SsoLogin

        redirect_uri = self.settings.sso_redirect_uri()
        return SsoLogin(
            self.transactions, self.settings.provider, redirect_uri, self._rate_limiter, self._gate
        )

    @cached_property
    def seed_keys(self) -> "SeedKeys":
        from anyscale.server.core.second_factor.keys import SeedKeys

        return SeedKeys(self.settings.second_factor_keys)

    def prepare_seed_keys(self) -> None:
        """Create the first of these keys, or log what to do: for a server that starts."""
        from anyscale.server.core.second_factor.keys import prepare_seed_keys

        if folder := self.settings.second_factor_keys:
            prepare_seed_keys(self.transactions, folder, creates_key=self.settings.is_only_server)

    @cached_property
    def openid(self) -> "OpenIdProvider | None":
        """The OpenID provider; None without a public address. Imported on use: it takes 50 ms."""
        issuer, folder = self.settings.public_url, self.settings.signing_keys
        if issuer is None or folder is None:
            return None
        from anyscale.server.core.openid.provider import OpenIdProvider

        return OpenIdProvider(
            self.transactions,
            issuer,
            folder,
            self.settings.second_factor,
            creates_key=self.settings.is_only_server,
        )

    def require_initialized(self) -> None:
        """Raise `StoreUnavailable` if the database has no tables."""
        if self.store.is_blank:
            raise StoreUnavailable(NOTHING_YET)

    def clean_up(self) -> None:
        """Expire batches, delete what was stored long enough, and record counted denials."""
        self.batches.expire()
        self.sessions.purge()
        with self.transactions.write_unattended("clean-up") as tx:
            now = tx.now()
            report_limit = now - self.settings.report_days * DAY_MS
            tx.chunks.purge_conflicts(report_limit)
            tx.batches.purge(report_limit)
            tx.tokens.purge(report_limit)
            tx.outbox.purge(report_limit)
            tx.outbox.advance(now, now + DAY_MS)
            tx.mailings.purge(report_limit)
            tx.syncs.purge(report_limit)
            tx.emails.purge(freed_since(tx))
        self.password_resets.purge()
        self.user_grants.purge()
        if self.settings.audit_days is not None:
            self.audit_log.purge(now - self.settings.audit_days * DAY_MS)
        self.audit_log.record_counted()  # last, since it fails while a flood is recorded

    def close(self) -> None:
        """Stop the threads and worker processes, and close the database."""
        if "password_login" in self.__dict__:
            self.password_login.close()
        self.audit_log.close()
        self.hashing.close()
        self.store.close()


def empty_control_plane(settings: Settings) -> ControlPlane:
    """Return a control plane in memory, for calls that find nothing and create nothing."""
    from anyscale.server.store.sqlite.store import IN_MEMORY

    return ControlPlane(structs.replace(settings, database=IN_MEMORY), create=False)
