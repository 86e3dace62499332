"""/account/second-factor: where a user comes who has to add a second factor first."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery

from anyscale.server.core.second_factor.factors import FactorService
from anyscale.server.core.steps import Step
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.openid.authorize import REQUEST_EXPIRED
from anyscale.server.http.openid.continuation import LOST_REQUEST_NOTES, Continuations
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.session_pages import STEP_PAGES
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions


@get(
    STEP_PAGES[Step.SECOND_FACTOR],
    pool="read",
    opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}},
)
def show(
    request: UserRequest,
    login_options: NamedDependency[LoginOptions],
    factors: NamedDependency[FactorService],
    continuations: NamedDependency[Continuations],
    authorization: FromQuery[str] = "",
    note: FromQuery[str] = "",
) -> Response[str]:
    following = continuations.find(request, authorization)
    if request.user.has_second_factor:  # it was added in another window
        return redirect(following.path())
    shown = LOST_REQUEST_NOTES.get(REQUEST_EXPIRED if following.is_lost else note, "")
    return render_page(
        "required_factor",
        options=login_options,
        script=True,
        user=request.user,
        following=following,
        has_factors=factors.policy.is_on,
        note=shown,
    )


HANDLERS: list[Any] = [show]
