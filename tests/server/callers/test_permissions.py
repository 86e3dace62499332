"""Who may do what: each route and each call, with each kind of caller."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from litestar.handlers import HTTPRouteHandler
from tests.server.callers.calls import OPERATOR_CALLS, OWNER_CALLS, new_owner
from tests.server.callers.stored_rows import rows
from tests.support.callers import (
    OPERATOR,
    new_session,
    personal_token,
    session_caller,
    token_of_role,
)
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.reused_routes import routes_of
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import checked_users

from anyscale.errors import NotPermitted
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core import callers
from anyscale.server.core.audit.entries import AUDIT_EXPORTED, USERS_EXPORTED
from anyscale.server.core.callers import Caller
from anyscale.server.core.permissions import TOKEN_ROLES, Permission
from anyscale.server.http.authentication import PERMISSION
from anyscale.server.http.cookies import SESSION

READ = {Permission.READ_ACCOUNTS, Permission.READ_APPLICATIONS, Permission.READ_AUDIT_LOG}

#: operation -> what its caller needs
OPERATIONS = {
    "getPolicy": Permission.READ_ACCOUNTS,
    "findUsers": Permission.READ_ACCOUNTS,
    "listUsers": Permission.READ_ACCOUNTS,
    "exportUsers": Permission.READ_ACCOUNTS,
    "lookUpUsers": Permission.READ_ACCOUNTS,
    "listBatches": Permission.READ_ACCOUNTS,
    "showBatch": Permission.READ_ACCOUNTS,
    "listConflicts": Permission.READ_ACCOUNTS,
    "listBatchUsers": Permission.READ_ACCOUNTS,
    "listUsersWithoutCredentials": Permission.READ_ACCOUNTS,
    "listApplications": Permission.READ_APPLICATIONS,
    "getApplication": Permission.READ_APPLICATIONS,
    "listAudit": Permission.READ_AUDIT_LOG,
    "createUsers": Permission.CREATE_ACCOUNTS,
    "openBatch": Permission.CREATE_ACCOUNTS,
    "reserveChunk": Permission.CREATE_ACCOUNTS,
    "hashPasswords": Permission.CREATE_ACCOUNTS,
    "publishBatch": Permission.CREATE_ACCOUNTS,
    "releaseBatch": Permission.CREATE_ACCOUNTS,
    "dropBatch": Permission.CREATE_ACCOUNTS,
    "undoBatch": Permission.CHANGE_ACCOUNTS,
    "updateUser": Permission.CHANGE_ACCOUNTS,
    "changeEmails": Permission.CHANGE_ACCOUNTS,
    "answerQuestions": Permission.CHANGE_ACCOUNTS,
    "suspendUser": Permission.CHANGE_ACCOUNTS,
    "restoreUser": Permission.CHANGE_ACCOUNTS,
    "deleteUser": Permission.CHANGE_ACCOUNTS,
    "setUserRole": Permission.CHANGE_ROLES,
    "resetSecondFactor": Permission.MANAGE_SIGN_IN,
    "createSetPasswordLinks": Permission.MANAGE_SIGN_IN,
    "mailSetPasswordLinks": Permission.MANAGE_SIGN_IN,
    "listMailings": Permission.MANAGE_SIGN_IN,
    "listMails": Permission.MANAGE_SIGN_IN,
    "stopMailing": Permission.MANAGE_SIGN_IN,
    "createApplication": Permission.MANAGE_APPLICATIONS,
    "updateApplication": Permission.MANAGE_APPLICATIONS,
    "rotateApplicationSecret": Permission.MANAGE_APPLICATIONS,
    "deleteApplication": Permission.MANAGE_APPLICATIONS,
}

#: call of a service that writes -> what its caller needs
CALLS = {
    "audit_log.record_export": Permission.READ_ACCOUNTS,
    "batches.open": Permission.CREATE_ACCOUNTS,
    "batches.reserve": Permission.CREATE_ACCOUNTS,
    "batches.hash": Permission.CREATE_ACCOUNTS,
    "batches.release": Permission.CREATE_ACCOUNTS,
    "batches.drop": Permission.CREATE_ACCOUNTS,
    "batches.publish": Permission.CREATE_ACCOUNTS,
    "batches.create": Permission.CREATE_ACCOUNTS,
    "batches.undo": Permission.CHANGE_ACCOUNTS,
    "bulk_changes.change": Permission.CHANGE_ACCOUNTS,
    "lifecycle.suspend": Permission.CHANGE_ACCOUNTS,
    "lifecycle.restore": Permission.CHANGE_ACCOUNTS,
    "lifecycle.delete": Permission.CHANGE_ACCOUNTS,
    "updates.update": Permission.CHANGE_ACCOUNTS,
    "updates.change_emails": Permission.CHANGE_ACCOUNTS,
    "syncs.start": Permission.CHANGE_ACCOUNTS,
    "syncs.answer": Permission.CHANGE_ACCOUNTS,
    "lifecycle.set_role": Permission.CHANGE_ROLES,
    "factor_removal.remove_all": Permission.MANAGE_SIGN_IN,
    "sessions.revoke_all": Permission.MANAGE_SIGN_IN,
    "links.create": Permission.MANAGE_SIGN_IN,
    "links.mail": Permission.MANAGE_SIGN_IN,
    "links.mail_many": Permission.MANAGE_SIGN_IN,
    "links.revoke": Permission.MANAGE_SIGN_IN,
    "mail_queue.stop": Permission.MANAGE_SIGN_IN,
    "tokens.revoke": Permission.MANAGE_TOKENS,
    "applications.create": Permission.MANAGE_APPLICATIONS,
    "applications.update": Permission.MANAGE_APPLICATIONS,
    "applications.rotate_secret": Permission.MANAGE_APPLICATIONS,
    "applications.delete": Permission.MANAGE_APPLICATIONS,
    "tokens.create": Permission.OPERATE,
}

#: The packages of routes without a permission: users use them for themselves, or anybody uses them.
#: Those of `litestar` show the description of the API.
FOR_EVERYBODY = {"account", "login", "openid", "operations", "web", "litestar"}


OWNER = set(Permission) - {Permission.OPERATE}


class Kind(NamedTuple):
    """A kind of caller."""

    #: `token_of_role`; or it creates the secret of a token or a session of a user, still an owner
    create: Callable[..., str]
    #: which the token or the user has then
    role: str
    may: set[Permission]

    @property
    def has_session(self) -> bool:
        return self.create is new_session

    def new_secret(self, control_plane: ControlPlane) -> str:
        if self.create is token_of_role:
            name = f"{self.role}{len(control_plane.tokens.all())}"
            return token_of_role(control_plane, name, self.role)
        user_id = new_owner(control_plane)
        secret = self.create(control_plane, user_id)
        with control_plane.store.write() as tx:  # its sessions and tokens stay, other than usual
            sql = "update users set permission_level = ? where user_id = ?"
            execute_sql(tx, sql, (self.role, user_id))
        return secret

    def new_caller(self, control_plane: ControlPlane) -> Caller:
        secret = self.new_secret(control_plane)
        if self.has_session:
            return control_plane.sessions.authenticate(secret)
        return control_plane.tokens.authenticate(secret)


KINDS = {
    "owner": Kind(new_session, "owner", OWNER),
    "collaborator": Kind(new_session, "collaborator", set()),
    "user of a later version": Kind(new_session, "reader", set()),
    "token of an owner": Kind(personal_token, "owner", OWNER),
    "token of a demoted user": Kind(personal_token, "collaborator", set()),
    "token of a user of a later version": Kind(personal_token, "reader", set()),
    "operator's token: owner": Kind(token_of_role, "owner", OWNER),
    "operator's token: reader": Kind(token_of_role, "reader", READ),
    "operator's token: collaborator": Kind(token_of_role, "collaborator", set()),
    "operator's token of a later version": Kind(token_of_role, "provisioner", set()),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, str]]:
    control_plane = new_control_plane(tmp_path_factory.mktemp("served"))
    with serve_in_process(control_plane) as url:
        yield control_plane, url


def routes(control_plane: ControlPlane) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Give the package, the path with values, and the handler of each method of a route."""
    for route in routes_of(control_plane).routes:
        for handler in getattr(route, "route_handlers", ()):
            package = handler.fn.__module__.removeprefix("anyscale.server.http.").split(".")[0]
            if "OPTIONS" not in handler.http_methods:
                path = re.sub(r"{\w+:(\w+)}", lambda one: _VALUES[one[1]], route.path)
                yield package, path, handler


