"""Accounts with a passkey of an authenticator in Python."""

import html
import json
import re
from typing import Any

from tests.support.second_factor.authenticator import SoftAuthenticator
from tests.support.servers.http_client import HttpResponse
from tests.support.sign_in.sign_ins import EMAIL, get_account

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.ids import new_id
from anyscale.server.core.login.passkey_login import PasskeyLogin
from anyscale.server.core.passkeys.ceremonies import PasskeyCeremonies
from anyscale.server.core.passkeys.challenges import Purpose
from anyscale.server.store.records.factors import FactorRecord


def login_of(control_plane: ControlPlane) -> PasskeyLogin:
    """Return the sign-in by only a passkey."""
    assert control_plane.passkey_login
    return control_plane.passkey_login


def ceremonies_of(control_plane: ControlPlane) -> PasskeyCeremonies:
    """Return what makes options of pages."""
    return login_of(control_plane).ceremonies


def add_passkey(
    control_plane: ControlPlane, email: str = EMAIL, **values: Any
) -> SoftAuthenticator:
    """Add a passkey to an account; return the authenticator, with its `values`."""
    ceremonies = ceremonies_of(control_plane)
    device = SoftAuthenticator(ceremonies.rp.origin, **values)
    account = get_account(control_plane, email)
    answer = device.create(ceremonies.registration_options(account, "browser"))
    new = ceremonies.verify_new(answer, "browser").passkey
    with control_plane.store.write() as tx:
        now = tx.now()
        factor = FactorRecord(
            factor_id=new_id("fac_", now),
            user_id=account.user_id,
            kind="passkey",
            name="Key",
            created_at=now,
            confirmed_at=now,
            credential_id=new.credential_id,
            public_key=new.public_key,
            counter=new.counter,
            can_be_backed_up=new.can_be_backed_up,
            transports=new.transports,
            rp_id=ceremonies.rp.rp_id,
        )
        assert tx.factors.add(factor)
    return device


def options_in(page: HttpResponse) -> Any:
    """Return the options of the form for a passkey that a page has."""
    found = re.search(r'data-passkey="([^"]*)"', page.text)
    assert found, page.text
    return json.loads(html.unescape(found[1]))


def options_of(
    control_plane: ControlPlane, purpose: Purpose, browser: str, email: str = EMAIL
) -> dict[str, Any]:
    """Return the options of a page that shows the passkeys of an account."""
    user_id = get_account(control_plane, email).user_id
    options = ceremonies_of(control_plane).options_for(user_id, purpose, browser)
    assert options
    return options
