"""Signing in at a real identity provider: whose account it is, and whose not."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator_apps import add_app
from tests.support.servers.control_planes import Deployment
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.oidc_provider import (
    CLIENT_SECRET,
    OidcProvider,
    new_browser,
    sign_in_at_provider,
)

from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Policy, check
from anyscale.errors import SsoRefused, TooManyFailedLogins
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.sso.login_records import ExternalIdentity
from anyscale.server.core.sso.settings import ProviderFactor, ProviderSettings
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.store.records.users import AccountRecord

EMAIL = "jane@example.com"
SESSION = "__Host-session"


class Site:
    """A control plane with a provider, as browsers use it.

    Args:
        deployment: its database.
        oidc_provider: the provider.
        port: of its server.
        stack: stops the server.
    """

    def __init__(
        self, deployment: Deployment, oidc_provider: OidcProvider, port: int, stack: ExitStack
    ) -> None:
        self._deployment = deployment
        self._provider = oidc_provider
        self._port = port
        self._stack = stack
        self.issuer = oidc_provider.issuer
        self.url = f"http://127.0.0.1:{port}"

    def serve(self, client_id: str = "musterroll", **settings: Any) -> None:
        """Begin to answer."""
        secret = None if client_id == "public" else CLIENT_SECRET
        provider = ProviderSettings(
            issuer=self._provider.issuer, client_id=client_id, client_secret=secret
        )
        self.control_plane = cheap_control_plane(
            structs.replace(
                self._deployment.settings(),
                public_url=self.url,
                provider=structs.replace(provider, **settings),
            ),
        )
        self._stack.enter_context(serve_in_process(self.control_plane, self._port))

    def browser(self) -> httpx.Client:
        return self._stack.enter_context(new_browser(self.url))

    def create(self, email: str, *, sso: bool = True) -> None:
        user = check(
            Policy(),
            name="Jane",
            email=email,
            password=None,
            is_sso_user=sso,
            lastname=None,
            title=None,
        )
        assert user
        self.control_plane.batches.create(OPERATOR, email, [user], "fail")

    def account(self, email: str = EMAIL) -> AccountRecord:
        with self.control_plane.store.read() as tx:
            found = tx.accounts.find(email)
        assert found
        return found

    def count(self, table: str) -> int:
        with self.control_plane.store.read() as tx:
            counted: int = execute_sql(tx, f"select count(*) from {table}").fetchone()[0]
        return counted

    def reasons(self) -> list[tuple[str, str]]:
        """Give who was refused, and why, as the trail has it."""
        entries = self.control_plane.audit_log.list(0, 1_000)
        refused = [entry for entry in entries if entry.event == "access.denied"]
        return [(entry.actor, json.loads(entry.data)["reason"]) for entry in refused]

    def signed_in_user(self, client: httpx.Client) -> SessionCaller:
        return self.control_plane.sessions.authenticate(client.cookies[SESSION])


@pytest.fixture
def site(
    store_deployment: Deployment, oidc_provider: OidcProvider, sso_port: int
) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site(store_deployment, oidc_provider, sso_port, stack)
        site.serve()
        site.create(EMAIL)
        yield site


def start_sign_in(client: httpx.Client) -> str:
    """Begin a sign-in; give where the browser is sent to."""
    answer = client.get("/sso/start")
    assert answer.status_code == 303
    location: str = answer.headers["location"]
    return location


def final_location(answer: httpx.Response) -> str:
    """Give where a callback ends, without the number of its request."""
    assert answer.status_code == 303
    location, _, number = answer.headers["location"].partition("&number=")
    assert number in ("", answer.headers["x-request-id"])
    return str(location)


def entered(site: Site, login: str = "jane") -> tuple[str, httpx.Client]:
    """Sign in with a new browser; give where it ends, and the browser."""
    client = site.browser()
    return final_location(client.get(sign_in_at_provider(start_sign_in(client), login))), client


def test_the_first_login_links_the_account_of_the_verified_email(
    site: Site,
) -> None:
    location, client = entered(site)
    assert location == "/"
    user = site.signed_in_user(client)
    assert (user.account, user.session.auth_method) == (site.account(), "sso")
    assert user.pending is None
    user_id = site.account().user_id
    events = [
        (one.event, one.actor, one.subject) for one in site.control_plane.audit_log.list(0, 100)
    ]
    assert ("identity.linked", f"user:{user_id}", user_id) in events
    assert ("session.created", f"user:{user_id}", user.session.session_id) in events


@pytest.mark.parametrize(
    ("factor", "one", "two"),
    [
        (ProviderFactor("amr", frozenset({"mfa", "hwk"})), {"amr": ["pwd"]}, {"amr": ["hwk"]}),
        (ProviderFactor("acr", frozenset({"gold"})), {"acr": "silver"}, {"acr": "gold"}),
    ],
)
def test_a_second_factor_is_asked_for_unless_the_provider_says_that_it_was_shown(
    deployment: Deployment,
    oidc_provider: OidcProvider,
    sso_port: int,
    factor: ProviderFactor,
    one: dict[str, Any],
    two: dict[str, Any],
) -> None:
    with ExitStack() as stack:
        site = Site(deployment, oidc_provider, sso_port, stack)
        site.serve(factor=factor)
        site.create(EMAIL)
        oidc_provider.change("jane", **two)
        methods = [site.signed_in_user(entered(site)[1]).session.methods]
        add_app(site.control_plane, site.account().user_id)
        methods.append(site.signed_in_user(entered(site)[1]).session.methods)
        oidc_provider.change("jane", **one)
        location, client = entered(site)

    assert methods == ["mfa", "mfa"]
    assert (location, SESSION in client.cookies) == ("/sign-in/second-factor", False)


@pytest.mark.parametrize(
    ("headers", "to_provider"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?0"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-User": "?1"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1"}, True),
    ],
)
def test_a_page_of_another_site_starts_a_login_only_by_a_click_of_the_user(
    site: Site, headers: dict[str, str], to_provider: bool
) -> None:
    answer = site.browser().get("/sso/start", headers=headers)
    assert answer.status_code == 303
    assert (answer.headers["location"] == "/sign-in") is not to_provider
    assert bool(answer.headers.get("set-cookie")) is to_provider


def test_the_cookies_have_the_host_prefix_and_are_not_readable_by_scripts(site: Site) -> None:
    client = site.browser()
    for answer in (
        client.get("/sso/start"),
        client.get(sign_in_at_provider(start_sign_in(client), "jane")),
    ):
        for cookie in answer.headers.get_list("set-cookie"):
            assert cookie.startswith("__Host-")
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"path=/", "secure", "httponly", "samesite=lax"} <= parts
            assert not [part for part in parts if part.startswith("domain")]
    assert set(client.cookies) == {SESSION, "__Host-device"}


def test_a_linked_subject_keeps_its_account_if_its_email_changes_at_the_provider(
    site: Site, oidc_provider: OidcProvider
) -> None:
    entered(site)
    oidc_provider.change("jane", email="married@example.com", email_verified=False)
    location, client = entered(site)
    assert location == "/"
    assert site.signed_in_user(client).account.email == EMAIL
    assert (site.count("users"), site.count("identities"), site.count("sessions")) == (1, 1, 2)


def test_a_linked_subject_keeps_its_account_if_the_email_of_the_account_changes(site: Site) -> None:
    entered(site)
    jane = site.account()
    changes = UserChanges(email="married@example.com")
    site.control_plane.updates.update(OPERATOR, jane.user_id, changes)
    location, client = entered(site)
    assert location == "/"
    assert site.signed_in_user(client).account.user_id == jane.user_id
    assert site.count("identities") == 1


def test_the_next_account_with_an_email_is_not_that_of_the_linked_subject(
    site: Site, oidc_provider: OidcProvider
) -> None:
    entered(site)
    jane, married = site.account(), UserChanges(email="married@example.com")
    site.control_plane.updates.update(OPERATOR, jane.user_id, married)
    # Another person gets the old email, at the provider too.
    site.create("new@example.com")
    new = site.account("new@example.com").user_id
    site.control_plane.updates.update(OPERATOR, new, UserChanges(email=EMAIL), reuse_email=True)
    location, client = entered(site)
    assert site.signed_in_user(client).account.user_id == jane.user_id
    oidc_provider.change("jane", email="married@example.com")
    oidc_provider.change("other", email=EMAIL, email_verified=True)
    location, client = entered(site, "other")
    assert (location, site.signed_in_user(client).account.user_id) == ("/", new)


def test_an_email_that_an_account_had_before_signs_no_new_subject_in(site: Site) -> None:
    married = UserChanges(email="married@example.com")
    site.control_plane.updates.update(OPERATOR, site.account().user_id, married)
    location, client = entered(site)
    assert location == "/sign-in?sso=not_set_up"
    assert SESSION not in client.cookies
    assert site.count("identities") == 0


def before_the_lock(
    oidc: SsoLogin, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]
) -> None:
    """Let something change after a sign-in has found its account, and before it is locked."""
    transactions = oidc._transactions
    write = transactions.write_unattended

    def change_and_write(reason: Any) -> Any:
        monkeypatch.setattr(transactions, "write_unattended", write)
        change()
        return write(reason)

    monkeypatch.setattr(transactions, "write_unattended", change_and_write)


def test_an_email_that_changes_during_a_sign_in_links_no_subject(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    oidc = site.control_plane.sso_login
    assert oidc
    jane, married = site.account().user_id, UserChanges(email="married@example.com")

    def change() -> None:
        site.control_plane.updates.update(OPERATOR, jane, married)

    before_the_lock(oidc, monkeypatch, change)
    with pytest.raises(SsoRefused) as refused:
        oidc.login(ExternalIdentity(site.issuer, "s", EMAIL, True), ClientInfo("192.0.2.1", ""))
    assert refused.value.reason == "no_account"
    assert (site.count("identities"), site.count("sessions")) == (0, 0)


def test_a_subject_that_is_unlinked_during_its_sign_in_needs_the_email_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    oidc = site.control_plane.sso_login
    assert oidc
    entered(site)
    with site.control_plane.store.read() as tx:
        subject = execute_sql(tx, "select subject from identities").fetchone()[0]

    def unlink() -> None:
        for is_sso_user in (False, True):
            changes = UserChanges(is_sso_user=is_sso_user)
            site.control_plane.updates.update(OPERATOR, jane, changes)

    jane = site.account().user_id
    before_the_lock(oidc, monkeypatch, unlink)
    identity = ExternalIdentity(site.issuer, subject, "x@elsewhere.example", False)
    with pytest.raises(SsoRefused):
        oidc.login(identity, ClientInfo("192.0.2.1", ""))
    assert (site.count("identities"), site.count("sessions")) == (0, 0)


def test_an_email_that_moves_to_another_subject_does_not_move_the_account(
    site: Site, oidc_provider: OidcProvider
) -> None:
    entered(site)
    oidc_provider.change("jane", email="married@example.com")
    location, client = entered(site, "other")
    assert location == "/sign-in?sso=not_set_up"
    assert SESSION not in client.cookies
    assert site.reasons() == [(f"user:{site.account().user_id}", "other_subject")]
    assert site.count("identities") == 1


@pytest.mark.parametrize(
    ("login", "code", "reason"),
    [
        ("unverified", "refused", "email_unverified"),
        ("nobody", "not_set_up", "no_account"),
        ("stranger", "refused", "email_domain"),
        ("password", "not_set_up", "not_sso_user"),
    ],
)
def test_other_identities_are_refused_and_create_no_account(
    store_deployment: Deployment,
    oidc_provider: OidcProvider,
    sso_port: int,
    login: str,
    code: str,
    reason: str,
) -> None:
    with ExitStack() as stack:
        site = Site(store_deployment, oidc_provider, sso_port, stack)
        site.serve(domains=frozenset({"example.com"}))
        site.create(EMAIL)
        site.create("jane@example.org")
        site.create("password@example.com", sso=False)
        location, client = entered(site, login)
        assert location == f"/sign-in?sso={code}"
        assert not set(client.cookies)
        assert [why for _, why in site.reasons()] == [reason]
        assert (site.count("users"), site.count("identities"), site.count("sessions")) == (3, 0, 0)


def test_without_domains_any_verified_email_of_an_account_is_accepted(site: Site) -> None:
    site.create("jane@example.org")
    location, client = entered(site, "stranger")
    assert location == "/"
    assert site.signed_in_user(client).account.email == "jane@example.org"


@pytest.mark.parametrize("linked", [False, True])
def test_a_suspended_account_refuses_its_linked_subject(site: Site, linked: bool) -> None:
    if linked:
        entered(site)
    with site.control_plane.store.write() as tx:
        tx.accounts.set_suspended(site.account().user_id, tx.now())
    location, client = entered(site)
    assert location == "/sign-in?sso=not_set_up"
    assert not set(client.cookies)
    assert site.reasons() == [(f"user:{site.account().user_id}", "suspended")]
    assert site.count("identities") == int(linked)


def test_a_linked_account_without_sso_refuses_its_subject(site: Site) -> None:
    entered(site)
    with site.control_plane.store.write() as tx:
        execute_sql(tx, "update users set is_sso_user = ?", (False,))
    assert entered(site)[0] == "/sign-in?sso=not_set_up"
    assert site.reasons()[0][1] == "not_sso_user"


def test_an_account_that_becomes_no_sso_user_and_one_again_may_get_another_subject(
    site: Site, oidc_provider: OidcProvider
) -> None:
    _, client = entered(site)
    user_id, updates = site.account().user_id, site.control_plane.updates
    updates.update(OPERATOR, user_id, UserChanges(is_sso_user=False))
    assert client.get("/").headers["location"].startswith("/sign-in")
    assert entered(site)[0] == "/sign-in?sso=not_set_up"
    assert site.reasons()[-1] == (f"user:{user_id}", "not_sso_user")
    updates.update(OPERATOR, user_id, UserChanges(is_sso_user=True))
    oidc_provider.change("jane", email="married@example.com")
    location, client = entered(site, "other")
    assert location == "/"
    assert site.signed_in_user(client).account.user_id == user_id


def test_a_new_account_with_the_email_of_a_deleted_one_is_linked_again(site: Site) -> None:
    entered(site)
    with site.control_plane.store.write() as tx:
        tx.accounts.delete(site.account().user_id)
    assert entered(site)[0] == "/sign-in?sso=not_set_up"
    site.create("Jane@example.com")
    location, client = entered(site)
    assert location == "/"
    assert site.signed_in_user(client).account == site.account()


def test_two_browsers_at_once_sign_in_to_one_account(site: Site) -> None:
    clients = [site.browser(), site.browser()]
    back = [sign_in_at_provider(start_sign_in(client), "jane") for client in clients]
    for client, url in zip(clients, back, strict=True):
        assert client.get(url).headers["location"] == "/"
    assert (site.count("identities"), site.count("sessions")) == (1, 2)


def landed(site: Site, subject: str) -> str:
    oidc = site.control_plane.sso_login
    assert oidc
    try:
        oidc.login(ExternalIdentity(site.issuer, subject, EMAIL, True), ClientInfo("192.0.2.1", ""))
    except SsoRefused as error:
        return error.reason
    return "landed"


@pytest.mark.both_stores
def test_concurrent_logins_of_subjects_with_one_email_link_one_of_them(
    site: Site,
) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda at: landed(site, f"subject-{at}"), range(8)))
    assert sorted(found) == ["landed"] + ["other_subject"] * 7
    assert (site.count("identities"), site.count("sessions")) == (1, 1)


@pytest.mark.both_stores
def test_concurrent_logins_of_one_subject_link_it_once(site: Site) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: landed(site, "jane"), range(8)))
    assert found == ["landed"] * 8
    assert (site.count("identities"), site.count("sessions")) == (1, 8)
    assert [entry.event for entry in site.control_plane.audit_log.list(0, 100)].count(
        "identity.linked"
    ) == 1


def test_sign_ins_by_sso_are_limited_by_minute(
    site: Site, many_sign_ins: pytest.MonkeyPatch
) -> None:
    many_sign_ins.undo()
    entered(site)
    for _ in range(59):
        assert landed(site, "jane") == "landed"
    with pytest.raises(TooManyFailedLogins):
        landed(site, "jane")


def test_a_login_makes_the_browser_a_known_device(site: Site) -> None:
    _, client = entered(site)
    device = client.cookies["__Host-device"]
    assert client.get(sign_in_at_provider(start_sign_in(client), "jane")).headers["location"] == "/"
    assert client.cookies["__Host-device"] == device
    assert site.count("devices") == 1


def test_a_login_revokes_the_previous_session_of_the_browser(site: Site) -> None:
    _, client = entered(site)
    before = client.cookies[SESSION]
    assert client.get(sign_in_at_provider(start_sign_in(client), "jane")).headers["location"] == "/"
    assert client.cookies[SESSION] != before
    assert site.count("sessions") == 1


@pytest.mark.parametrize("client_id", ["by-post", "public"])
def test_the_client_authenticates_by_a_form_or_as_a_public_client(
    store_deployment: Deployment, oidc_provider: OidcProvider, sso_port: int, client_id: str
) -> None:
    with ExitStack() as stack:
        site = Site(store_deployment, oidc_provider, sso_port, stack)
        site.serve(client_id)
        site.create(EMAIL)
        if client_id == "by-post":
            only(site, "client_secret_post")
        assert entered(site)[0] == "/"


def only(site: Site, method: str) -> None:
    """Let the provider's metadata name one way for the client to say who it is."""
    assert site.control_plane.sso_login
    kept = site.control_plane.sso_login.provider._metadata
    kept.get(60)
    assert kept._cached
    at, metadata = kept._cached
    kept._cached = (at, structs.replace(metadata, token_endpoint_auth_methods_supported=(method,)))


