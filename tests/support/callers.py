"""Callers of every type, as a server identifies them."""

from tests.support.databases.stored_data import execute_sql

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller, SystemCaller, TokenCaller
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session


def operator(name: str) -> SystemCaller:
    """Return a system user of this machine with a name: `local:NAME` in the audit log."""
    return SystemCaller(1000, name)


OPERATOR = operator("test")


def token_caller(
    control_plane: ControlPlane, name: str = "laptop", role: str = "owner"
) -> TokenCaller:
    """Create a token without an owner, and return its caller."""
    return control_plane.tokens.authenticate(token_of_role(control_plane, name, role))


def token_of_role(control_plane: ControlPlane, name: str, role: str) -> str:
    """Create a token without an owner, of any role: also of one that another version creates."""
    secret = control_plane.tokens.create(OPERATOR, name, "owner", None)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set role = ? where name = ?", (role, name))
    return secret


def personal_token_caller(control_plane: ControlPlane, user_id: str) -> TokenCaller:
    """Create a token of a user, and return its caller."""
    return control_plane.tokens.authenticate(personal_token(control_plane, user_id))


def personal_token(control_plane: ControlPlane, user_id: str) -> str:
    """Create a token of a user."""
    user = session_caller(control_plane, user_id)
    secret, _ = control_plane.tokens.create_personal(user, "laptop", 1)
    return secret


def session_caller(
    control_plane: ControlPlane, user_id: str, auth_method: str = "link", *, is_recent: bool = True
) -> SessionCaller:
    """Sign a user in, and return the caller of the session.

    By `password`, a user has to change the initial password first.
    """
    secret = new_session(control_plane, user_id, auth_method, is_recent=is_recent)
    return control_plane.sessions.authenticate(secret)


def new_session(
    control_plane: ControlPlane, user_id: str, auth_method: str = "link", *, is_recent: bool = True
) -> str:
    """Sign a user in, and return the secret of the session."""
    with control_plane.store.write() as tx:
        locked = lock_for_session(tx, user_id, ClientInfo("192.0.2.1", "Firefox"))
        assert locked
        at = locked.at if is_recent else None
        return create_session(tx, locked, Shown(auth_method, "", at), None).session
