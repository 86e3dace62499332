"""What an old session may do: nothing to owners, to tokens of others, or that cannot be undone.

The tables have every route that a session may call to write. A new one is missing in both, and
the first test says so.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from litestar.routes import HTTPRoute
from tests.server.http.console.conftest import Console, run_console
from tests.server.http.pages.requests import PUBLIC, create_owner, send
from tests.support.callers import OPERATOR, personal_token_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator_apps import add_app, seed_keys_folder
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import get_account, let_time_pass
from tests.support.users import NEW_PASSWORD, checked_users, create_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.account.routes import ROUTERS
from anyscale.server.http.console.routes import ROUTER

APPLICATION = {"redirect_uris": "https://wiki.example.com/back"}

_numbers = itertools.count()


class Target(NamedTuple):
    """An owner with a session and a token, and what else an old session could change."""

    email: str
    user_id: str
    token_id: str
    robot_id: str
    batch_id: str
    client_id: str


Form = Callable[[Target], dict[str, str]]

#: path of a form -> its fields
GUARDED: dict[str, Form] = {
    "/console/users/new": lambda t: {"email": f"new-{t.email}", "name": "New"},
    "/console/users/suspend": lambda t: {"user_id": t.user_id},
    "/console/users/restore": lambda t: {"user_id": t.user_id},
    "/console/users/links": lambda t: {"user_id": t.user_id, "format": "csv"},
    "/console/users/{user_id}/suspend": lambda _: {},
    "/console/users/{user_id}/restore": lambda _: {},
    "/console/users/{user_id}/sign-out": lambda _: {},
    "/console/users/{user_id}/role": lambda _: {"role": "collaborator"},
    "/console/users/{user_id}/delete": lambda t: {"email": t.email},
    "/console/users/{user_id}/revoke-token": lambda t: {"token_id": t.token_id},
    "/console/users/{user_id}/correct": lambda _: {"name": "Other", "opened_name": "Jane"},
    "/console/users/{user_id}/link": lambda _: {"replaces": ""},
    "/console/batches/{batch_id}/links": lambda _: {"format": "csv"},
    "/console/batches/{batch_id}/undo": lambda _: {"number": "1", "expected": "1"},
    "/console/tokens/new": lambda t: {"name": t.client_id, "days": "30"},
    "/console/tokens/revoke": lambda t: {"token_id": t.robot_id},
    "/console/applications/new": lambda t: {"name": f"New {t.client_id}", **APPLICATION},
    "/console/applications/{client_id}/edit": lambda t: {"name": f"Other {t.client_id}"},
    "/console/applications/{client_id}/rotate-secret": lambda _: {"when": "now"},
    "/console/applications/{client_id}/delete": lambda _: {},
    "/v1/me/tokens": lambda t: {"name": f"api {t.client_id}"},
}

#: what the user does to the own account, and what can be undone
FREE = {
    ("POST", "/console/audit/verify"),
    ("POST", "/console/batches"),
    ("POST", "/console/batches/check"),
    ("POST", "/console/batches/{batch_id}/continue"),
    ("POST", "/console/batches/{batch_id}/drop"),
    ("POST", "/console/mails/{mailing_id}/stop"),
    ("POST", "/console/sync/check"),
    ("POST", "/sign-in-again"),
    ("POST", "/sessions/revoke"),
    ("POST", "/sessions/revoke-others"),
    ("POST", "/applications/revoke"),
    ("POST", "/tokens/revoke"),
    ("PUT", "/v1/me/password"),
    ("DELETE", "/v1/me/sessions"),
    ("DELETE", "/v1/me/sessions/{session_id}"),
    ("DELETE", "/v1/me/tokens/{token_id}"),
}

#: What is called with an old session elsewhere: factors in `tests/server/second_factor/` and
#: `test_second_factor_pages.py`, those of others below, mails to many in `test_mails.py`,
#: and syncs in `test_syncs.py`.
ELSEWHERE = {
    ("POST", "/console/mails/new"),
    ("POST", "/console/sync"),
    ("POST", "/console/users/{user_id}/reset-second-factor"),
    ("POST", "/account/second-factor/passkey"),
    ("POST", "/account/second-factor/app"),
    ("POST", "/account/second-factor/app/confirm"),
    ("POST", "/account/second-factor/recovery-codes"),
    ("POST", "/account/second-factor/remove"),
    ("POST", "/v1/me/factors/totp"),
    ("POST", "/v1/me/factors/totp/confirm"),
    ("DELETE", "/v1/me/factors/{factor_id}"),
}

#: what an old session must not change
ROWS = (
    "select user_id, email, name, permission_level, suspended_at, is_sso_user from users",
    "select session_id, user_id from sessions",
    "select token_id, revoked_at from tokens",
    "select user_id, hash from links",
    "select client_id, name, secret_hash from applications",
)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = Path(tmp_path_factory.mktemp("console"))
    with run_console(folder, public_url=PUBLIC, second_factor_keys=seed_keys_folder()) as console:
        yield console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


def new_target(console: Console, *, suspended: bool) -> Target:
    plane, name = console.control_plane, f"kim{next(_numbers)}"
    batch = plane.batches.create(OPERATOR, name, checked_users(name, f"un{name}"), "fail").batch
    create_owner(plane, name)
    account = get_account(plane, f"{name}@example.com")
    caller = personal_token_caller(plane, account.user_id)
    plane.tokens.create(OPERATOR, name, "owner", None)
    (robot,) = [token for token in plane.tokens.list_live("") if token.name == name]
    new = NewApplication(name=name, redirect_uris=[APPLICATION["redirect_uris"]])
    client_id = plane.applications.create(OPERATOR, new).application.client_id
    if suspended:
        plane.lifecycle.suspend(OPERATOR, account.user_id)
    return Target(
        account.email,
        account.user_id,
        caller.token.token_id,
        robot.token_id,
        batch.batch_id,
        client_id,
    )


def call(client: HttpClient, path: str, target: Target, set_at: str) -> HttpResponse:
    form = GUARDED[path](target)
    where = path.format(**target._asdict())
    if path.startswith("/v1/"):
        return client.request("POST", where, form)
    opened = {"opened_name": client_name(target), "set_at": set_at}
    return send(client, where, **form, **(opened if "client_id" in path else {}))


def client_name(target: Target) -> str:
    return target.email.partition("@")[0]


def secret_set_at(console: Console, target: Target) -> str:
    with console.control_plane.store.read() as tx:
        application = tx.applications.get(target.client_id)
    assert application
    return str(application.secret_set_at)


def rows(console: Console) -> list[list[str]]:
    with console.control_plane.store.read() as tx:
        return [sorted(map(str, execute_sql(tx, sql).fetchall())) for sql in ROWS]


def test_every_route_that_a_session_may_call_to_write_is_in_a_table() -> None:
    found = {
        (method, route.path.rstrip("/").replace(":str", ""))
        for router in (ROUTER, *ROUTERS)
        for route in router.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS", "GET", "HEAD"}
    }
    assert found == FREE | ELSEWHERE | {("POST", path) for path in GUARDED}


@pytest.mark.parametrize("path", GUARDED)
def test_an_old_session_changes_nothing_that_needs_a_recent_sign_in(
    console: Console, jane: HttpClient, path: str
) -> None:
    target = new_target(console, suspended=path.endswith("restore"))
    set_at = secret_set_at(console, target)
    let_time_pass(console.control_plane, 16 * MINUTE_MS)
    before = rows(console)

    refused = call(jane, path, target, set_at)

    if path == "/console/users/new":  # the account is created, and its link is not
        assert refused.headers["location"].endswith("?note=without_link")
        assert rows(console)[1:] == before[1:]
    elif path == "/v1/me/tokens":
        assert (refused.status, refused.json["code"]) == (403, "not_permitted")
        assert rows(console) == before
    else:
        assert refused.headers["location"].startswith("/sign-in-again?to="), refused.status
        assert rows(console) == before

    send(jane, "/sign-in-again", to="", password=NEW_PASSWORD)
    again = target._replace(email=f"again-{target.email}") if path.endswith("users/new") else target
    assert call(jane, path, again, set_at).status < 400
    assert rows(console) != before


def test_an_old_session_makes_no_member_an_owner(console: Console, jane: HttpClient) -> None:
    plane, name = console.control_plane, f"mia{next(_numbers)}"
    create_accounts(plane, name)
    path = f"/console/users/{get_account(plane, f'{name}@example.com').user_id}/role"
    let_time_pass(plane, 16 * MINUTE_MS)
    before = rows(console)

    assert send(jane, path, role="owner").headers["location"].startswith("/sign-in-again?to=")

    assert rows(console) == before
    send(jane, "/sign-in-again", to="", password=NEW_PASSWORD)
    assert send(jane, path, role="owner").status == 303
    assert get_account(plane, f"{name}@example.com").permission_level == "owner"


def test_an_old_session_removes_no_second_factor_of_a_user(
    console: Console, jane: HttpClient
) -> None:
    plane, name = console.control_plane, f"lea{next(_numbers)}"
    create_accounts(plane, name)
    user_id = get_account(plane, f"{name}@example.com").user_id
    add_app(plane, user_id)
    let_time_pass(plane, 16 * MINUTE_MS)
    path = f"/console/users/{user_id}/reset-second-factor"

    refused = send(jane, path, reason="lost phone")
    assert refused.headers["location"].startswith("/sign-in-again?to=")
    with plane.store.read() as tx:
        assert tx.factors.kinds(user_id)
    send(jane, "/sign-in-again", to="", password=NEW_PASSWORD)
    assert send(jane, path, reason="lost phone").status == 303
    with plane.store.read() as tx:
        assert not tx.factors.kinds(user_id)
