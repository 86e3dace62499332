"""What two syncs at once may do: their calls have more orders than can be tried one by one."""

from collections.abc import Iterable

from tests.resilience.histories.model import Account, Model, key_of
from tests.resilience.histories.steps import Entry, Sync


def check_two_syncs(before: Model, after: Model, *syncs: Sync) -> None:
    """Check that two syncs merged nobody, and changed only what one of their files has."""
    entries = [entry for sync in syncs for entry in sync.entries]
    accounts = list(after.accounts.values())
    numbers = [one.external_id for one in accounts if one.external_id]
    assert len({one.key for one in accounts}) == len(accounts)
    assert len(set(numbers)) == len(numbers)
    assert set(before.accounts) <= set(after.accounts)
    for account in accounts:
        was = before.accounts.get(account.user_id)
        if was is None:
            assert _is_new(account, before, entries), account
        else:
            _check_account(was, account, entries)


def _is_new(account: Account, before: Model, entries: Iterable[Entry]) -> bool:
    """Return whether an entry has the email of a new account, and nobody had it before."""
    is_in_file = any(key_of(entry["email"]) == account.key for entry in entries)
    is_free = not before.by_email(account.email) and before.freed(account.email) is None
    return is_in_file and is_free


def _check_account(was: Account, now: Account, entries: Iterable[Entry]) -> None:
    if was.is_owner or was.suspended == "hand":
        assert now == was
    assert now.suspended in (was.suspended, "sync", "")
    theirs = [entry for entry in entries if _may_be_of(entry, was, now)]
    for name in ("email", "external_id", "name", "lastname", "title"):
        values = [getattr(was, name), *(entry.get(name) for entry in theirs)]
        assert getattr(now, name) in values, (was, now)


def _may_be_of(entry: Entry, was: Account, now: Account) -> bool:
    """Return whether an entry may be that of an account: by its number, or its email."""
    number = entry.get("external_id")
    if number and number in (was.external_id, now.external_id):
        return True
    return key_of(entry["email"]) in (was.key, now.key)
