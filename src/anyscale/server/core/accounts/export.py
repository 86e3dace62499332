"""All accounts for `anyscale user export`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from msgspec import structs

from anyscale.domain.models.exports import ExportedUser
from anyscale.domain.password_hashes.parsing import parse
from anyscale.domain.schemas.exports import EXPORT_PAGE, ExportPage
from anyscale.server.core.hashing.schemes.wrapped import PREFIX
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import ExportedRecord
from anyscale.server.store.transaction import Transaction


class UserExport:
    """The accounts of one state of the database, page by page.

    Args:
        tx: the transaction that reads.
        with_hashes: whether the users have the hashes of their passwords.
    """

    def __init__(self, tx: Transaction, *, with_hashes: bool) -> None:
        self._tx = tx
        self._with_hashes = with_hashes
        #: scheme -> how many hashes of it were given
        self.hashes = Counter[str]()
        #: kind -> how many hashes of the given accounts were left out
        self.hashes_left_out = Counter[str]()

    @cached_property
    def total(self) -> int:
        return self._tx.exports.count_users()

    def pages(self) -> Iterator[list[ExportedUser]]:
        """Iterate over all accounts in the order of their ids."""
        after: str | None = ""
        while after is not None:
            users, after = self.page(after, EXPORT_PAGE)
            yield users

    def page(self, after: str, limit: int) -> tuple[list[ExportedUser], str | None]:
        """Return accounts after a `user_id`, and after which one the next page begins, or None."""
        found = self._tx.exports.page(after, limit)
        return list(map(self._user, found)), found[-1].user_id if len(found) == limit else None

    def left_out(self) -> Mapping[str, int]:
        """Return how much of each kind belongs to accounts and was not given, after all pages."""
        return {**self.hashes_left_out, **self._tx.exports.count_left_out()}

    def _user(self, found: ExportedRecord) -> ExportedUser:
        has_password = found.password_hash is not None
        return ExportedUser(
            name=found.name,
            email=found.email,
            lastname=found.lastname,
            title=found.title,
            is_sso_user=found.is_sso_user,
            external_id=found.external_id,
            suspended=found.suspended_at is not None,
            password_initial=has_password and found.password_set_at is None,
            sub=found.subject or found.user_id,
            permission_level="owner" if found.permission_level == "owner" else None,
            password_hash=self._hash(found.password_hash),
        )

    def _hash(self, text: str | None) -> str | None:
        if text is None:
            return None
        if not self._with_hashes:
            self.hashes_left_out["password_hashes"] += 1
            return None
        if text.startswith(PREFIX):  # only musterroll verifies it
            self.hashes_left_out["weak_password_hashes"] += 1
            return None
        # Nearly all are ours, and to parse one takes as long as all else of the account.
        scheme = "argon2" if text.startswith("$argon2") else parse(text).scheme
        self.hashes[scheme] += 1
        return text


class UserExports:
    """All accounts, of one moment or page by page."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @contextmanager
    def whole(self, *, with_hashes: bool) -> Iterator[UserExport]:
        """Give the accounts as they are now, whatever is written during the block."""
        with self._transactions.read() as tx:
            yield UserExport(tx, with_hashes=with_hashes)

    def page(self, after: str, limit: int) -> ExportPage:
        """Return a page of the accounts as they are now, without hashes.

        `password_initial` goes with the hashes: it would tell a reader which passwords are initial.
        """
        with self.whole(with_hashes=False) as export:
            found, last = export.page(after, limit)
            users = [structs.replace(user, password_initial=False) for user in found]
            total = None if after else export.total
            return ExportPage(users, last, total, export.hashes_left_out.total())
