"""The names of what entries of the audit log have only ids of."""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, json

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.names import full_name
from anyscale.server.store.transaction import Transaction

_USER, _BATCH, _APPLICATION = _KINDS = ("usr_", "bat_", "app_")
_USER_ID = re.compile(_USER + "[0-9a-f]{32}")
_BATCH_ID = re.compile(_BATCH + "[0-9a-f]{24}")


class NamedUser(Struct, frozen=True):
    """A user, by name and email."""

    name: str
    email: str


class NamedBatch(Struct, frozen=True):
    """A batch, by its label and its time."""

    label: str | None
    #: milliseconds since 1970, UTC
    opened_at: int


class EntryNames(Struct, frozen=True):
    """The names of users, batches and applications by their ids, as they are now."""

    users: Mapping[str, NamedUser]
    #: The last emails of deleted accounts, as far as an entry has them.
    former_emails: Mapping[str, str]
    batches: Mapping[str, NamedBatch]
    applications: Mapping[str, str]


def has_id(text: str) -> bool:
    """Return whether a text has an id that stands for a name: a token and the server have none."""
    return any(kind in text for kind in _KINDS)


def names_of(tx: Transaction, entries: Sequence[AuditEntry], *ids: str) -> EntryNames:
    """Return the names of all that entries have the ids of, by some statements for all of them."""
    texts = [text for one in entries for text in (one.actor, one.subject, one.data)]
    texts += ids
    users, former = _users(tx, _ids(_USER_ID, texts))
    batches = tx.batches.list_with_ids(_ids(_BATCH_ID, texts))
    applications = tx.applications.list() if any(_APPLICATION in text for text in texts) else []
    return EntryNames(
        users,
        former,
        {one.batch_id: NamedBatch(one.label, one.opened_at) for one in batches},
        {one.client_id: one.name for one in applications},
    )


def _ids(pattern: re.Pattern[str], texts: Iterable[str]) -> list[str]:
    return sorted({one for text in texts for one in pattern.findall(text)})


def _users(tx: Transaction, user_ids: Sequence[str]) -> tuple[dict[str, NamedUser], dict[str, str]]:
    found = tx.users.list_with_ids(user_ids)
    users = {one.user_id: NamedUser(full_name(one.name, one.lastname), one.email) for one in found}
    deleted = [one for one in user_ids if one not in users]
    changes = tx.audit.list_of_subjects("account.email_changed", deleted) if deleted else []
    former = {one.subject: str(json.decode(one.data)["new_email"]) for one in changes}
    return users, former
