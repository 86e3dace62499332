"""The fields of an account in forms, and what is wrong with them."""

from collections.abc import Iterable

from anyscale.domain.validation import Fault
from anyscale.errors import BatchRefused
from anyscale.server.http.console.rendering import Problem

__all__ = ["conflict_problems", "field_problems"]

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


def field_problems(faults: Iterable[Fault]) -> list[Problem]:
    """Return what is wrong, each with the field of the form."""
    return [
        (_sentence(fault.field, fault.detail), _SHOWN_AS.get(fault.field, fault.field))
        for fault in faults
    ]


def conflict_problems(error: BatchRefused) -> list[Problem]:
    """Return why the email of a new account is refused."""
    return [
        (_sentence(problem.field or "", problem.detail), problem.field or "")
        for problem in error.problems
    ]


def _sentence(field: str, detail: str) -> str:
    label = LABELS.get(field, "")
    text = f"{label}: {detail}" if label else detail
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
