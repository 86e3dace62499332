"""Every response matches the OpenAPI document, and none is a 5xx."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.http_client import HttpClient
from tests.support.postgres_databases import PostgresDatabases
from tests.support.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.http.app import application
from anyscale.server.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

#: the calls that sign users in, without a token
WITHOUT = ("/v1/sessions", "/v1/passwords")


def document() -> schemathesis.BaseSchema:
    with TemporaryDirectory() as folder:
        settings = Settings(database=Path(folder) / "anyscale.db")
        with closing(ControlPlane(settings)) as plane:
            # As a dictionary: the calls go over HTTP to the server of a fixture.
            return schemathesis.openapi.from_dict(asyncio.run(_read_document(plane)))


async def _read_document(plane: ControlPlane) -> dict[str, Any]:
    """Read the document without the background work of a server, which would go on."""
    app: Any = application(plane)  # Litestar and httpx have different types for ASGI
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/openapi.json")
    document: dict[str, Any] = response.raise_for_status().json()
    return document


def test_the_document_describes_each_filter_of_a_list() -> None:
    parameters = document().raw_schema["paths"]["/v1/users"]["get"]["parameters"]
    described = {one["name"]: one.get("description", "") for one in parameters}
    assert "whose email contains this" in described["email"]
    assert "whose first name (`name`) contains this" in described["name"]
    assert "with an `@` an email" in described["search"]


def test_the_document_says_what_an_update_takes_and_returns() -> None:
    whole = document().raw_schema
    update, schemas = whole["paths"]["/v1/users/{user_id}"]["patch"], whole["components"]["schemas"]
    content = update["requestBody"]["content"]["application/json"]
    changes = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    assert changes["additionalProperties"] is False
    assert changes["required"] == []
    kinds = {
        field: [one["type"] for one in kind.get("anyOf", [kind])]
        for field, kind in changes["properties"].items()
    }
    assert kinds == {
        "name": ["string"],
        "lastname": ["string", "null"],
        "title": ["string", "null"],
        "is_sso_user": ["boolean"],
    }
    returned = update["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(schemas[returned["$ref"].rpartition("/")[2]]["properties"]) == {
        *("user", "has_password"),
    }


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_databases: PostgresDatabases,
) -> Iterator[dict[str, Any]]:
    """The URL of a server with an account, and an owner's token."""
    database: Any = tmp_path_factory.mktemp("openapi") / "anyscale.db"
    with postgres_databases.empty() as empty:
        database = empty if request.param == "postgres" else database
        plane = ControlPlane(Settings(database=database), profile=CHEAPEST)
        token = plane.tokens.create("jane", "owner", None, "local:test")
        create_accounts(plane, "jane")
        with serve_in_process(plane) as url:
            HttpClient(url).sign_in_first_time()
            yield {"base_url": url, "headers": {"Authorization": f"Bearer {token}"}}


@pytest.fixture
def signed_in(served: dict[str, Any]) -> dict[str, Any]:
    """The same, with a new session for each operation, since some of them sign out."""
    jane = HttpClient(served["base_url"])
    jane.sign_in(password=NEW_PASSWORD)
    return served | {"cookies": dict(jane.cookies)}


@document().parametrize()
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_every_response_matches_the_openapi_document(
    case: "schemathesis.Case[Any]", signed_in: dict[str, Any]
) -> None:
    case.call_and_validate(**signed_in, checks=CHECKS)


@document().parametrize()
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
def test_every_call_needs_a_token(case: "schemathesis.Case[Any]", served: dict[str, Any]) -> None:
    answer = case.call(base_url=served["base_url"], headers={"Authorization": "Bearer mrt_x"})
    if case.path.startswith("/v1/"):
        assert answer.status_code in (400, 401, 404, 405) or case.path in WITHOUT
