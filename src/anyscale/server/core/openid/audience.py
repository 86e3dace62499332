"""Which users an application signs in: owners, emails of a domain, accounts of a batch, or all."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from anyscale.domain.emails import email_key
from anyscale.domain.validation import shown
from anyscale.errors import ConfigError
from anyscale.server.store.records.openid import ApplicationRecord, Audience
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

_OWNERS = "owners"
_BATCH = "bat_"
_MOST = 50

#: accounts that are counted at most
_MOST_COUNTED = 10_000


class Matches(Struct, frozen=True):
    """How many accounts an audience has."""

    count: int
    #: whether there are more: the counting ends at 10,000 accounts
    is_more: bool
    #: whether all emails were looked at: some million are
    is_whole: bool
    #: The entries that no account matches, such as a domain with a typing error. A domain may be
    #: one of the emails that were not looked at.
    unmatched: Sequence[str]


def checked_audience(tx: Transaction, entries: Iterable[str]) -> list[str]:
    """Return what to store for `owners`, domains and ids of batches, or raise `ConfigError`."""
    checked: dict[str, None] = {}
    problems: list[str] = []
    for entry in entries:
        try:
            checked[_checked(tx, entry)] = None
        except ConfigError as error:
            problems += map(str, error.args)
    if len(checked) > _MOST:
        problems.append(f"an application is for at most {_MOST} domains and batches")
    if problems:
        raise ConfigError(*problems)
    return list(checked)


def _checked(tx: Transaction, entry: str) -> str:
    if entry.lower() == _OWNERS:
        return _OWNERS
    if entry.startswith(_BATCH):
        batch = tx.batches.get(entry)
        if batch is None:
            raise ConfigError(f"there is no batch {shown(entry)}")
        if batch.state not in ("open", "published"):
            raise ConfigError(f"the batch {shown(entry)} is {batch.state}: no user is of it")
        return entry
    try:
        return email_key(f"x@{entry.removeprefix('@')}").partition("@")[2]
    except ValueError:
        raise ConfigError(
            f"{shown(entry)} names no users: use owners, a domain such as example.com, or the id "
            "of a batch"
        ) from None


def is_allowed(tx: Transaction, application: ApplicationRecord, account: AccountRecord) -> bool:
    """Whether an application signs a user in: it is for all, or one of its entries matches."""
    entries = application.allowed
    return not entries or any(_matches(tx, entry, account) for entry in entries)


def _matches(tx: Transaction, entry: str, account: AccountRecord) -> bool:
    if entry == _OWNERS:
        return account.permission_level == "owner"
    if entry.startswith(_BATCH):
        return entry == account.batch_id and _has_users(tx, entry)
    return email_key(account.email).partition("@")[2] == entry


def count_matches(tx: Transaction, entries: Sequence[str]) -> Matches:
    """Count the accounts that match one of some entries, as `checked_audience` returns them."""
    audience = _audience(tx, entries)
    count, is_whole = tx.allowed_users.count(audience, _MOST_COUNTED + 1)
    return Matches(
        min(count, _MOST_COUNTED),
        is_more=count > _MOST_COUNTED,
        is_whole=is_whole,
        unmatched=_unmatched(tx, entries, audience) if count else entries,
    )


def _unmatched(tx: Transaction, entries: Sequence[str], audience: Audience) -> Sequence[str]:
    if len(entries) == 1:
        return ()
    batches = [Audience(batch_ids=[batch_id]) for batch_id in audience.batch_ids]
    used = {_OWNERS, *tx.allowed_users.domains_in_use(audience.domains)}
    used.update(*(one.batch_ids for one in batches if tx.allowed_users.count(one, 1)[0]))
    return [entry for entry in entries if entry not in used]


def end_excluded_grants(tx: Transaction, application: ApplicationRecord) -> None:
    """End the grants of users that a locked application excludes: see `is_allowed`."""
    if application.allowed:
        tx.grants.end_excluded(application.client_id, _audience(tx, application.allowed))


def _audience(tx: Transaction, entries: Sequence[str]) -> Audience:
    batches = [entry for entry in entries if entry.startswith(_BATCH)]
    return Audience(
        owners=_OWNERS in entries,
        domains=[entry for entry in entries if entry not in {_OWNERS, *batches}],
        batch_ids=[batch_id for batch_id in batches if _has_users(tx, batch_id)],
    )


def _has_users(tx: Transaction, batch_id: str) -> bool:
    # Also accounts that an undo keeps are not users of the batch any more.
    batch = tx.batches.get(batch_id)
    return batch is not None and batch.state == "published"
