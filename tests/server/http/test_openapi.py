"""Every response matches the OpenAPI document, and none is a 5xx."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.support.callers import OPERATOR
from tests.support.databases.postgres_databases import PostgresDatabases
from tests.support.second_factor.authenticator_apps import seed_keys_folder
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.domain.validation import Policy
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
    allow_header_conformance,
    missing_required_header,
    negative_data_rejection,
    unsupported_method,
]

#: the calls that sign users in, without a token
WITHOUT = ("/v1/sessions", "/v1/sessions/second-factor", "/v1/passwords")

#: the calls of a browser: without a body, only the cookie can be wrong, and the test sets it
OF_BROWSERS = (
    *("/v1/me", "/v1/me/sessions", "/v1/me/tokens", "/v1/sessions/current"),
    *("/v1/me/factors", "/v1/me/factors/totp"),
)


@cache
def document() -> schemathesis.BaseSchema:
    """Give the document, which takes half a second to make."""
    with TemporaryDirectory() as folder:
        settings = Settings(database=Path(folder) / "anyscale.db")
        with closing(ControlPlane(settings)) as control_plane:
            # As a dictionary: the calls go over HTTP to the server of a fixture.
            return schemathesis.openapi.from_dict(asyncio.run(_read_document(control_plane)))


async def _read_document(control_plane: ControlPlane) -> dict[str, Any]:
    """Read the document without the background work of a server, which would continue."""
    app: Any = application(control_plane)  # Litestar and httpx have different types for ASGI
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/openapi.json")
    document: dict[str, Any] = response.raise_for_status().json()
    return document


def values_in(part: Any) -> Iterator[tuple[str, Any]]:
    """Give each name and value of a document."""
    pairs = (
        part.items()
        if isinstance(part, dict)
        else enumerate(part)
        if isinstance(part, list)
        else ()
    )
    for name, value in pairs:
        yield str(name), value
        yield from values_in(value)


def test_the_schemas_have_the_form_that_generators_of_clients_read() -> None:
    # openapi-python-client reads an object for each of these, and `true` or `false` for none.
    schemas = [one for name, one in values_in(document().raw_schema) if name in ("items", "schema")]

    assert len(schemas) > 50
    assert all(isinstance(schema, dict) for schema in schemas)


def test_the_document_describes_each_filter_of_a_list() -> None:
    parameters = document().raw_schema["paths"]["/v1/users"]["get"]["parameters"]
    described = {one["name"]: one.get("description", "") for one in parameters}
    assert "whose email contains this" in described["email"]
    assert "whose first name (`name`) contains this" in described["name"]
    assert "with an `@` an email" in described["search"]


def test_the_document_says_what_an_update_takes_and_returns() -> None:
    whole = deepcopy(document().raw_schema)
    update, schemas = whole["paths"]["/v1/users/{user_id}"]["patch"], whole["components"]["schemas"]
    content = update["requestBody"]["content"]["application/json"]
    changes = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    assert changes["additionalProperties"] is False
    assert changes["required"] == []
    expected = changes["properties"].pop("expected")
    assert expected == {"$ref": "#/components/schemas/ExpectedUser"}
    assert changes["properties"].pop("reuse_email") == {"type": "boolean", "default": False}
    state = schemas["ExpectedUser"]["properties"]
    assert state.pop("permission_level") == {"type": "string"}
    assert state.pop("suspended") == {"type": "boolean"}
    assert state == changes["properties"]
    kinds = {
        field: [one["type"] for one in kind.get("anyOf", [kind])]
        for field, kind in changes["properties"].items()
    }
    assert kinds == {
        "name": ["string"],
        "lastname": ["string", "null"],
        "title": ["string", "null"],
        "external_id": ["string", "null"],
        "is_sso_user": ["boolean"],
        "email": ["string"],
    }
    returned = update["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(schemas[returned["$ref"].rpartition("/")[2]]["properties"]) == {
        *("user", "has_password"),
    }


@pytest.fixture(scope="module")
def served(postgres_databases: PostgresDatabases) -> Iterator[dict[str, Any]]:
    """The URL of a server with an account, and an owner's token.

    It is on PostgreSQL, which refuses more values than SQLite.
    """
    with postgres_databases.empty() as database:
        kept = Settings(database=database, second_factor_keys=seed_keys_folder())
        control_plane = ControlPlane(kept, profile=CHEAPEST)
        token = control_plane.tokens.create(OPERATOR, "jane", "owner", None)
        create_accounts(control_plane, "jane")
        with serve_in_process(control_plane) as url:
            HttpClient(url).sign_in_first_time()
            yield {"base_url": url, "headers": {"Authorization": f"Bearer {token}"}}


@pytest.fixture
def signed_in(served: dict[str, Any]) -> dict[str, Any]:
    """The same, with a new session for each operation, since some of them sign out."""
    return served | {"cookies": new_session(served["base_url"])}


def new_session(url: str) -> dict[str, str]:
    jane = HttpClient(url)
    jane.sign_in(password=NEW_PASSWORD)
    return dict(jane.cookies)


# A few random requests, since each operation first gets cases for all of its parameters and fields:
# 33 on average.
@document().parametrize()
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
def test_every_response_matches_the_openapi_document(
    case: "schemathesis.Case[Any]", signed_in: dict[str, Any]
) -> None:
    is_cookie_alone = case.path in OF_BROWSERS and not case.operation.body
    checks = [one for one in CHECKS if one is not negative_data_rejection or not is_cookie_alone]
    case.call_and_validate(**signed_in, checks=checks)


def operations() -> Iterator[tuple[str, str]]:
    """Give the method and the path of each operation of the API."""
    for path, methods in document().raw_schema["paths"].items():
        for method in methods.keys() & {"get", "post", "put", "patch", "delete"}:
            if path.startswith("/v1/") and path not in WITHOUT:
                yield method.upper(), re.sub(r"{\w+}", "1", path)


def test_every_call_needs_a_token(served: dict[str, Any]) -> None:
    calls = list(operations())
    assert len(calls) > 30
    with httpx.Client(base_url=served["base_url"], timeout=60) as client:
        for method, path in calls:
            for headers in ({}, {"Authorization": "Bearer mrt_x"}):
                status = client.request(method, path, headers=headers, json={}).status_code
                assert status == 401, (method, path)


def test_every_body_is_described_and_takes_no_other_field() -> None:
    whole = document().raw_schema
    without = {
        ("post", "/v1/batches/{batch_id}/release"),
        ("post", "/v1/batches/{batch_id}/drop"),
        ("post", "/v1/mailings/{mailing_id}/stop"),
        ("post", "/v1/me/factors/totp"),
        ("post", "/v1/me/factors/totp"),
    }
    found = set()
    for path, methods in whole["paths"].items():
        for method in methods.keys() & {"post", "put", "patch"}:
            if "requestBody" not in methods[method]:
                found.add((method, path))
                continue
            content = methods[method]["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rpartition("/")[2]
            assert whole["components"]["schemas"][name]["additionalProperties"] is False, name
    assert found == without


def test_only_opening_a_batch_requires_an_idempotency_key() -> None:
    required = {
        (method, path): one["required"]
        for path, methods in document().raw_schema["paths"].items()
        for method, operation in methods.items()
        for one in operation.get("parameters", [])
        if one["name"] == "Idempotency-Key"
    }
    assert required == {
        ("post", "/v1/batches"): True,
        ("get", "/v1/batches"): False,
        ("post", "/v1/users:batchCreate"): False,
    }


def test_a_chunk_number_is_one_whose_users_have_a_position() -> None:
    path = document().raw_schema["paths"]["/v1/batches/{batch_id}/chunks/{number}"]
    number = next(one for one in path["put"]["parameters"] if one["name"] == "number")
    last = int(number["schema"]["maximum"])
    assert (last + 1) * Policy().chunk_users <= 2**32 < (last + 3) * Policy().chunk_users


def test_a_key_of_an_undone_batch_is_a_documented_response() -> None:
    operation = document()["/v1/batches"]["GET"]
    assert "409" in operation.definition.raw["responses"]
