"""The fields of an account in forms, and what is wrong with them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Fault
from anyscale.errors import Problem as BatchProblem
from anyscale.server.http.web.console_page import Problem
from anyscale.server.http.web.forms import sentence
from anyscale.server.store.records.users import AccountRecord

#: the fields that are boxes to tick
BOXES = ("is_sso_user",)


class Text(NamedTuple):
    """A text about a user that pages show and edit."""

    label: str
    #: in the form of a new user
    hint: str = ""


#: field -> the optional text, in the order of the pages
DETAILS = {
    "lastname": Text("Last name"),
    "title": Text("Title", hint="For example Engineer"),
    "external_id": Text("Personnel number", hint="It stays when the email changes"),
}

#: field -> the text that can be corrected, in the order of the pages
TEXTS = {"name": Text("First name"), **DETAILS}

_LABELS = {field: text.label for field, text in TEXTS.items()} | {
    "email": "Email",
    "password": "Password",
    "is_sso_user": "Single sign-on",
}

#: a field that the form shows in another way
_SHOWN_AS = {"is_sso_user": "is_sso_user-yes"}


def entered(account: AccountRecord) -> dict[str, str]:
    """Return the fields that can be corrected as a browser would send those of an account."""
    texts = {name: getattr(account, name) or "" for name in TEXTS}
    return {**texts, "email": account.email, "is_sso_user": "yes" if account.is_sso_user else ""}


def without_blanks(fields: Mapping[str, str]) -> dict[str, str]:
    """Return fields of a form without the blanks that somebody typed or pasted around names.

    A personnel number with a blank is refused: see `domain.external_ids`.
    """
    kept = ("external_id", "password")
    return {name: text if name in kept else text.strip() for name, text in fields.items()}


def optional_texts(fields: Mapping[str, str]) -> dict[str, str | None]:
    """Return those optional texts that a form has; an empty one is None."""
    return {name: fields[name] or None for name in DETAILS if name in fields}


def changes_of(fields: Mapping[str, str]) -> UserChanges:
    """Return the changes for those fields of a form that it has."""
    values: dict[str, Any] = {**fields, **optional_texts(fields)}
    if "is_sso_user" in fields:
        values["is_sso_user"] = fields["is_sso_user"] == "yes"
    return UserChanges(**values)


def field_problems(faults: Iterable[Fault | BatchProblem]) -> list[Problem]:
    """Return what is wrong, each with the field of the form."""
    return [_problem(fault.field or "", fault.detail) for fault in faults]


def _problem(field: str, detail: str) -> Problem:
    text = f"{_LABELS[field]}: {detail}" if field in _LABELS else detail
    return sentence(text), _SHOWN_AS.get(field, field)
