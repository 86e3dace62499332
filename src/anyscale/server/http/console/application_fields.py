"""The fields of the forms that create and edit an application."""

from typing import Any

from anyscale.domain.models.applications import Application
from anyscale.errors import ConfigError
from anyscale.server.http.console.rendering import refused_form
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web.forms import read_form

__all__ = ["CHOICES", "FIELDS", "entered", "read_edited", "read_fields", "refused", "values_of"]

FIELDS = ("name", "redirect_uris", "post_logout_redirect_uris", "audience")
CHOICES = ("is_public", "refresh_tokens", "without_pkce")

_CHANGED = "This is now: {}. It was changed after this form was opened. Save again to replace it."

#: a field that the page shows in another way
_SHOWN_AS = {"requires_pkce": "without_pkce-yes"}


def read_fields(request: UserRequest, body: bytes, *names: str) -> dict[str, str]:
    """Return fields of a form as they were sent."""
    return dict(zip(names, read_form(request, body, *names), strict=True))


def read_edited(
    request: UserRequest, body: bytes, application: Application
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the fields of an application with those that the form edits, and their problems.

    The form has the opened values too. An edited field has a problem, with its value, if another
    request has changed it meanwhile; the others stay as they are.
    """
    current = entered(application)
    sent = read_fields(request, body, *current)
    opened_values = read_form(request, body, *(f"opened_{name}" for name in current))
    opened = dict(zip(current, opened_values, strict=True))
    edited = {name: text for name, text in sent.items() if _lines(text) != _lines(opened[name])}
    problems = [
        (_CHANGED.format(", ".join(_lines(current[name])) or "empty"), name)
        for name, text in edited.items()
        if _lines(current[name]) not in (_lines(opened[name]), _lines(text))
    ]
    return current | edited, problems


def values_of(sent: dict[str, str]) -> dict[str, Any]:
    """Return the fields of an application that a form has sent, but `is_public`."""
    return {
        "name": sent["name"].strip(),
        "redirect_uris": _lines(sent["redirect_uris"]),
        "post_logout_redirect_uris": _lines(sent["post_logout_redirect_uris"]),
        "refresh_tokens": bool(sent["refresh_tokens"]),
        "requires_pkce": not sent["without_pkce"],
        "audience": _lines(sent["audience"]),
    }


def entered(application: Application) -> dict[str, str]:
    """Return the fields of a form as a browser would send those of an application."""
    return {
        "name": application.name,
        "redirect_uris": "\n".join(application.redirect_uris),
        "post_logout_redirect_uris": "\n".join(application.post_logout_redirect_uris),
        "audience": "\n".join(application.audience),
        "refresh_tokens": "yes" if application.refresh_tokens else "",
        "without_pkce": "" if application.requires_pkce else "yes",
    }


def refused(error: ConfigError) -> dict[str, Any]:
    """Return the problem of a form that was refused, at its field."""
    return refused_form(error, _SHOWN_AS.get(error.field, error.field))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
