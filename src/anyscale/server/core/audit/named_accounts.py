"""What people type when they look for entries: emails in place of ids, and names of events."""

from msgspec import structs

from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.audit import EVENTS, AuditFilter
from anyscale.errors import NotFound
from anyscale.server.core.callers import user_actor
from anyscale.server.store.transaction import Transaction


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
        NotFound: an email has no account, or the event is unknown.
    """
    _check_event(tx, only.event)
    actor = account_id(tx, only.actor)
    if actor.startswith("usr_"):
        actor = user_actor(actor)
    return structs.replace(
        only,
        actor=actor,
        subject=account_id(tx, only.subject),
        account=account_id(tx, only.account),
    )


def _check_event(tx: Transaction, event: str) -> None:
    if not event or event in EVENTS or event in tx.audit.list_events():  # of another version
        return
    from difflib import get_close_matches  # only for an error

    near = get_close_matches(event.lower(), EVENTS)
    hint = f": did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(EVENTS)}"
    raise NotFound(f"there is no event {event}{hint}")
