"""An application changes in the moment in which it gets a code or tokens: none survive it.

And it revokes both tokens of a grant in one moment.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs
from tests.server.openid.test_tokens import with_refresh_tokens
from tests.support.callers import OPERATOR
from tests.support.databases.locks import wait_until_blocked
from tests.support.sign_in.openid_provider import Site
from tests.support.sign_in.sign_ins import events_of

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.errors import NotFound
from anyscale.server.core.openid.authorization import Redirection
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.store.records.openid import ApplicationRecord
from anyscale.server.store.transaction import Transaction

pytestmark = pytest.mark.both_stores

Change = Callable[[Transaction, ApplicationRecord], None]


def replace(**fields: object) -> Change:
    return lambda tx, application: tx.applications.replace(structs.replace(application, **fields))


def delete(tx: Transaction, application: ApplicationRecord) -> None:
    tx.applications.delete(application.client_id)


def result(site: Site, call: Callable[[], object], change: Change) -> object:
    """Start a call, change the application while the call waits for it, and give its result."""

    def run() -> object:
        try:
            return call()
        except (OAuthError, NotFound) as error:
            return str(error)

    store = site.control_plane.store
    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            application = tx.applications.lock(site.client_id)
            assert application
            running = pool.submit(run)
            wait_until_blocked(store, tx)
            change(tx, application)
        return running.result(30)


def grants_of(site: Site) -> list[str]:
    """List the applications where something of Jane works."""
    with site.control_plane.store.read() as tx:
        return list(tx.grants.last_used(site.ids["jane"], tx.now()))


CODES: dict[str, tuple[Change, str]] = {
    "narrowed": (replace(audience=json.dumps(["owners"])), "access_denied"),
    "PKCE": (replace(requires_pkce=True), "invalid_request"),
    "redirect URI": (replace(redirect_uris=json.dumps(["https://hub.example.com/new"])), "changed"),
    "deleted": (delete, "does not exist"),
}


@pytest.mark.parametrize("change", CODES)
def test_a_code_is_given_by_the_application_as_it_is_after_the_change(
    site: Site, change: str
) -> None:
    site.client_id, site.secret = site.create_application(name="Old", requires_pkce=False)
    session = site.sign_in()

    def call() -> object:
        return site.start(session, code_challenge=None, code_challenge_method=None)

    found = result(site, call, CODES[change][0])

    assert CODES[change][1] in (
        found.parameters["error"] if isinstance(found, Redirection) else str(found)
    )
    assert grants_of(site) == []


TOKENS: dict[str, Change] = {
    "narrowed": replace(audience=json.dumps(["owners"])),
    "no refresh tokens": replace(refresh_tokens=False),
    "deleted": delete,
}


@pytest.mark.parametrize("change", TOKENS)
def test_a_refresh_is_answered_by_the_application_as_it_is_after_the_change(
    site: Site, change: str
) -> None:
    with_refresh_tokens(site)
    token = site.exchange(site.code(site.sign_in())).refresh_token
    application = site.application

    def call() -> object:
        return site.provider.tokens.refresh(application, str(token), None)

    assert result(site, call, TOKENS[change]) == "invalid_grant"


def test_an_exchange_gives_no_refresh_token_of_an_application_that_has_none_now(
    site: Site,
) -> None:
    with_refresh_tokens(site)
    code = site.code(site.sign_in())

    issued = result(site, lambda: site.exchange(code), replace(refresh_tokens=False))

    assert getattr(issued, "refresh_token", "") is None


def test_a_change_waits_for_a_code_and_ends_it(site: Site) -> None:
    session, store = site.sign_in(), site.control_plane.store
    code = site.code(session)
    changes = ApplicationChanges(audience=["owners"])
    update = site.control_plane.applications.update

    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            assert tx.applications.lock(site.client_id, exclusive=False)
            running = pool.submit(update, OPERATOR, site.client_id, changes)
            wait_until_blocked(store, tx)
        running.result(30)

    assert grants_of(site) == []
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)


def test_a_grant_whose_tokens_are_revoked_at_once_ends_once(site: Site) -> None:
    with_refresh_tokens(site)
    issued, store = site.exchange(site.code(site.sign_in())), site.control_plane.store
    application, revoke = site.application, site.provider.tokens.revoke

    with ThreadPoolExecutor(2) as pool:
        with store.write() as tx:
            tx.accounts.lock([site.ids["jane"]])
            tokens = str(issued.refresh_token), issued.access_token
            running = [pool.submit(revoke, application, token) for token in tokens]
            wait_until_blocked(store, tx, 2)
        for one in running:
            one.result(30)

    events = [event for event, _ in events_of(site.control_plane)]
    assert events.count("authorization.revoked") == 1
    assert grants_of(site) == []