_VALUES = {"str": "x", "int": "0", "path": "x"}


def test_each_route_has_the_permission_of_the_table(served: tuple[ControlPlane, str]) -> None:
    found = dict[str, Permission | None]()
    for package, path, handler in routes(served[0]):
        permission = handler.opt.get(PERMISSION)
        if package == "api":
            found[str(handler.operation_id)] = permission
        else:
            needed = Permission.USE_CONSOLE if package == "console" else None
            assert (package in {"console", *FOR_EVERYBODY}, permission) == (True, needed), path
    assert found == OPERATIONS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_route_answers_only_those_who_may_use_it(
    served: tuple[ControlPlane, str], kind: Kind
) -> None:
    control_plane, url = served
    secret = kind.new_secret(control_plane)
    headers = {"Authorization": f"Bearer {secret}"}
    if kind.has_session:
        headers = {"Cookie": f"{SESSION}={secret}", "Origin": url}
    answered = dict[str, bool]()
    expected = dict[str, bool]()
    for package, path, handler in routes(control_plane):
        if package == ("console" if kind.has_session else "api"):
            needed = OPERATIONS.get(str(handler.operation_id), Permission.USE_CONSOLE)
            (method,) = handler.http_methods
            status = HttpClient(url).request(method, path, headers=headers).status
            assert status != 401, (method, path)
            assert status < 500, (method, path)
            answered[f"{method} {path}"] = status != 403
            expected[f"{method} {path}"] = needed in kind.may
    assert answered == expected
    assert len(answered) > 30


