"""/v1/applications: create, list, change and delete the programs that sign users in."""

from typing import Annotated

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import PathParameter, RawBody

from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.schemas.applications import ApplicationList, SecretRotation
from anyscale.server.core.openid.applications import ApplicationService
from anyscale.server.core.permissions import Permission
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import delete, get, patch, post

ClientId = Annotated[str, PathParameter(max_length=64, description="`app_...`")]


@post(
    "/",
    pool="write",
    permission=Permission.MANAGE_APPLICATIONS,
    operation_id="createApplication",
    summary="Create an application. Its secret is in the response, this once.",
    responses=error_responses(409, 413),
)
def create(
    request: TokenRequest,
    body: RawBody,
    applications: NamedDependency[ApplicationService],
) -> CreatedApplication:
    new = decode(body, NewApplication)
    return applications.create(request.user, new)


@get(
    "/",
    pool="read",
    permission=Permission.READ_APPLICATIONS,
    operation_id="listApplications",
    summary="List all applications.",
    responses=error_responses(),
)
def list_applications(applications: NamedDependency[ApplicationService]) -> ApplicationList:
    return ApplicationList(applications.list())


@get(
    "/{client_id:str}",
    pool="read",
    permission=Permission.READ_APPLICATIONS,
    operation_id="getApplication",
    summary="Get an application.",
    responses=error_responses(404),
)
def get_application(
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> Application:
    return applications.get(client_id)


@patch(
    "/{client_id:str}",
    pool="write",
    permission=Permission.MANAGE_APPLICATIONS,
    operation_id="updateApplication",
    summary="Change fields of an application. Sign-ins that the new values exclude end.",
    responses=error_responses(404, 409, 413),
)
def update(
    request: TokenRequest,
    body: RawBody,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> Application:
    changes = decode(body, ApplicationChanges)
    return applications.update(request.user, client_id, changes)


@post(
    "/{client_id:str}/rotate-secret",
    pool="write",
    permission=Permission.MANAGE_APPLICATIONS,
    operation_id="rotateApplicationSecret",
    summary="Replace the secret. The previous one works for an hour, unless `now`.",
    status_code=200,
    responses=error_responses(404, 413),
)
def rotate_secret(
    request: TokenRequest,
    body: RawBody,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> CreatedApplication:
    now = decode(body, SecretRotation).now
    return applications.rotate_secret(request.user, client_id, now=now)


@delete(
    "/{client_id:str}",
    pool="write",
    permission=Permission.MANAGE_APPLICATIONS,
    operation_id="deleteApplication",
    summary="Delete an application. All sign-ins there end.",
    responses=error_responses(404),
)
def delete_application(
    request: TokenRequest,
    client_id: ClientId,
    applications: NamedDependency[ApplicationService],
) -> None:
    applications.delete(request.user, client_id)


ROUTER = Router(
    "/applications",
    route_handlers=[
        create,
        list_applications,
        get_application,
        update,
        rotate_secret,
        delete_application,
    ],
    tags=["applications"],
)
