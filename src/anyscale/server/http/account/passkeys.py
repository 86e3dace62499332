"""/account/second-factor/passkey: the page where users add a passkey."""

from typing import Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import AnyscaleError, ConfigError, NotFound, PasskeyRefused
from anyscale.server.core.passkeys.new_passkeys import NewPasskeys
from anyscale.server.core.steps import Step
from anyscale.server.http.account.second_factor import follow_added, show_recovery_codes
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.refused_passkeys import record_refused_passkey
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form, refusal
from anyscale.server.http.web.templating import render_page

Page = Response[str]

NEW_PASSKEY: Final = "/account/second-factor/passkey"


@get(NEW_PASSKEY, pool="read", opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def show_new_passkey(
    request: UserRequest,
    new_passkeys: NamedDependency[NewPasskeys | None],
    replaces: FromQuery[str] = "",
    to: FromQuery[str] = "",
) -> Page:
    return _page(request, _required(new_passkeys), replaces=replaces, to=to)


@post(NEW_PASSKEY, pool="read", status_code=200, opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
def add_passkey(
    request: UserRequest,
    body: RawBody,
    new_passkeys: NamedDependency[NewPasskeys | None],
) -> Page:
    answer, name, replaces, to = read_form(request, body, "passkey", "name", "replaces", "to")
    passkeys, browser = _required(new_passkeys), read_cookie(request, SESSION)
    try:
        codes = passkeys.add(request.user, answer, browser, name, replaces)
    except (PasskeyRefused, ConfigError) as error:
        return _refused(request, passkeys, error, name=name, replaces=replaces, to=to)
    if codes:
        return show_recovery_codes(request, codes, is_first=True)
    return follow_added(request, replaces, to)


def _refused(
    request: UserRequest, passkeys: NewPasskeys, error: AnyscaleError, **shown: Any
) -> Page:
    record_refused_passkey(request, error)
    return _page(request, passkeys, **shown, **refusal(error))


def _required(new_passkeys: NewPasskeys | None) -> NewPasskeys:
    if new_passkeys is None:
        raise NotFound("there are no passkeys here")
    return new_passkeys


def _page(request: UserRequest, passkeys: NewPasskeys, **shown: Any) -> Page:
    values = {"name": "", "replaces": "", "to": "", **shown}
    return render_page(
        "add_passkey",
        options=request.app.state.login_options,
        script=True,
        user=request.user,
        passkey_options=passkeys.options(request.user, read_cookie(request, SESSION)),
        **values,
    )


HANDLERS = [show_new_passkey, add_passkey]
