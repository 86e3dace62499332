"""/console/applications: the programs that sign users in; their secrets are shown once."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Annotated, Any

from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter, QueryParameter, RawBody

from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.user_query import MAX_QUERY_TEXT
from anyscale.errors import AlreadyReplaced, ConfigError, NotFound
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.openid.applications import ApplicationService
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.console.application_fields import (
    CHOICES,
    FIELDS,
    audience_of,
    entered,
    is_check,
    refused,
    values_of,
)
from anyscale.server.http.console.application_programs import PROGRAMS, connection
from anyscale.server.http.console.edited_fields import read_edited, read_fields
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, Problem, refused_form, render_console_page
from anyscale.server.http.web.forms import read_form, read_form_key, read_number
from anyscale.server.http.web.templating import redirect
from anyscale.server.store.words import fold

_SECTION = "/console/applications"

_NOTES = {
    "checked": "Nothing is wrong. Nothing is saved yet.",
    "unmatched": "Nothing is saved yet. Look at who may sign in: no account matches a part of it.",
    "deleted": "The application is deleted. All sign-ins there have ended.",
    "repeated": "This form arrived twice: the application was created once.",
    "secret": "This form arrived twice: the application was created once, and its secret was shown "
    "in the first answer. If you did not see it, replace the secret.",
    "replaced": "The secret was replaced after you opened the page, and not once more now. If you "
    "did not see the new one, replace it again.",
    "updated": "The application is changed. Sign-ins that its settings exclude have ended.",
}

ClientId = Annotated[str, PathParameter(max_length=64)]


@get("/applications", pool="read")
def list_applications(
    request: UserRequest,
    applications: NamedDependency[ApplicationService],
    users: NamedDependency[UserQueries],
    batches: NamedDependency[BatchService],
    openid: NamedDependency[OpenIdProvider | None],
    q: Annotated[str, QueryParameter(max_length=MAX_QUERY_TEXT)] = "",
    note: FromQuery[str] = "",
) -> Page:
    named = [one for one in applications.list() if fold(q.strip()) in fold(one.name)]
    listed = sorted(named, key=lambda one: fold(one.name))
    return _render(
        request,
        "list",
        note=_NOTES.get(note, ""),
        applications=listed,
        q=q.strip(),
        names=names_in(listed, users),
        batches=batches.names(_batches_of(listed)),
        has_provider=openid is not None,
    )


@get("/applications/new", pool="read", guards=[require_recent_sign_in])
def show_form(request: UserRequest, applications: NamedDependency[ApplicationService]) -> Page:
    return _form(request, applications, dict.fromkeys([*FIELDS, *CHOICES], ""))


@post("/applications/new", pool="write", status_code=200)
def create_application(
    request: UserRequest,
    body: RawBody,
    applications: NamedDependency[ApplicationService],
) -> Page:
    sent = read_fields(request, body, *FIELDS, *CHOICES)
    fields = values_of(sent)
    new = NewApplication(is_public=bool(sent["is_public"]), **fields)
    form_key = read_form_key(request, body)
    try:
        if is_check(request, body):
            applications.check(fields, is_public=new.is_public)
            return _form(request, applications, sent, note=_NOTES["checked"])
        if problem := _unmatched(request, body, applications, new.audience):
            applications.check(fields, is_public=new.is_public)
            return _form(request, applications, sent, problems=[problem], status=400)
        created = applications.create(request.user, new, form_key)
    except ConfigError as error:
        if first := applications.of_form(request.user, form_key, new.name):
            note = "repeated" if first.is_public else "secret"
            return redirect(f"{_SECTION}/{first.client_id}?note={note}")
        return _form(request, applications, sent, **refused(error))
    # There is no redirect, which would have to store the secret or to put it into an address.
    return _secret(request, applications, created, heading="The application is created")


@get("/applications/{client_id:str}", pool="read")
def show_application(
    request: UserRequest,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
    users: NamedDependency[UserQueries],
    batches: NamedDependency[BatchService],
    openid: NamedDependency[OpenIdProvider | None],
    note: FromQuery[str] = "",
) -> Page:
    application = applications.get(client_id)
    return _render(
        request,
        "application",
        note=_NOTES.get(note, ""),
        application=application,
        connection=connection(application, openid.issuer if openid else None),
        matches=applications.count_matches(application.audience),
        names=names_in([application], users),
        batches=batches.names(_batches_of([application])),
    )


@get("/applications/{client_id:str}/edit", pool="read", guards=[require_recent_sign_in])
def show_settings(
    request: UserRequest,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> Page:
    application = applications.get(client_id)
    return _edit_form(request, applications, application, entered(application))


@post(
    "/applications/{client_id:str}/edit",
    pool="write",
    status_code=200,
)
def edit_application(
    request: UserRequest,
    body: RawBody,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> Page:
    """Change the edited fields. If another request has changed one, its value is shown first."""
    application = applications.get(client_id)
    current = entered(application)
    edited, problems = read_edited(request, body, current, CHOICES)
    sent = current | edited
    if problems:
        return _edit_form(request, applications, application, sent, problems=problems, status=409)
    changes = {
        name: value
        for name, value in values_of(sent).items()
        if value != getattr(application, name)
    }
    checks = is_check(request, body)
    if not changes and not checks:
        return redirect(f"{_SECTION}/{client_id}")
    try:
        if checks:
            applications.check(changes, is_public=application.is_public, client_id=client_id)
            return _edit_form(request, applications, application, sent, note=_NOTES["checked"])
        if problem := _unmatched(request, body, applications, changes.get("audience", ())):
            applications.check(changes, is_public=application.is_public, client_id=client_id)
            return _edit_form(
                request, applications, application, sent, problems=[problem], status=400
            )
        applications.update(request.user, client_id, ApplicationChanges(**changes))
    except ConfigError as error:
        return _edit_form(request, applications, application, sent, **refused(error))
    return redirect(f"{_SECTION}/{client_id}?note=updated")


@get("/applications/{client_id:str}/rotate-secret", pool="read", guards=[require_recent_sign_in])
def ask_to_rotate(
    request: UserRequest,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
    note: FromQuery[str] = "",
) -> Page:
    return _rotation(request, applications, client_id, note=_NOTES.get(note, ""))


@post(
    "/applications/{client_id:str}/rotate-secret",
    pool="write",
    status_code=200,
)
def rotate_secret(
    request: UserRequest,
    body: RawBody,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> Page:
    """Replace the secret, and show the new one only in the response.

    A form that arrives twice must not replace the secret that was shown: it names the time of the
    one that it replaces.
    """
    (when,) = read_form(request, body, "when")
    set_at = read_number(request, body, "set_at")
    try:
        rotated = applications.rotate_secret(
            request.user, client_id, now=when == "now", set_at=set_at
        )
    except AlreadyReplaced:
        return redirect(f"{_SECTION}/{client_id}/rotate-secret?note=replaced")
    except ConfigError as error:
        return _rotation(request, applications, client_id, **refused_form(error))
    return _secret(request, applications, rotated, heading="The secret is replaced")


@get("/applications/{client_id:str}/delete", pool="read", guards=[require_recent_sign_in])
def ask_to_delete(
    request: UserRequest, client_id: ClientId, applications: NamedDependency[ApplicationService]
) -> Page:
    return _render(request, "delete", application=applications.get(client_id))


@post("/applications/{client_id:str}/delete", pool="write")
def delete_application(
    request: UserRequest, client_id: ClientId, applications: NamedDependency[ApplicationService]
) -> Page:
    with suppress(NotFound):  # the form arrived twice
        applications.delete(request.user, client_id)
    return redirect(f"{_SECTION}?note=deleted")


def _batches_of(applications: Iterable[Application]) -> set[str]:
    """Return the ids of the batches whose users may sign in at some applications."""
    entries = (entry for one in applications for entry in one.audience)
    return {entry for entry in entries if entry.startswith("bat_")}


def _unmatched(
    request: UserRequest, body: bytes, applications: ApplicationService, audience: Sequence[str]
) -> Problem | None:
    """Return a question if parts of the audience match no account and were not confirmed."""
    matches = applications.count_matches(audience)
    unmatched = ", ".join(matches.unmatched) if matches else ""
    if not matches or not unmatched or read_form(request, body, "unmatched") == [unmatched]:
        return None
    none = "No account" if matches.is_whole else "None of the first million accounts"
    return f"{none} matches {unmatched}: correct it, or confirm it.", "audience"


def _secret(
    request: UserRequest,
    applications: ApplicationService,
    created: CreatedApplication,
    heading: str,
) -> Page:
    application, secret = created.application, created.client_secret or ""
    return _render(
        request,
        "secret",
        created=created,
        heading=heading,
        connection=connection(application, created.issuer, secret),
        matches=applications.count_matches(application.audience),
    )


def _rotation(
    request: UserRequest, applications: ApplicationService, client_id: str, **shown: Any
) -> Page:
    application, set_at = applications.get(client_id), applications.secret_set_at(client_id)
    return _render(request, "rotate", application=application, set_at=set_at, **shown)


def _form(
    request: UserRequest,
    applications: ApplicationService,
    sent: dict[str, str],
    template: str = "new",
    **shown: Any,
) -> Page:
    """Render the form, with the fields as they were sent."""
    matches = applications.count_matches(audience_of(sent))
    if matches and matches.unmatched and shown.get("note"):
        shown |= {"note": _NOTES["unmatched"], "note_kind": "warning"}
    return _render(request, template, sent=sent, matches=matches, programs=PROGRAMS, **shown)


def _edit_form(
    request: UserRequest,
    applications: ApplicationService,
    application: Application,
    sent: dict[str, str],
    **shown: Any,
) -> Page:
    values = {"application": application, "opened": entered(application)}
    return _form(request, applications, sent, "edit", **values, **shown)


def _render(request: UserRequest, template: str, **values: Any) -> Page:
    return render_console_page(request, f"applications/{template}", _SECTION, **values)


HANDLERS = [
    list_applications,
    show_form,
    create_application,
    show_application,
    show_settings,
    edit_application,
    ask_to_rotate,
    rotate_secret,
    ask_to_delete,
    delete_application,
]
