"""All accounts for `anyscale user export`, for the operator."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from anyscale.domain.models.exports import ExportedUser
from anyscale.domain.password_hashes.parsing import parse
from anyscale.server.core.hashing.schemes.wrapped import PREFIX
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import ExportedRecord
from anyscale.server.store.transaction import Transaction

__all__ = ["UserExport", "exported_users"]

#: accounts in a page
_PAGE = 2_000


class UserExport:
    """The accounts of one state of the database, page by page.

    Args:
        tx: the transaction that reads.
        with_hashes: whether the users have the hashes of their passwords.
    """

    def __init__(self, tx: Transaction, *, with_hashes: bool) -> None:
        self._tx = tx
        self._with_hashes = with_hashes
        #: how many accounts there are
        self.total: int = tx.exports.count_users()
        #: scheme -> how many hashes of it were given
        self.hashes = Counter[str]()
        self._left_out = Counter[str]()

    def pages(self) -> Iterator[list[ExportedUser]]:
        """Iterate over all accounts in the order of their ids."""
        after = ""
        while found := self._tx.exports.page(after, _PAGE):
            yield list(map(self._user, found))
            after = found[-1].user_id

    def left_out(self) -> Mapping[str, int]:
        """Return how much of each kind belongs to accounts and was not given, after all pages."""
        return {**self._left_out, **self._tx.exports.count_left_out()}

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
            self._left_out["password_hashes"] += 1
            return None
        if text.startswith(PREFIX):  # only musterroll verifies it
            self._left_out["weak_password_hashes"] += 1
            return None
        # Nearly all are ours, and to parse one takes as long as all else of the account.
        scheme = "argon2" if text.startswith("$argon2") else parse(text).scheme
        self.hashes[scheme] += 1
        return text


@contextmanager
def exported_users(transactions: Transactions, *, with_hashes: bool) -> Iterator[UserExport]:
    """Give the accounts as they are now, whatever is written during the block."""
    with transactions.read() as tx:
        yield UserExport(tx, with_hashes=with_hashes)
