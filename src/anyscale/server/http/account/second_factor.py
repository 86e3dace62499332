"""/account/second-factor: the pages where users add, replace and remove their second factors."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import AnyscaleError, CodeRefused, ConfigError, NotFound, SeedKeyMissing
from anyscale.server.core.login.return_paths import unsign_path
from anyscale.server.core.second_factor.factors import FactorService, NewApp
from anyscale.server.core.second_factor.totp import seed_text
from anyscale.server.core.steps import Step
from anyscale.server.http.account.qr_code import qr_code
from anyscale.server.http.account.view_models import factor_views
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.openid.continuation import Continuation
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form, refusal
from anyscale.server.http.web.kept_forms import restored_note
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.paths import RECOVERED

Page = Response[str]

#: the page that shows a QR code, and takes the first code
APP = "/account/second-factor/app"

_RECOVERY_CODES = "/account/second-factor/recovery-codes"


@get(APP, pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def show_app(
    request: UserRequest,
    factors: NamedDependency[FactorService],
    replaces: FromQuery[str] = "",
    to: FromQuery[str] = "",
) -> Page:
    app = factors.pending_app(request.user)
    return _app_page(request, app, replaces=replaces, to=to)


@post(APP, pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def begin_app(request: UserRequest, body: RawBody, factors: NamedDependency[FactorService]) -> Page:
    replaces, to = read_form(request, body, "replaces", "to")
    try:
        factors.begin_app(request.user)
    except (ConfigError, SeedKeyMissing) as error:
        return _app_page(request, None, replaces=replaces, to=to, **refusal(error))
    known = [one.factor_id for one in factors.list(request.user).factors]
    query = {"replaces": replaces if replaces in known else "", "to": to}
    query = {name: text for name, text in query.items() if text}
    return redirect(f"{APP}?{urlencode(query)}" if query else APP)


@post(f"{APP}/confirm", pool="read", status_code=200, opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def confirm_app(
    request: UserRequest,
    body: RawBody,
    factors: NamedDependency[FactorService],
) -> Page:
    code, name, replaces, to, factor_id = read_form(
        request, body, "code", "name", "replaces", "to", "factor_id"
    )
    try:
        codes = factors.confirm_app(request.user, code, name, replaces, factor_id)
    except NotFound:  # another window has added it
        return redirect("/")
    except (CodeRefused, ConfigError) as error:
        return _refused(request, factors, error, replaces=replaces, to=to, name=name)
    if codes:
        return show_recovery_codes(request, codes, is_first=True)
    return follow_added(request, replaces, to)


@get(f"{APP}/confirm", pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def show_begun_app(request: UserRequest, factors: NamedDependency[FactorService]) -> Page:
    """Show the app whose first code is awaited, such as after a sign-in, or else the account."""
    app = factors.pending_app(request.user)
    if app:
        return _app_page(request, app)
    return redirect("/?note=no_app" if restored_note() else "/")


@get(_RECOVERY_CODES)
async def show_account() -> Page:
    """Show the account to a browser that loads this page again: codes are shown once."""
    return redirect("/?restored=yes" if restored_note() else "/")


@post(_RECOVERY_CODES, pool="read", status_code=200)
def renew_recovery_codes(
    request: UserRequest, body: RawBody, factors: NamedDependency[FactorService]
) -> Page:
    (to,) = read_form(request, body, "to")
    try:
        codes = factors.renew_recovery_codes(request.user)
    except NotFound:  # another window has removed the last factor
        return redirect("/")
    return show_recovery_codes(request, codes, is_first=False, to=to)


@post("/account/second-factor/remove", pool="read")
def remove_factor(
    request: UserRequest, body: RawBody, factors: NamedDependency[FactorService]
) -> Page:
    (factor_id,) = read_form(request, body, "factor_id")
    with suppress(NotFound):  # another window has removed it
        factors.remove(request.user, factor_id)
    return redirect("/?note=factor_removed")


@get(RECOVERED, pool="read")
def show_recovered(
    request: UserRequest, factors: NamedDependency[FactorService], to: FromQuery[str] = ""
) -> Page:
    """Offer to replace the factor that the user could not show; `to` is a signed path."""
    listed, following = factors.list(request.user), _path_of(request, to, "/")
    return _page(
        request,
        "recovered",
        factors=factor_views(listed.factors, request.user.at),
        recovery_codes=listed.recovery_codes,
        to=to if following != "/" else "",
        following=following,
    )


def follow_added(request: UserRequest, replaces: str, to: str) -> Page:
    """Redirect to what waits for a user who has added a factor, or to the account page.

    `to` is a signed path.
    """
    note = "factor_replaced" if replaces else "factor_added"
    return redirect(_path_of(request, to, f"/?note={note}"))


def show_recovery_codes(
    request: UserRequest, codes: Sequence[str], *, is_first: bool, to: str = ""
) -> Page:
    """Show new recovery codes, this once: they are not stored, so that there is no redirect.

    `is_first` is whether the user had no second factor before, for which an application may wait;
    `to` is the signed path of what waits otherwise.
    """
    continuations = request.app.state.continuations
    following = continuations.find_newest(request) if is_first else Continuation()
    path = _path_of(request, to, following.path(note="codes_kept"))
    return _page(request, "recovery_codes", codes=codes, is_first=is_first, following=path)


def _path_of(request: UserRequest, to: str, default: str) -> str:
    """Return a signed path of ours, unless it is the account page, or else the default."""
    path = unsign_path(read_cookie(request, SESSION), to, "/")
    return default if path == "/" else path


def _refused(
    request: UserRequest, factors: FactorService, error: AnyscaleError, **shown: str
) -> Page:
    wrong = "code" if isinstance(error, CodeRefused) else "name"
    app = factors.pending_app(request.user)
    return _app_page(request, app, wrong=wrong, **shown, **refusal(error))


def _app_page(request: UserRequest, app: NewApp | None, **shown: Any) -> Page:
    values: dict[str, Any] = {"wrong": "", "name": "", "replaces": "", "to": "", **shown}
    if app:
        values |= {"qr_code": qr_code(app.uri), "secret": seed_text(app.seed), "uri": app.uri}
    return _page(request, "add_app", app=app, **values)


def _page(request: UserRequest, template: str, **values: Any) -> Page:
    options = request.app.state.login_options
    return render_page(template, options=options, script=True, user=request.user, **values)


HANDLERS = [
    show_app,
    begin_app,
    confirm_app,
    show_begun_app,
    show_account,
    renew_recovery_codes,
    remove_factor,
    show_recovered,
]
