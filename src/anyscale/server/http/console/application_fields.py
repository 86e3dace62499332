"""The fields of the forms that create and edit an application."""

import re
from typing import Any

from anyscale.domain.models.applications import Application
from anyscale.errors import ConfigError
from anyscale.server.http.console.edited_fields import lines_of
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web.console_page import refused_form
from anyscale.server.http.web.forms import read_form, sentence

FIELDS = ("name", "redirect_uris", "post_logout_redirect_uris", "audience", "address")
CHOICES = ("is_public", "refresh_tokens", "without_pkce", "requires_second_factor")

#: a field that the page shows in another way
_SHOWN_AS = {
    "requires_pkce": "without_pkce-yes",
    "requires_second_factor": "requires_second_factor-yes",
}


def values_of(sent: dict[str, str]) -> dict[str, Any]:
    """Return the fields of an application that a form has sent, but `is_public`."""
    return {
        "name": sent["name"].strip(),
        "redirect_uris": lines_of(sent["redirect_uris"]),
        "post_logout_redirect_uris": lines_of(sent["post_logout_redirect_uris"]),
        "refresh_tokens": bool(sent["refresh_tokens"]),
        "requires_pkce": not sent["without_pkce"],
        "requires_second_factor": bool(sent["requires_second_factor"]),
        "audience": audience_of(sent),
        "address": sent["address"].strip() or None,
    }


def audience_of(sent: dict[str, str]) -> list[str]:
    """Return the entries of who may sign in, which may have commas or blanks between."""
    return [entry for entry in re.split(r"[\s,;]+", sent["audience"]) if entry]


def is_check(request: UserRequest, body: bytes) -> bool:
    """Whether a form is only to be checked."""
    return read_form(request, body, "check") == ["yes"]


def entered(application: Application) -> dict[str, str]:
    """Return the fields of a form as a browser would send those of an application."""
    return {
        "name": application.name,
        "redirect_uris": "\n".join(application.redirect_uris),
        "post_logout_redirect_uris": "\n".join(application.post_logout_redirect_uris),
        "audience": "\n".join(application.audience),
        "address": application.address or "",
        "refresh_tokens": "yes" if application.refresh_tokens else "",
        "without_pkce": "" if application.requires_pkce else "yes",
        "requires_second_factor": "yes" if application.requires_second_factor else "",
    }


def refused(error: ConfigError) -> dict[str, Any]:
    """Return the problems of a form that was refused, each at its field."""
    problems: dict[str, list[str]] = {}
    for field, message in zip(error.fields, error.args, strict=False):
        problems.setdefault(_SHOWN_AS.get(field, field), []).append(sentence(message))
    shown = refused_form(error)
    at_fields = [(" ".join(texts), field) for field, texts in problems.items()]
    return {**shown, "problems": at_fields or shown["problems"]}