# What somebody may do to a sign-in at the real provider.


def refused(site: Site, client: httpx.Client, url: str, code: str, reason: str) -> None:
    answer = client.get(url)
    assert final_location(answer) == f"/sign-in?sso={code}"
    assert "__Host-sso" not in client.cookies
    assert SESSION not in client.cookies
    assert reason in [why for _, why in site.reasons()]
    assert site.count("identities") == site.count("sessions") == 0


def test_a_code_is_valid_with_its_verifier_only(site: Site) -> None:
    client, other = site.browser(), site.browser()
    url, elsewhere = start_sign_in(client), start_sign_in(other)
    mine = sign_in_at_provider(url, "jane")
    theirs = httpx.URL(sign_in_at_provider(elsewhere, "jane"))
    # Somebody else's code, which was begun with another verifier.
    refused(
        site,
        client,
        str(httpx.URL(mine).copy_merge_params({"code": theirs.params["code"]})),
        "refused",
        "code_refused",
    )


def test_a_code_is_valid_once(site: Site) -> None:
    client = site.browser()
    url = start_sign_in(client)
    kept = client.cookies["__Host-sso"]
    back = sign_in_at_provider(url, "jane")
    assert client.get(back).headers["location"] == "/"
    again = site.browser()
    again.cookies.set("__Host-sso", kept, domain="127.0.0.1")
    assert final_location(again.get(back)) == "/sign-in?sso=expired"
    assert SESSION not in again.cookies
    assert site.count("sessions") == 1
    assert [why for _, why in site.reasons()] == ["state_used"]


def test_a_denied_consent_is_reported(site: Site) -> None:
    client = site.browser()
    state = httpx.URL(start_sign_in(client)).params["state"]
    params = {"error": "access_denied", "state": state, "iss": site.issuer}
    refused(site, client, f"/sso/callback?{httpx.QueryParams(params)}", "cancelled", "cancelled")


def test_iss_is_required_if_the_metadata_announce_it(site: Site) -> None:
    client = site.browser()
    back = httpx.URL(sign_in_at_provider(start_sign_in(client), "jane"))
    assert back.params["iss"] == site.issuer
    refused(site, client, str(back.copy_remove_param("iss")), "refused", "response_issuer")


def test_a_wrong_client_secret_creates_no_session(
    store_deployment: Deployment, oidc_provider: OidcProvider, sso_port: int
) -> None:
    with ExitStack() as stack:
        site = Site(store_deployment, oidc_provider, sso_port, stack)
        site.serve(client_secret="wrong")
        site.create(EMAIL)
        assert entered(site)[0] == "/sign-in?sso=refused"
        assert site.reasons() == [("anonymous", "code_refused")]
