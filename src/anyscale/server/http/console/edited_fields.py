"""The fields of a form that its user has edited, among those that others may change too."""

from collections.abc import Collection, Mapping

from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web.console_page import Problem
from anyscale.server.http.web.forms import read_form

_CHANGED = "This is now: {}. It was changed after this form was opened. Save again to replace it."


def read_fields(request: UserRequest, body: bytes, *names: str) -> dict[str, str]:
    """Return fields of a form as they were sent."""
    return dict(zip(names, read_form(request, body, *names), strict=True))


def read_edited(
    request: UserRequest, body: bytes, current: Mapping[str, str], boxes: Collection[str]
) -> tuple[dict[str, str], list[Problem]]:
    """Return the fields that a form edits, and their problems.

    The form has the opened values too, as `opened_name` and so on. An edited field has a problem,
    with its present value, if another request has changed it after the form was opened.

    Args:
        request: with the form.
        body: of the request.
        current: the present values, as a browser would send them.
        boxes: the fields that are boxes to tick.
    """
    sent = read_fields(request, body, *current)
    opened_values = read_form(request, body, *(f"opened_{name}" for name in current))
    opened = dict(zip(current, opened_values, strict=True))
    edited = {name: text for name, text in sent.items() if _is_edited(text, opened[name])}
    problems = [
        _changed_box(name, current[name]) if name in boxes else _changed(name, current[name])
        for name, text in edited.items()
        if lines_of(current[name]) not in (lines_of(opened[name]), lines_of(text))
    ]
    return edited, problems


def _is_edited(text: str, opened: str) -> bool:
    """Whether a text is another one, but for blanks that were typed around it."""
    return opened.splitlines() not in (text.splitlines(), text.strip().splitlines())


def lines_of(text: str) -> list[str]:
    """Return the lines of a field that are not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _changed(name: str, value: str) -> Problem:
    return _CHANGED.format(", ".join(lines_of(value)) or "empty"), name


def _changed_box(name: str, value: str) -> Problem:
    return _CHANGED.format("yes" if value else "no"), f"{name}-yes"
