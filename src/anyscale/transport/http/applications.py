"""The calls of applications over HTTP."""

from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.schemas.applications import ApplicationList, SecretRotation
from anyscale.errors import NotFound
from anyscale.transport.http.ids import id_in_path
from anyscale.transport.http.retrying_client import RetryingClient


class Applications:
    """See `base.Applications`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def create(self, new: NewApplication) -> CreatedApplication:
        return self._request(CreatedApplication, "POST", "/v1/applications", new)

    def list(self) -> list[Application]:
        return self._request(ApplicationList, "GET", "/v1/applications").applications

    def get(self, client_id: str) -> Application:
        return self._request(Application, "GET", _application_path(client_id))

    def update(self, client_id: str, changes: ApplicationChanges) -> Application:
        return self._request(Application, "PATCH", _application_path(client_id), changes)

    def rotate_secret(self, client_id: str, *, now: bool) -> CreatedApplication:
        path = f"{_application_path(client_id)}/rotate-secret"
        return self._request(CreatedApplication, "POST", path, SecretRotation(now))

    def delete(self, client_id: str) -> None:
        self._request(type(None), "DELETE", _application_path(client_id))


def _application_path(client_id: str) -> str:
    return f"/v1/applications/{id_in_path(client_id, NotFound.application)}"
