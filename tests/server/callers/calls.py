"""The calls of owners and of signed-in users that write, and the ways in which a permission ends.

Each is prepared on its own accounts and batches, and is then one call of a service, so that any two
can run at the same moment.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

from tests.store.contract.factors import app_row
from tests.store.openid_rules import grant_row
from tests.support.callers import OPERATOR, personal_token_caller, session_caller, token_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator import SoftAuthenticator
from tests.support.second_factor.authenticator_apps import add_app, code_shown
from tests.support.second_factor.passkeys import add_passkey, ceremonies_of, login_of
from tests.support.users import (
    NEW_PASSWORD,
    PASSWORD,
    checked_users,
    create_accounts,
    passwords_for,
)

from anyscale.domain.models.applications import ApplicationChanges, NewApplication
from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.models.users import EmailChange, ExpectedUser, UserChanges
from anyscale.domain.schemas.users import Role
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo

#: a call that is ready to run
Ready = Callable[[], object]

_numbers = itertools.count()


def _new_name() -> str:
    return f"n{next(_numbers)}"


def new_owner(control_plane: ControlPlane) -> str:
    """Create an owner, and return the id. There is always another one, who stays."""
    if not control_plane.users.find(["root@example.com"])[0]:
        _new_account(control_plane, "root", "owner")
    return _new_account(control_plane, _new_name(), "owner")


def _new_account(control_plane: ControlPlane, name: str = "", role: Role = "collaborator") -> str:
    name = name or _new_name()
    create_accounts(control_plane, name)
    [user] = control_plane.users.find([f"{name}@example.com"])
    assert user
    control_plane.lifecycle.set_role(OPERATOR, user.user_id, role)
    return user.user_id


def _new_batch(control_plane: ControlPlane, *, password: str | None = None) -> str:
    """Open a batch, reserve the email of its user, and return its id."""
    batch_id = control_plane.batches.open(OPERATOR, _new_name(), "fail").batch_id
    control_plane.batches.reserve(
        OPERATOR, batch_id, 0, checked_users(_new_name(), password=password)
    )
    return batch_id


# The calls of owners


def _open(control_plane: ControlPlane, caller: Any) -> Ready:
    key = _new_name()
    return lambda: control_plane.batches.open(caller, key, "fail")


def _reserve(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id, users = _new_batch(control_plane), checked_users(_new_name())
    return lambda: control_plane.batches.reserve(caller, batch_id, 1, users)


def _hash(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_batch(control_plane, password=PASSWORD)
    return lambda: control_plane.batches.hash(caller, batch_id, [(0, PASSWORD)])


def _release(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_batch(control_plane)
    return lambda: control_plane.batches.release(caller, batch_id)


def _drop(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_batch(control_plane)
    return lambda: control_plane.batches.drop(caller, batch_id)


def _publish(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_batch(control_plane)
    return lambda: control_plane.batches.publish(caller, batch_id, 1)


def _create(control_plane: ControlPlane, caller: Any) -> Ready:
    key, users = _new_name(), checked_users(_new_name(), password=PASSWORD)
    return lambda: control_plane.batches.create(caller, key, users, "fail", passwords_for(users))


def _undo(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_batch(control_plane)
    control_plane.batches.publish(OPERATOR, batch_id, 1)
    return lambda: control_plane.batches.undo(caller, batch_id, "", force=False, dry_run=False)


def _suspend(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.lifecycle.suspend(caller, user_id)


def _restore(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    control_plane.lifecycle.suspend(OPERATOR, user_id)
    return lambda: control_plane.lifecycle.restore(caller, user_id)


def _change_many(control_plane: ControlPlane, caller: Any) -> Ready:
    ids, key = [_new_account(control_plane)], _new_name()
    return lambda: control_plane.bulk_changes.change("suspend", ids, caller, key, seconds=9)


def _delete(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.lifecycle.delete(caller, user_id)


def _set_role(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.lifecycle.set_role(caller, user_id, "owner")


def _remove_factors(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    with control_plane.store.write() as tx:
        tx.factors.add(app_row(next(_numbers), user_id))
    return lambda: control_plane.factor_removal.remove_all(caller, user_id, "lost")


def _update(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.updates.update(caller, user_id, UserChanges(title="CTO"))


def _change_emails(control_plane: ControlPlane, caller: Any) -> Ready:
    name = _new_name()
    user_id = _new_account(control_plane, name)
    change = EmailChange(
        user_id, f"new-{name}@example.com", ExpectedUser(email=f"{name}@example.com")
    )
    return lambda: control_plane.updates.change_emails(caller, [change])


def _answer(control_plane: ControlPlane, caller: Any) -> Ready:
    answer = GivenAnswer(uuid4().hex * 2, "0" * 64)
    return lambda: control_plane.syncs.answer(caller, [answer], dry_run=False)


def _revoke_all_sessions(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    session_caller(control_plane, user_id)
    return lambda: control_plane.sessions.revoke_all(caller, user_id)


def _create_links(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.links.create(caller, [user_id])


def _mail_links(control_plane: ControlPlane, caller: Any) -> Ready:
    user_id = _new_account(control_plane)
    return lambda: control_plane.links.mail(caller, [user_id])


def _new_published_batch(control_plane: ControlPlane) -> str:
    batch_id = _new_batch(control_plane)
    return control_plane.batches.publish(OPERATOR, batch_id, 1).batch_id


def _mail_many(control_plane: ControlPlane, caller: Any) -> Ready:
    batch_id = _new_published_batch(control_plane)
    return lambda: control_plane.links.mail_many(caller, batch_id)


def _stop_mailing(control_plane: ControlPlane, caller: Any) -> Ready:
    mailing_id = control_plane.links.mail_many(OPERATOR, _new_published_batch(control_plane))
    return lambda: control_plane.mail_queue.stop(caller, mailing_id)


def _revoke_link(control_plane: ControlPlane, caller: Any) -> Ready:
    [link] = control_plane.links.create(OPERATOR, [_new_account(control_plane)])
    return lambda: control_plane.links.revoke(caller, link.url)


def _create_token(control_plane: ControlPlane, caller: Any) -> Ready:
    name = _new_name()
    return lambda: control_plane.tokens.create(caller, name, "owner", None)


def _revoke_token(control_plane: ControlPlane, caller: Any) -> Ready:
    name = token_caller(control_plane, _new_name()).token.name
    return lambda: control_plane.tokens.revoke(caller, name)


def _new_application(control_plane: ControlPlane) -> str:
    new = NewApplication(name=_new_name(), redirect_uris=["https://wiki.example.com/back"])
    return control_plane.applications.create(OPERATOR, new).application.client_id


def _create_application(control_plane: ControlPlane, caller: Any) -> Ready:
    new = NewApplication(name=_new_name(), redirect_uris=["https://wiki.example.com/back"])
    return lambda: control_plane.applications.create(caller, new)


def _update_application(control_plane: ControlPlane, caller: Any) -> Ready:
    client_id, changes = _new_application(control_plane), ApplicationChanges(name=_new_name())
    return lambda: control_plane.applications.update(caller, client_id, changes)


def _rotate_secret(control_plane: ControlPlane, caller: Any) -> Ready:
    client_id = _new_application(control_plane)
    return lambda: control_plane.applications.rotate_secret(caller, client_id, now=False)


def _delete_application(control_plane: ControlPlane, caller: Any) -> Ready:
    client_id = _new_application(control_plane)
    return lambda: control_plane.applications.delete(caller, client_id)


def _record_export(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.audit_log.record_export("users.exported", caller, {})


def _start_sync(control_plane: ControlPlane, caller: Any) -> Ready:
    form_key = _new_name()
    return lambda: control_plane.syncs.start(caller, form_key, "staff.csv", 1)


# The calls of signed-in users


def _create_personal(control_plane: ControlPlane, caller: Any) -> Ready:
    name = _new_name()
    return lambda: control_plane.tokens.create_personal(caller, name, 1)


def _revoke_personal(control_plane: ControlPlane, caller: Any) -> Ready:
    user = session_caller(control_plane, caller.account.user_id)
    _, token = control_plane.tokens.create_personal(user, _new_name(), 1)
    return lambda: control_plane.tokens.revoke_personal(caller, token.token_id)


def _revoke_session(control_plane: ControlPlane, caller: Any) -> Ready:
    other = session_caller(control_plane, caller.account.user_id).session.session_id
    return lambda: control_plane.sessions.revoke(caller, other)


def _revoke_other_sessions(control_plane: ControlPlane, caller: Any) -> Ready:
    session_caller(control_plane, caller.account.user_id)
    return lambda: control_plane.sessions.revoke_others(caller)


def _change_password(control_plane: ControlPlane, caller: Any) -> Ready:
    client = ClientInfo("192.0.2.1", "Firefox")
    change = control_plane.password_changes.change_password
    return lambda: change(caller, PASSWORD, NEW_PASSWORD, client)


def _sign_in_again(control_plane: ControlPlane, caller: Any) -> Ready:
    client = ClientInfo("192.0.2.1", "Firefox")
    return lambda: control_plane.password_login.sign_in_again(caller, PASSWORD, client)


def _revoke_grant(control_plane: ControlPlane, caller: Any) -> Ready:
    client_id, user_id = _new_application(control_plane), caller.account.user_id
    grant = grant_row(client_id, client_id=client_id, user_id=user_id, expires_at=2**50)
    with control_plane.store.write() as tx:
        tx.grants.add(grant)
    return lambda: control_plane.user_grants.revoke(caller, client_id)


def _begin_app(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.factors.begin_app(caller)


def _confirm_app(control_plane: ControlPlane, caller: Any) -> Ready:
    user = session_caller(control_plane, caller.account.user_id)
    app = control_plane.factors.begin_app(user)
    with control_plane.store.write() as tx:  # as if the caller's session had begun it
        sql = "update factors set session_id = ? where factor_id = ?"
        execute_sql(tx, sql, (caller.session.session_id, app.factor_id))
    return lambda: control_plane.factors.confirm_app(caller, code_shown(app.seed))


def _add_passkey(control_plane: ControlPlane, caller: Any) -> Ready:
    ceremonies, adding = ceremonies_of(control_plane), control_plane.new_passkeys
    assert adding
    options = ceremonies.registration_options(caller.account, "browser")
    answer = SoftAuthenticator(ceremonies.rp.origin).create(options)
    return lambda: adding.add(caller, answer, "browser")


def _show_passkey_again(control_plane: ControlPlane, caller: Any) -> Ready:
    device = add_passkey(control_plane, caller.account.email)
    login = login_of(control_plane)
    options = login.options_again(caller, "browser")
    assert options
    answer = device.get(options)
    return lambda: login.sign_in_again(caller, answer, "browser")


def _renew_recovery_codes(control_plane: ControlPlane, caller: Any) -> Ready:
    _show_app(control_plane, caller)
    return lambda: control_plane.factors.renew_recovery_codes(caller)


def _remove_factor(control_plane: ControlPlane, caller: Any) -> Ready:
    _show_app(control_plane, caller)
    (factor,) = control_plane.factors.list(caller).factors
    return lambda: control_plane.factors.remove(caller, factor.factor_id)


def _show_app(control_plane: ControlPlane, caller: Any) -> None:
    """Add an app to the account, which the session of the caller has shown."""
    add_app(control_plane, caller.account.user_id)
    with control_plane.store.write() as tx:
        tx.sessions.set_methods(caller.session.session_id, "pwd otp mfa")


# The ways in which a permission ends


def _token(control_plane: ControlPlane, _: str) -> Any:
    return token_caller(control_plane, _new_name())


def _by_name(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.tokens.revoke(OPERATOR, caller.token.name)


def _by_id(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.tokens.revoke(OPERATOR, caller.token.token_id)


def _by_its_user(control_plane: ControlPlane, caller: Any) -> Ready:
    user = session_caller(control_plane, caller.account.user_id)
    return lambda: control_plane.tokens.revoke_personal(user, caller.token.token_id)


def _signed_out(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.sessions.revoke(caller, caller.session.session_id)


def _signed_out_elsewhere(control_plane: ControlPlane, caller: Any) -> Ready:
    other = session_caller(control_plane, caller.account.user_id)
    return lambda: control_plane.sessions.revoke_others(other)


def _suspended(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.lifecycle.suspend(OPERATOR, caller.account.user_id)


def _demoted(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.lifecycle.set_role(
        OPERATOR, caller.account.user_id, "collaborator"
    )


def _deleted(control_plane: ControlPlane, caller: Any) -> Ready:
    return lambda: control_plane.lifecycle.delete(OPERATOR, caller.account.user_id)


class End(NamedTuple):
    """A way in which the permission of a caller ends."""

    #: creates the caller, of the account of an owner
    caller: Callable[[ControlPlane, str], Any]
    #: prepares the call that ends its permission
    prepare: Callable[[ControlPlane, Any], Ready]


#: the calls of owners, by the service and the method
OWNER_CALLS: dict[str, Callable[[ControlPlane, Any], Ready]] = {
    "audit_log.record_export": _record_export,
    "batches.open": _open,
    "batches.reserve": _reserve,
    "batches.hash": _hash,
    "batches.release": _release,
    "batches.drop": _drop,
    "batches.publish": _publish,
    "batches.create": _create,
    "batches.undo": _undo,
    "lifecycle.suspend": _suspend,
    "lifecycle.restore": _restore,
    "bulk_changes.change": _change_many,
    "lifecycle.delete": _delete,
    "lifecycle.set_role": _set_role,
    "factor_removal.remove_all": _remove_factors,
    "updates.update": _update,
    "updates.change_emails": _change_emails,
    "sessions.revoke_all": _revoke_all_sessions,
    "links.create": _create_links,
    "links.mail": _mail_links,
    "links.mail_many": _mail_many,
    "links.revoke": _revoke_link,
    "mail_queue.stop": _stop_mailing,
    "syncs.start": _start_sync,
    "syncs.answer": _answer,
    "tokens.revoke": _revoke_token,
    "applications.create": _create_application,
    "applications.update": _update_application,
    "applications.rotate_secret": _rotate_secret,
    "applications.delete": _delete_application,
}

#: the calls of the operator, which may do these and all others
OPERATOR_CALLS: dict[str, Callable[[ControlPlane, Any], Ready]] = {"tokens.create": _create_token}

#: the calls of owners that share the lock of their permission: they do not wait for each other
SHARED = {"batches.reserve", "batches.hash", "batches.release"}

#: the calls of signed-in users, owners or not
OWN_CALLS: dict[str, Callable[[ControlPlane, Any], Ready]] = {
    "tokens.create_personal": _create_personal,
    "tokens.revoke_personal": _revoke_personal,
    "sessions.revoke": _revoke_session,
    "sessions.revoke_others": _revoke_other_sessions,
    "password_changes.change_password": _change_password,
    "password_login.sign_in_again": _sign_in_again,
    "user_grants.revoke": _revoke_grant,
    "new_passkeys.add": _add_passkey,
    "passkey_login.sign_in_again": _show_passkey_again,
    "factors.begin_app": _begin_app,
    "factors.confirm_app": _confirm_app,
    "factors.renew_recovery_codes": _renew_recovery_codes,
    "factors.remove": _remove_factor,
}

CALLS = OWNER_CALLS | OWN_CALLS

ENDS = {
    "token revoked": End(_token, _by_name),
    "personal token revoked": End(personal_token_caller, _by_id),
    "personal token revoked by its user": End(personal_token_caller, _by_its_user),
    "user of a token suspended": End(personal_token_caller, _suspended),
    "user of a token demoted": End(personal_token_caller, _demoted),
    "user of a token deleted": End(personal_token_caller, _deleted),
    "signed out": End(session_caller, _signed_out),
    "signed out elsewhere": End(session_caller, _signed_out_elsewhere),
    "user suspended": End(session_caller, _suspended),
    "user demoted": End(session_caller, _demoted),
    "user deleted": End(session_caller, _deleted),
}
