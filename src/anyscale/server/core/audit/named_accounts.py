"""The accounts that people name by an email when they look for entries, which have ids."""

from msgspec import structs

from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import NotFound
from anyscale.server.core.callers import user_actor
from anyscale.server.store.transaction import Transaction

__all__ = ["account_id", "with_ids"]


def account_id(tx: Transaction, text: str) -> str:
    """Return the id of the account with an email; any other text as it is.

    If no account has the email, it is the one that had it last.

    Raises:
        NotFound: no account has it, or had it.
    """
    if "@" not in text or ":" in text:  # `local:root@host` is an actor
        return text
    key = email_key_or_empty(text)
    if account := tx.accounts.find(key):
        return account.user_id
    former = [one.user_id for one in tx.emails.list_freed([key], 0) if one.user_id]
    if former:
        return former[-1]
    raise NotFound(f"there is no account {text}: a deleted one is found by its user_id")


def with_ids(tx: Transaction, only: AuditFilter) -> AuditFilter:
    """Return a filter with ids in place of emails, and the actor of an id.

    Raises:
        NotFound: an email has no account.
    """
    actor = account_id(tx, only.actor)
    if actor.startswith("usr_"):
        actor = user_actor(actor)
    return structs.replace(
        only,
        actor=actor,
        subject=account_id(tx, only.subject),
        account=account_id(tx, only.account),
    )
