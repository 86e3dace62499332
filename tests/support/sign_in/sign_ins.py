"""Sign-ins by password to a control plane in this process, and what they leave."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from msgspec import json, structs
from tests.support.databases.stored_data import execute_sql
from tests.support.users import PASSWORD

from anyscale.errors import AnyscaleError, InvalidCredentials, TooManyFailedLogins
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.sessions import ClientInfo, LoginResult
from anyscale.server.core.secrets import hash_of
from anyscale.server.store.records.login import LinkRecord
from anyscale.server.store.records.openid import FormerSecret
from anyscale.server.store.records.users import AccountRecord

#: of an account with the password `PASSWORD`
EMAIL = "jane@example.com"
CHOSEN = "a password of her own"
HOME = ClientInfo("192.0.2.1", "Firefox")

_DAY = 24 * 60 * 60 * 1000


def get_account(control_plane: ControlPlane, email: str = EMAIL) -> AccountRecord:
    """Read an account."""
    with control_plane.store.read() as tx:
        found = tx.accounts.find(email)
    assert found
    return found


def completed(result: LoginResult | HalfSignIn | None) -> LoginResult:
    """Return the result of a sign-in that needs no second factor."""
    assert isinstance(result, LoginResult)
    return result


def sign_in(
    control_plane: ControlPlane, email: str, password: str, client: ClientInfo
) -> LoginResult:
    """Sign in with a password."""
    login = control_plane.password_login
    return completed(login.login(login.prepare(email, password, client)))


def set_by_link(
    control_plane: ControlPlane, secret: str, new: str, client: ClientInfo
) -> LoginResult:
    """Set a password by a link."""
    return completed(control_plane.password_changes.by_link(secret, new, client))


def change_password(
    control_plane: ControlPlane, user: SessionCaller, old: str, new: str, client: ClientInfo
) -> LoginResult:
    """Change the password of a signed-in user."""
    return completed(control_plane.password_changes.change_password(user, old, new, client))


def sign_in_at_home(
    control_plane: ControlPlane, email: str = EMAIL, password: str = PASSWORD
) -> LoginResult:
    """Sign in from `HOME`."""
    return sign_in(control_plane, email, password, HOME)


def create_link(control_plane: ControlPlane, email: str = EMAIL, days: int = 1) -> str:
    """Create a one-time link; return its secret."""
    with control_plane.store.write() as tx:
        now = tx.now()
        user_id = get_account(control_plane, email).user_id
        tx.links.replace(
            LinkRecord(user_id, hash_of("secret"), "local:test", now, now + days * _DAY)
        )
    return "secret"


def let_time_pass(control_plane: ControlPlane, milliseconds: int) -> None:
    """Move the times of sessions, devices, applications, grants and batches into the past."""
    with control_plane.store.write() as tx:
        for column in ("authenticated_at", "created_at", "used_at", "expires_at"):
            execute_sql(tx, f"update sessions set {column} = {column} - ?", (milliseconds,))
        for column in ("code_expires_at", "access_expires_at", "refresh_expires_at"):
            execute_sql(tx, f"update grants set {column} = {column} - ?", (milliseconds,))
        moved = "created_at = created_at - ?, expires_at = expires_at - ?"
        execute_sql(tx, f"update grants set {moved}", (milliseconds, milliseconds))
        for one in tx.applications.list():
            formers = [
                FormerSecret(former.hash, former.works_until - milliseconds)
                for former in one.formers
            ]
            secrets = json.encode(formers).decode()
            tx.applications.replace(structs.replace(one, former_secrets=secrets))
        execute_sql(tx, "update batches set published_at = published_at - ?", (milliseconds,))
        execute_sql(tx, "update devices set used_at = used_at - ?", (milliseconds,))


def events_of(control_plane: ControlPlane) -> list[tuple[str, str]]:
    """List event and actor of each audit entry."""
    return [(entry.event, entry.actor) for entry in control_plane.audit_log.list(0, 1_000)]


def suspend(control_plane: ControlPlane) -> None:
    """Suspend the account of `EMAIL`."""
    with control_plane.store.write() as tx:
        tx.accounts.set_suspended(get_account(control_plane).user_id, tx.now())


def sign_in_at_once(
    control_plane: ControlPlane, *sign_ins: tuple[str, str, ClientInfo]
) -> list[str]:
    """Sign in at the same time; return the user id or the error's message of each, in order."""
    login = control_plane.password_login
    start = Barrier(len(sign_ins))

    def sign_in(sign_in: tuple[str, str, ClientInfo]) -> str:
        try:
            attempt = login.prepare(*sign_in)
            start.wait()
            return login.login(attempt).user_id
        except AnyscaleError as error:
            return str(error)

    with ThreadPoolExecutor(len(sign_ins)) as pool:
        return list(pool.map(sign_in, sign_ins))


def count_sessions(control_plane: ControlPlane, email: str) -> int:
    """Count the sessions of an account."""
    user_id = get_account(control_plane, email).user_id
    with control_plane.store.read() as tx:
        return len(tx.sessions.list(user_id))


def fail_to_sign_in(
    control_plane: ControlPlane, client: ClientInfo, email: str = EMAIL
) -> type[AnyscaleError]:
    """Sign in with a wrong password; return the class of the error."""
    try:
        sign_in(control_plane, email, "wrong password", client)
    except (InvalidCredentials, TooManyFailedLogins) as error:
        return type(error)
    raise AssertionError("the wrong password was right")
