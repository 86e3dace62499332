"""/account/second-factor: the pages where users add, replace and remove their second factors."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

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

__all__ = ["APP", "HANDLERS", "show_recovery_codes"]

Page = Response[str]

#: the page that shows a QR code, and takes the first code
APP = "/account/second-factor/app"

_RECOVERY_CODES = "/account/second-factor/recovery-codes"


@get(APP, pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def show_app(
    request: UserRequest, factors: NamedDependency[FactorService], replaces: FromQuery[str] = ""
) -> Page:
    return _app_page(request, factors.pending_app(request.user), replaces)


@post(APP, pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def begin_app(request: UserRequest, body: RawBody, factors: NamedDependency[FactorService]) -> Page:
    (replaces,) = read_form(request, body, "replaces")
    try:
        factors.begin_app(request.user)
    except (ConfigError, SeedKeyMissing) as error:
        return _app_page(request, None, replaces, **refusal(error))
    known = [one.factor_id for one in factors.list(request.user).factors]
    return redirect(f"{APP}?replaces={replaces}" if replaces in known else APP)


@post(f"{APP}/confirm", pool="read", status_code=200, opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def confirm_app(
    request: UserRequest,
    body: RawBody,
    factors: NamedDependency[FactorService],
) -> Page:
    code, name, replaces = read_form(request, body, "code", "name", "replaces")
    try:
        codes = factors.confirm_app(request.user, code, name, replaces)
    except NotFound:  # another window has added it
        return redirect("/")
    except (CodeRefused, ConfigError) as error:
        return _refused(request, factors, error, replaces, name)
    if codes:
        return show_recovery_codes(request, codes, is_first=True)
    return redirect(f"/?note={'factor_replaced' if replaces else 'factor_added'}")


@get(f"{APP}/confirm", pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def show_begun_app(request: UserRequest, factors: NamedDependency[FactorService]) -> Page:
    """Show the app whose first code is awaited, such as after a sign-in, or else the account."""
    app = factors.pending_app(request.user)
    return _app_page(request, app, "") if app else redirect("/")


@get(_RECOVERY_CODES)
async def show_account() -> Page:
    """Show the account to a browser that loads this page again: codes are shown once."""
    return redirect("/?restored=yes" if restored_note() else "/")


@post(_RECOVERY_CODES, pool="read", status_code=200)
def renew_recovery_codes(request: UserRequest, factors: NamedDependency[FactorService]) -> Page:
    try:
        codes = factors.renew_recovery_codes(request.user)
    except NotFound:  # another window has removed the last factor
        return redirect("/")
    return show_recovery_codes(request, codes, is_first=False)


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
    listed = factors.list(request.user)
    return _page(
        request,
        "recovered",
        factors=factor_views(listed.factors, request.user.at),
        recovery_codes=listed.recovery_codes,
        following=unsign_path(read_cookie(request, SESSION), to, "/"),
    )


def show_recovery_codes(request: UserRequest, codes: Sequence[str], *, is_first: bool) -> Page:
    """Show new recovery codes, this once: they are not stored, so that there is no redirect.

    `is_first` is whether the user had no second factor before, for which an application may wait.
    """
    continuations = request.app.state.continuations
    following = continuations.find_newest(request) if is_first else Continuation()
    path = following.path(note="codes_kept")
    return _page(request, "recovery_codes", codes=codes, is_first=is_first, following=path)


def _refused(
    request: UserRequest, factors: FactorService, error: AnyscaleError, replaces: str, name: str
) -> Page:
    wrong = "code" if isinstance(error, CodeRefused) else "name"
    shown = refusal(error)
    app = factors.pending_app(request.user)
    return _app_page(request, app, replaces, wrong=wrong, name=name, **shown)


def _app_page(request: UserRequest, app: NewApp | None, replaces: str, **shown: Any) -> Page:
    values: dict[str, Any] = {"wrong": "", "name": "", "replaces": replaces, **shown}
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