def test_nobody_calls_the_api_without_a_token(served: tuple[ControlPlane, str]) -> None:
    control_plane, url = served
    for package, path, handler in routes(control_plane):
        if package == "api":
            (method,) = handler.http_methods
            assert HttpClient(url).request(method, path).status == 401, (method, path)


def test_the_table_has_each_call() -> None:
    assert set(CALLS) == {*OWNER_CALLS, *OPERATOR_CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_those_who_may_not_make_it_writes_nothing(
    control_plane: ControlPlane, name: str
) -> None:
    refused = [kind for kind in KINDS.values() if CALLS[name] not in kind.may]
    assert refused
    for kind in refused:
        caller = kind.new_caller(control_plane)
        call = (OWNER_CALLS | OPERATOR_CALLS)[name](control_plane, caller)
        before = rows(control_plane)
        with pytest.raises(NotPermitted):
            call()
        assert rows(control_plane) == before


@pytest.mark.parametrize("name", CALLS)
def test_a_call_needs_its_permission_and_no_other(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    every, needed = frozenset(Permission), frozenset({CALLS[name]})
    new_roles = {**TOKEN_ROLES, "only": needed, "all but this": every - needed}
    monkeypatch.setattr(callers, "TOKEN_ROLES", new_roles)
    only = Kind(token_of_role, "only", set()).new_caller(control_plane)
    without = Kind(token_of_role, "all but this", set()).new_caller(control_plane)
    prepare = (OWNER_CALLS | OPERATOR_CALLS)[name]

    prepare(control_plane, only)()
    with pytest.raises(NotPermitted):
        prepare(control_plane, without)()


def test_the_audit_log_as_a_file_needs_the_permission_to_read_it(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = frozenset({Permission.READ_ACCOUNTS})
    monkeypatch.setattr(callers, "TOKEN_ROLES", {**TOKEN_ROLES, "accounts": accounts})
    reader = Kind(token_of_role, "accounts", set()).new_caller(control_plane)
    control_plane.audit_log.record_export(USERS_EXPORTED, reader, {})
    with pytest.raises(NotPermitted, match="may not read the audit log: this requires the role"):
        control_plane.audit_log.record_export(AUDIT_EXPORTED, reader, {})


def test_calls_for_a_program_of_ones_own_need_a_permission_too(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    owner = session_caller(control_plane, new_owner(control_plane))
    control_plane.tokens.create_personal(owner, "laptop", 1)
    assert control_plane.batches.key_of(owner, batch.batch_id) == "key"

    others = OWNER - {Permission.MANAGE_TOKENS, Permission.CREATE_ACCOUNTS}
    monkeypatch.setattr(callers, "USER_ROLES", {"owner": others})
    with pytest.raises(NotPermitted, match="may not manage tokens: only the operator may"):
        control_plane.tokens.create_personal(owner, "desktop", 1)
    with pytest.raises(NotPermitted, match="may not create accounts"):
        control_plane.batches.key_of(owner, batch.batch_id)


def test_a_repeated_call_mails_no_links_for_those_who_may_not_create_accounts(
    control_plane: ControlPlane,
) -> None:
    users = checked_users("ann")
    control_plane.batches.create(OPERATOR, "key", users, "fail")
    reader = KINDS["operator's token: reader"].new_caller(control_plane)
    before = rows(control_plane)
    with pytest.raises(NotPermitted):
        control_plane.batches.create(reader, "key", users, "fail", mail_links=True)
    assert rows(control_plane) == before
    control_plane.batches.create(OPERATOR, "key", users, "fail", mail_links=True)
    assert rows(control_plane) != before
