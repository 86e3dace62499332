"""The store of a control plane: transactions, and the rules that every store obeys."""

from contextlib import AbstractContextManager
from typing import Final, Protocol

from anyscale.server.store.sql.accounts import Accounts
from anyscale.server.store.sql.allowed_users import AllowedUsers
from anyscale.server.store.sql.audit import Audit
from anyscale.server.store.sql.batches import Batches, Chunks
from anyscale.server.store.sql.connection import Connection
from anyscale.server.store.sql.credentials import Identities, Links
from anyscale.server.store.sql.emails import Emails
from anyscale.server.store.sql.exports import Exports
from anyscale.server.store.sql.external_ids import ExternalIds
from anyscale.server.store.sql.factors import (
    Factors,
    FactorStates,
    RecoveryCodes,
    UsedChallenges,
)
from anyscale.server.store.sql.openid import Applications, Grants, PublicKeys
from anyscale.server.store.sql.outbox import Mailings, Outbox
from anyscale.server.store.sql.password_resets import PasswordResets
from anyscale.server.store.sql.search.searched_users import SearchedUsers
from anyscale.server.store.sql.search.unindexed_accounts import UnindexedAccounts
from anyscale.server.store.sql.search.user_scan import UserScan
from anyscale.server.store.sql.search.user_words import Words
from anyscale.server.store.sql.search.users_by_email import UsersByEmail
from anyscale.server.store.sql.server_keys import ServerKeys
from anyscale.server.store.sql.sessions import Devices, HalfSignIns, Sessions
from anyscale.server.store.sql.syncs import SyncAnswers, Syncs
from anyscale.server.store.sql.tokens import Tokens
from anyscale.server.store.sql.users import Users


