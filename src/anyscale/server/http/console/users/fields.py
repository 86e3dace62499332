"""The fields of an account in forms, and what is wrong with them."""

from collections.abc import Iterable, Mapping
from typing import Any

from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Fault
from anyscale.errors import Problem as BatchProblem
from anyscale.server.http.web.console_page import Problem
from anyscale.server.http.web.forms import sentence
from anyscale.server.store.records.users import AccountRecord

__all__ = ["BOXES", "changes_of", "entered", "field_problems"]

#: the fields that are boxes to tick
BOXES = ("is_sso_user",)

#: field -> its label
LABELS = {
    "name": "First name",
    "lastname": "Last name",
    "title": "Title",
    "email": "Email",
    "password": "Password",
    "is_sso_user": "Single sign-on",
}

#: a field that the form shows in another way
_SHOWN_AS = {"is_sso_user": "is_sso_user-yes"}


def entered(account: AccountRecord) -> dict[str, str]:
    """Return the fields that can be corrected as a browser would send those of an account."""
    return {
        "name": account.name,
        "lastname": account.lastname or "",
        "title": account.title or "",
        "email": account.email,
        "is_sso_user": "yes" if account.is_sso_user else "",
    }


def changes_of(fields: Mapping[str, str]) -> UserChanges:
    """Return the changes for those fields of a form that it has."""
    values: dict[str, Any] = {**fields}
    for name in ("lastname", "title"):
        if name in fields:
            values[name] = fields[name] or None
    if "email" in fields:
        values["email"] = fields["email"].strip()
    if "is_sso_user" in fields:
        values["is_sso_user"] = fields["is_sso_user"] == "yes"
    return UserChanges(**values)


def field_problems(faults: Iterable[Fault | BatchProblem]) -> list[Problem]:
    """Return what is wrong, each with the field of the form."""
    return [_problem(fault.field or "", fault.detail) for fault in faults]


def _problem(field: str, detail: str) -> Problem:
    text = f"{LABELS[field]}: {detail}" if field in LABELS else detail
    return sentence(text), _SHOWN_AS.get(field, field)
