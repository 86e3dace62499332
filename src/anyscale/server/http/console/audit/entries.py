"""Entries of the audit log as pages show them: sentences with names and links, and details."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from string import Formatter
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.times import TIME, from_milliseconds
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.audit.names import EntryNames
from anyscale.server.core.audit.runs import Run
from anyscale.server.http.console.audit.sentences import (
    Facts,
    label_of,
    sentence_of,
    sentence_of_run,
)

_ACTOR_OF_USER = "user:"

#: details that are times, in milliseconds
_TIMES = {"expires_at", "before", "encrypts_from", "signs_from", "first_at", "last_at"}

#: details that are ids
_PARTIES = {"client_id", "user_id"}

#: how ids begin -> the path of the page of what they stand for
_PAGES = {
    "usr_": "/console/users/",
    "bat_": "/console/batches/",
    "app_": "/console/applications/",
}

_ACTORS = {"system": "the server", "anonymous": "somebody"}


class Part(NamedTuple):
    """A part of a sentence."""

    text: str
    #: the address of the page of what it names; empty if there is none
    href: str = ""
    #: The filter that selects its entries, as a parameter and its value.
    filter: tuple[str, str] | None = None
    #: a time, which stands after the text
    at: datetime | None = None
    #: whether somebody wrote the text, perhaps from right to left
    is_written: bool = False


class ShownEntry(Struct, frozen=True):
    """An entry as a page shows it."""

    number: int
    time: datetime
    event: str
    words: Sequence[Part]
    #: the entries that it stands for; None for a single entry: only that has the fields below
    run: Run | None = None
    #: ids, those of users with their emails
    actor: str = ""
    subject: str = ""
    #: labels and texts
    details: Sequence[tuple[str, str]] = ()
    hash: str = ""


def shown_entries(audit_log: AuditLog, entries: Sequence[AuditEntry]) -> list[ShownEntry]:
    """Return entries as a page shows them, with the names that these have now."""
    return shown_runs([Run(entry, entry) for entry in entries], audit_log.names(entries))


def shown_runs(
    runs: Sequence[Run], names: EntryNames, link: Callable[[str, str], str] | None = None
) -> list[ShownEntry]:
    """Return runs as a page shows them, a line each.

    `link` gives the address of a filter; without it the names lead to pages.
    """
    shown = [shown_run(run, names) for run in runs]
    return [_filtering(one, link) for one in shown] if link else shown


def _filtering(entry: ShownEntry, link: Callable[[str, str], str]) -> ShownEntry:
    words = [one._replace(href=link(*one.filter)) if one.filter else one for one in entry.words]
    return msgspec.structs.replace(entry, words=words)


def party(id_: str, names: EntryNames, nobody: str = "a deleted user") -> Part:
    """Return the name of an actor or a subject; `nobody` stands for an account that is deleted."""
    id_ = id_.removeprefix(_ACTOR_OF_USER)
    kind, _, name = id_.partition(":")
    if id_.startswith("usr_"):
        user = names.users.get(id_)
        text = user.name if user else names.former_emails.get(id_, nobody)
        return _linked(text, id_, user, ("account", id_))
    if id_.startswith("bat_"):
        return _batch(id_, names)
    if id_.startswith("app_"):
        known = names.applications.get(id_)
        text = f"the application {known}" if known else "an application"
        return _linked(text, id_, known, ("subject", id_))
    if kind == "local":
        return Part("an operator on the server", filter=("actor", id_))
    if kind == "token":
        return Part(f"the token {name}", filter=("actor", id_))
    return Part(_ACTORS.get(id_, id_), filter=("actor", id_) if id_ in _ACTORS else None)


def _batch(batch_id: str, names: EntryNames) -> Part:
    batch = names.batches.get(batch_id)
    subject = ("subject", batch_id)
    if batch is None or batch.label:
        text = f"the import {batch.label}" if batch else "an import"
        return _linked(text, batch_id, batch, subject)
    at = from_milliseconds(batch.opened_at)
    return Part("the import of", _address(batch_id), subject, at)


def _linked(text: str, id_: str, known: object, chosen: tuple[str, str]) -> Part:
    return Part(text, _address(id_) if known else "", chosen)


def _address(id_: str) -> str:
    return _PAGES[id_[:4]] + id_


def shown_entry(entry: AuditEntry, names: EntryNames) -> ShownEntry:
    """Return an entry as a page shows it."""
    details = msgspec.json.decode(entry.data)
    facts = Facts(entry.actor, entry.event, entry.subject, details)
    return ShownEntry(
        entry.number,
        entry.time,
        entry.event,
        _capitalized(list(_parts(sentence_of(facts), facts, names))),
        actor=_exact(entry.actor, names),
        subject=_exact(entry.subject, names),
        details=[(_label(name), _exact_detail(name, details[name], names)) for name in details],
        hash=entry.hash,
    )


def shown_run(run: Run, names: EntryNames) -> ShownEntry:
    """Return a run as a page shows it; an entry that is not of one as itself."""
    one, times = run.newest, {"first_at": run.oldest.at, "last_at": run.newest.at}
    if run.count == 1:
        return shown_entry(one, names)
    details = {"count": f"{run.count:,}", "label": label_of(one.event), **times}
    facts = Facts(one.actor, one.event, "", details)
    words = _capitalized(list(_parts(sentence_of_run(facts), facts, names)))
    return ShownEntry(one.number, one.time, one.event, words, run)


def _parts(words: str, facts: Facts, names: EntryNames) -> Iterator[Part]:
    nobody = ["a user"] if facts.event == "account.deleted" else []  # it says so itself
    for text, name, _, _ in Formatter().parse(words):
        if text:
            yield Part(text)
        if name in ("actor", "subject"):
            yield party(getattr(facts, name), names, *nobody)
        elif name == "event":
            yield Part(facts.event)
        elif name:
            yield _detail(name, facts.details.get(name), names)


def _capitalized(parts: list[Part]) -> list[Part]:
    first = parts[0]
    # A name is as its user writes it, even in lower case.
    if first.filter and first.filter[0] == "account":
        return parts
    text = first.text[:1].upper() + first.text[1:]
    return [first._replace(text=text), *parts[1:]]


def _detail(name: str, value: Any, names: EntryNames) -> Part:
    if name in _TIMES and isinstance(value, int):
        return Part("", at=from_milliseconds(value))
    if name in _PARTIES:
        return party(str(value), names)
    return Part("none" if value is None else str(value), is_written=True)


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _exact(id_: str, names: EntryNames) -> str:
    """Return an id, for a user with the email, since two users may have one name."""
    user = names.users.get(id_.removeprefix(_ACTOR_OF_USER))
    return f"{id_} ({user.email})" if user else id_


def _exact_detail(name: str, value: Any, names: EntryNames) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name in _TIMES:
        return f"{from_milliseconds(value):{TIME}}"
    return _exact(str(value), names)
