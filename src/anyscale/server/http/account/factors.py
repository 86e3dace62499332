"""/v1/me/factors: a user's own second factors. Sessions only: a token is one factor."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import PathParameter, RawBody

from anyscale.server.core.second_factor.factors import FactorService
from anyscale.server.core.steps import Step
from anyscale.server.http.account.schemas import (
    ConfirmAppRequest,
    FactorList,
    NewAppInfo,
    RecoveryCodes,
    factor_list,
    new_app_info,
)
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import delete, get, post

FactorId = Annotated[str, PathParameter(max_length=64, description="`fac_...`")]


@get(
    "/factors",
    pool="read",
    operation_id="listMyFactors",
    summary="List your second factors, the oldest first, and how many recovery codes are left.",
    responses=error_responses(),
)
def list_factors(request: UserRequest, factors: NamedDependency[FactorService]) -> FactorList:
    return factor_list(factors.list(request.user))


@post(
    "/factors/totp",
    pool="read",
    opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}},
    operation_id="addMyApp",
    summary=(
        "Add an authenticator app. It counts after `confirmMyApp` with its first code. Needs a "
        "sign-in of the last 15 minutes."
    ),
    responses=error_responses(),
)
def add_app(request: UserRequest, factors: NamedDependency[FactorService]) -> NewAppInfo:
    return new_app_info(factors.begin_app(request.user))


@post(
    "/factors/totp/confirm",
    pool="read",
    opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}},
    status_code=200,
    operation_id="confirmMyApp",
    summary=(
        "Let the app count, by a code that it shows. With your first second factor, the response "
        "has recovery codes, and is the only one that has them."
    ),
    responses=error_responses(404, 413),
)
def confirm_app(
    request: UserRequest, body: RawBody, factors: NamedDependency[FactorService]
) -> RecoveryCodes:
    shown = decode(body, ConfirmAppRequest)
    return RecoveryCodes(list(factors.confirm_app(request.user, shown.code, shown.name)))


@delete(
    "/factors/{factor_id:str}",
    pool="read",
    operation_id="removeMyFactor",
    summary="Remove one of your second factors. Needs a sign-in of the last 15 minutes.",
    responses=error_responses(404),
)
def remove_factor(
    request: UserRequest, factor_id: FactorId, factors: NamedDependency[FactorService]
) -> None:
    factors.remove(request.user, factor_id)


HANDLERS = [list_factors, add_app, confirm_app, remove_factor]