class Transaction:
    """The tables by subject, inside one transaction.

    Every store obeys these rules, which the suite in `tests/store/contract` checks:

    1. What a transaction wrote is visible to all others once it has committed, and never if it
       failed. A read transaction sees one state of the database, and waits for no writer.
    2. An exclusive lock on a batch waits for every other lock on it. Shared locks on it do not
       wait for each other.
    3. `users.insert` inserts each row whose email and external id are free, deletes rows of dropped
       and expired batches that are in its way, and returns the holders of those that are taken. A
       row that exists with the same `user_id` counts as inserted. Of two rows with one email or one
       external id the first one is inserted.
    4. At most one batch that is neither dropped nor expired has a given idempotency key. An open
       batch is published, dropped or expires; a published one is undone; no other state changes.
    5. `users.save_hashes` keeps the first hash of a row. It skips rows that have a hash, rows
       without a password and rows of other batches.
    6. Accounts are the users of published batches, also of those that are being undone: all users
       of a batch, or none.
    7. Saving a chunk replaces its record and its conflicts; deleting it deletes both.
    8. An audit entry is never replaced. Transactions that append to the audit log run one after
       the other.
    9. The time is the database's.
    10. Of the tokens that are not revoked no two have the same name and the same owner, or the
        same name and no owner. A revoked token stays revoked.
    11. An account has one link of each kind, and only one caller can consume a link.
    12. A subject of an issuer is linked to one account, and an account to one subject of an issuer.
    13. Transactions that lock the owners run one after the other, and so do those that publish: the
        `publication` of each batch is one more than that of the batch before.
    14. Deleting accounts deletes their grants, sessions, half sign-ins, second factors, recovery
        codes, devices, links, identities, tokens, former emails and mails.
    15. Calls about accounts neither return nor change rows of batches that are not published.
    16. A search for a text that the database cannot store finds nothing.
    17. In the order of publication and position, all accounts up to the watermark of the index of
        words have exactly the words of their texts, and no others have any. Deleting or changing an
        account removes and replaces its words. Transactions that fill the index, or change accounts
        that have words, run one after the other.
    18. An exclusive lock on a token waits for every other lock on it, and later shared ones wait
        for it. Shared locks do not wait for each other.
    19. A server key that is stored changes only by `server_keys.replace`. If several transactions
        add it, all read the key of one of them.
    20. Deleting sessions deletes their grants, also where the session itself has expired. Deleting
        all sessions of an account, or all but one, deletes its half sign-ins.
    21. No two applications have one name. No two rows of a table have one `form_key`. A public key
        that was revoked stays revoked.
    22. An exclusive lock on an application waits for every other lock on it. A grant that has ended
        is found by nothing.
    23. A lock on accounts waits for the transactions that share the lock of an owner among them,
        and those that want to share it later wait for it. They do not wait for each other.
    24. An email that `emails.reserve` has reserved is taken by no other transaction. An account has
        each of its emails once: now, or as a former one. Those of `emails.free` stay former ones
        when their account is deleted.
    25. An account has one mail of a kind to an address at a time. Transactions that take a mail to
        send it run one after the other, and only one of them gets a mail, until its lease ends.
    26. Only one transaction gets a password reset, and its email is deleted then. Transactions that
        lock password resets run one after the other.
    27. Of several transactions that use a recovery code, a challenge, a time step of an app or the
        counter of a passkey, one succeeds.

    A transaction takes its locks in this order, since two that take them in different orders can
    deadlock: the rate of mails, password resets, a batch, the owners, accounts by `user_id`, also
    shared ones, a token, an application, mailings, mails and other rows of these accounts, the
    watermark of the index of words, the order of publishing, the audit log.

    `user_ids` states the format of a `user_id`: ids sort by the opening of the batch, then by
    position.
    """

    def __init__(self, connection: Connection, users: Users) -> None:
        self.connection = connection
        #: returns the time in milliseconds since 1970, UTC
        self.now: Final = connection.now
        self.batches: Final = Batches(connection)
        self.chunks: Final = Chunks(connection)
        self.users = users
        self.user_scan: Final = UserScan(connection)
        self.users_by_email: Final = UsersByEmail(connection)
        self.searched_users: Final = SearchedUsers(connection)
        self.words: Final = Words(connection)
        self.unindexed: Final = UnindexedAccounts(connection)
        self.accounts: Final = Accounts(connection, self.words)
        self.emails: Final = Emails(connection, self.words)
        self.exports: Final = Exports(connection)
        self.external_ids: Final = ExternalIds(connection)
        self.sessions: Final = Sessions(connection)
        self.half_sign_ins: Final = HalfSignIns(connection)
        self.devices: Final = Devices(connection)
        self.factors: Final = Factors(connection)
        self.recovery_codes: Final = RecoveryCodes(connection)
        self.factor_states: Final = FactorStates(connection)
        self.used_challenges: Final = UsedChallenges(connection)
        self.links: Final = Links(connection)
        self.outbox: Final = Outbox(connection)
        self.mailings: Final = Mailings(connection)
        self.syncs: Final = Syncs(connection)
        self.sync_answers: Final = SyncAnswers(connection)
        self.password_resets: Final = PasswordResets(connection)
        self.identities: Final = Identities(connection)
        self.tokens: Final = Tokens(connection)
        self.server_keys: Final = ServerKeys(connection)
        self.applications: Final = Applications(connection)
        self.allowed_users: Final = AllowedUsers(connection)
        self.grants: Final = Grants(connection)
        self.public_keys: Final = PublicKeys(connection)
        self.audit: Final = Audit(connection)


class Store(Protocol):
    """A database.

    Transactions raise `errors.StoreUnavailable` when the database fails; nothing of them is left
    then.
    """

    #: The number of the schema that the database had before it was opened; 0 if it had none.
    found_schema: int

    @property
    def is_blank(self) -> bool:
        """Whether the database has no schema yet, for example since its first use was killed."""

    def write(
        self, *, durable: bool = True, patience: float | None = None, is_slice: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Start a transaction that may write. It commits at the end of the block.

        `patience` is for how many seconds it waits for each lock of others, about. With None it
        waits for a minute, and in SQLite for other threads of this process without a limit.

        One that is not durable does not wait for the disk: a power cut, but not the end of the
        process, may undo it and all later ones that are not durable either. It is for work that is
        then done again.

        A slice is a part of long work. Where one transaction writes at a time, others that wait for
        it come before the next slice, of whatever work.
        """

    def read(self) -> AbstractContextManager[Transaction]:
        """Start a transaction that reads one state of the database."""

    def schema(self) -> int:
        """Return the number of the schema that the database has; 0 before the first migration."""

    def ready(self) -> bool:
        """Check that the database is reachable and has the schema of this version.

        Returns whether writes continue: without its synchronous standby, PostgreSQL lets them wait,
        and on a full disk SQLite refuses them, so that clients wait.

        Raises:
            StoreUnavailable: with the reason.
        """

    def close(self) -> None:
        """Close the database. Transactions in progress finish; later calls are refused."""
