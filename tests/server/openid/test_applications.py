"""Owners create applications, and applications authenticate by their secrets."""

from typing import Any

import pytest
from tests.support.callers import OPERATOR, token_caller
from tests.support.sign_in.openid_provider import CALLBACK, Site
from tests.support.sign_in.sign_ins import events_of, get_account, let_time_pass

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.errors import ConfigError, NotFound, NotPermitted
from anyscale.server.core.openid.authorization import ConfirmationNeeded
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.time_units import MINUTE_MS

WRONG_URIS = [
    "http://hub.example.com/callback",
    "https://user@hub.example.com/callback",
    "https://user:pass@hub.example.com/callback",
    "https://hub.example.com/callback#x",
    "https://hub.example.com/callback#",
    "https://*.example.com/callback",
    "https://hub.example.com/*",
    "https://hub.example.com/call back",
    "https://hub.example.com/'x",
    'https://hub.example.com/"x',
    "https://hub.example.com/\\x",
    "https:///callback",
    "https://",
    "//hub.example.com/callback",
    "/callback",
    "javascript:alert(1)",
    "data:text/html,x",
    "com.example.app:/callback",
    "ftp://hub.example.com/callback",
    "https://hub.example.com:99999/callback",
    "https://hub.example.com:0/callback",
    "http://127.0.0.1:0/callback",
    "https://bücher.example/callback",
    "https://a_b.example.com/callback",
    "https://a,b.example.com/callback",
    "https://a;b.example.com/callback",
    "https://hub.example.com./callback",
    "https://hub..example.com/callback",
    "https://-hub.example.com/callback",
    "https://hub.example.com:/callback",
    "https://hub.example.com:0/callback",
    "https://hub.example.com:0443/callback",
    "https://hub.example.123/callback",
    "https://127.1/callback",
    "https://0x7f000001/callback",
    "https://[2001:db8:0:0::1]/callback",
    "https://[fe80::1%25eth0]/callback",
    "",
    "https://hub.example.com/" + "x" * 2_000,
]


@pytest.mark.parametrize("uri", WRONG_URIS)
@pytest.mark.parametrize("field", ["redirect_uris", "post_logout_redirect_uris"])
def test_a_wrong_uri_is_refused(site: Site, field: str, uri: str) -> None:
    with pytest.raises(ConfigError):
        site.create_application(**{"name": "Wiki", field: [uri]})


@pytest.mark.parametrize(
    "uri",
    [
        "https://hub.example.com",
        "https://hub.example.com:8443/cb?x=1&y=2",
        "http://127.0.0.1/cb",
        "http://localhost:8000/cb",
        "http://[::1]:8000/cb",
        "https://[2001:db8::1]/cb",
        "https://[2001:DB8::1]:8443/cb",
        "https://192.0.2.7/cb",
        "https://HUB.example.com/cb",
        "https://xn--bcher-kva.example/cb",
        "https://hub/cb",
    ],
)
def test_an_https_or_loopback_uri_is_registered(site: Site, uri: str) -> None:
    assert site.create_application(name="Wiki", redirect_uris=[uri])


@pytest.mark.parametrize(
    ("uri", "is_public", "works"),
    [
        ("http://127.0.0.1:51000/cb", True, True),
        ("http://[::1]:51000/cb", True, False),
        ("http://127.0.0.1:51000/other", True, False),
        ("http://127.0.0.1:51000/cb?x=1", True, False),
        ("http://localhost:51000/cb", True, False),
        ("http://127.0.0.1.evil.example:51000/cb", True, False),
        ("http://127.0.0.1:51000@evil.example/cb", True, False),
        ("http://127.0.0.1:51000/cb", False, False),
        ("http://127.0.0.1:65535/cb", True, True),
        ("http://127.0.0.1:65536/cb", True, False),
        ("http://127.0.0.1:0/cb", True, False),
    ],
)
def test_only_a_public_application_may_use_any_port_of_loopback(
    site: Site, uri: str, *, is_public: bool, works: bool
) -> None:
    site.client_id, site.secret = site.create_application(
        name="Desktop", redirect_uris=["http://127.0.0.1/cb"], is_public=is_public
    )
    session = site.sign_in()

    if works:
        assert isinstance(site.start(session, redirect_uri=uri), ConfirmationNeeded)
    else:
        with pytest.raises(Exception, match="not registered"):
            site.start(session, redirect_uri=uri)


@pytest.mark.parametrize("address", [*WRONG_URIS[:-2], WRONG_URIS[-1], "http://127.0.0.1/"])
def test_an_address_to_open_is_as_plain_as_a_redirect_uri_and_https(
    site: Site, address: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        site.create_application(name="Wiki", address=address)
    assert refused.value.fields == ("address",)


def test_an_application_has_an_address_until_it_is_removed(site: Site) -> None:
    client_id, _ = site.create_application(name="Wiki", address="https://wiki.example.com/a?b=c")
    applications = site.control_plane.applications
    assert applications.get(client_id).address == "https://wiki.example.com/a?b=c"

    for removed in (None, ""):
        applications.update(OPERATOR, client_id, ApplicationChanges(address="https://wiki"))
        applications.update(OPERATOR, client_id, ApplicationChanges(address=removed))
        assert applications.get(client_id).address is None


def test_all_that_is_wrong_with_an_application_is_said_at_once(site: Site) -> None:
    with pytest.raises(ConfigError) as refused:
        site.create_application(
            name="Hub",
            redirect_uris=["http://a.example.com", "https://b.example.com", "x"],
            audience=["nobody at home", "bat_none"],
            address="http://a.example.com",
        )
    error = refused.value
    assert list(zip(error.fields, (text[:24] for text in error.args), strict=True)) == [
        ("name", "there is an application "),
        ("redirect_uris", "the URI 'http://a.exampl"),
        ("redirect_uris", "the URI 'x' must be http"),
        ("audience", "'nobody at home' names n"),
        ("audience", "there is no batch 'bat_n"),
        ("address", "the address 'http://a.ex"),
    ]


@pytest.mark.parametrize(
    ("entry", "stored"),
    [("@Example.com", "example.com"), ("Owners", "owners"), ("OWNERS", "owners")],
)
def test_an_entry_of_the_audience_may_be_spelled_as_people_do(
    site: Site, entry: str, stored: str
) -> None:
    client_id, _ = site.create_application(name="Wiki", audience=[entry, stored])
    assert site.control_plane.applications.get(client_id).audience == [stored]


def test_the_last_sign_in_outlives_the_session_and_is_written_once_a_minute(site: Site) -> None:
    def last() -> int:
        at = site.control_plane.applications.get(site.client_id).last_sign_in_at
        assert at
        return round(at.timestamp() * 1000)

    assert site.control_plane.applications.get(site.client_id).last_sign_in_at is None
    site.code(site.sign_in())
    first = last()
    with site.control_plane.store.write() as tx:
        tx.sessions.delete(site.ids["jane"])
    assert last() == first

    for ago, is_written in ((MINUTE_MS - 20_000, False), (MINUTE_MS, True)):
        with site.control_plane.store.write() as tx:
            tx.applications.touch(site.client_id, first - ago)
        site.code(site.sign_in("kim"))
        assert (last() > first - ago) is is_written
    site.control_plane.applications.update(
        OPERATOR, site.client_id, ApplicationChanges(name="Wiki")
    )
    assert last() >= first


WRONG_FIELDS: list[dict[str, Any]] = [
    {"name": " "},
    {"name": "x" * 257},
    {"name": "a\nb"},
    {"name": "Hub"},
    {"name": " Wiki "},
    {"name": "\u3164"},
    {"name": "Wiki\u034f"},
    {"redirect_uris": []},
    {"redirect_uris": [f"https://{number}.example.com" for number in range(51)]},
    {"audience": ["not a domain"]},
    {"audience": ["bat_none"]},
    {"audience": [f"{number}.example.com" for number in range(51)]},
    {"is_public": True, "requires_pkce": False},
]


@pytest.mark.parametrize("fields", WRONG_FIELDS, ids=str)
def test_a_wrong_field_is_refused(site: Site, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        site.create_application(**({"name": "Wiki"} | fields))


def test_50_addresses_and_domains_are_registered(site: Site) -> None:
    domains = [f"{number}.example.com" for number in range(50)]
    uris = [f"https://{domain}" for domain in domains]
    assert site.create_application(name="Wiki", redirect_uris=uris, audience=domains)


def test_a_browser_writes_an_origin_in_lower_case(site: Site) -> None:
    uris = ["https://SPA.Example.com/cb", "https://b.example.com:443/cb"]
    site.create_application(name="SPA", redirect_uris=uris, is_public=True)
    allows = site.control_plane.applications.allows_origin

    assert [allows(f"https://{name}.example.com") for name in ("spa", "b", "c")] == [
        *(True, True, False)
    ]


def test_a_public_application_has_no_secret_to_rotate(site: Site) -> None:
    client_id, _ = site.create_application(name="Desktop", is_public=True)

    with pytest.raises(ConfigError, match="has no secret"):
        site.control_plane.applications.rotate_secret(OPERATOR, client_id, now=False)
    assert site.provider.applications.authenticate(client_id, None).is_public


def test_a_secret_authenticates_its_application_alone(site: Site) -> None:
    authenticate = site.provider.applications.authenticate
    other, other_secret = site.create_application(name="Wiki")
    public, _ = site.create_application(name="Desktop", is_public=True)

    assert authenticate(site.client_id, site.secret).name == "Hub"
    assert authenticate(public, None).name == "Desktop"
    assert other_secret
    for client_id, secret in (
        (site.client_id, None),
        (site.client_id, ""),
        (site.client_id, other_secret),
        (other, site.secret),
        (public, ""),
        (public, other_secret),
        ("app_none", site.secret),
        ("", None),
    ):
        with pytest.raises(OAuthError, match="invalid_client"):
            authenticate(client_id, secret)


def works(site: Site, *secrets: str | None) -> list[bool]:
    """Try secrets of the application."""

    def is_valid(secret: str | None) -> bool:
        try:
            return site.provider.applications.authenticate(site.client_id, secret).name == "Hub"
        except OAuthError:
            return False

    return list(map(is_valid, secrets))


def test_each_former_secret_works_for_the_hour_after_its_rotation(site: Site) -> None:
    def rotate(*, now: bool = False) -> str | None:
        rotated = site.control_plane.applications.rotate_secret(OPERATOR, site.client_id, now=now)
        return rotated.client_secret

    first, second = site.secret, rotate()
    let_time_pass(site.control_plane, 40 * 60_000)
    assert works(site, first, second) == [True, True]
    third = rotate()
    # The program has the second one, or the first one if the response was lost.
    assert works(site, first, second, third) == [True, True, True]
    let_time_pass(site.control_plane, 20 * 60_000)
    assert works(site, first, second, third) == [False, True, True]
    let_time_pass(site.control_plane, 40 * 60_000)
    assert works(site, first, second, third) == [False, False, True]

    fourth, last = rotate(), rotate(now=True)
    assert works(site, third, fourth, last) == [False, False, True]


def test_an_application_is_changed_and_deleted(site: Site) -> None:
    applications = site.control_plane.applications
    changes = ApplicationChanges(name="Notebooks", redirect_uris=[f"{CALLBACK}/2"])

    changed = applications.update(OPERATOR, site.client_id, changes)
    assert (changed.name, changed.redirect_uris) == ("Notebooks", [f"{CALLBACK}/2"])
    assert applications.get(site.client_id) == changed
    assert applications.list() == [changed]
    applications.delete(OPERATOR, site.client_id)
    assert applications.list() == []
    with pytest.raises(NotFound):
        applications.delete(OPERATOR, site.client_id)
    events = [event for event, _ in events_of(site.control_plane)]
    assert events[-3:] == ["application.created", "application.updated", "application.deleted"]


def test_a_changed_name_must_be_free(site: Site) -> None:
    client_id, _ = site.create_application(name="Wiki")

    with pytest.raises(ConfigError, match="there is an application"):
        site.control_plane.applications.update(OPERATOR, client_id, ApplicationChanges(name="Hub"))


def test_a_reader_changes_nothing(site: Site) -> None:
    caller = token_caller(site.control_plane, role="reader")
    applications = site.control_plane.applications
    before = applications.list()

    for change in (
        lambda: applications.update(caller, site.client_id, ApplicationChanges(name="X")),
        lambda: applications.rotate_secret(caller, site.client_id, now=True),
        lambda: applications.delete(caller, site.client_id),
    ):
        with pytest.raises(NotPermitted):
            change()
    assert applications.list() == before
    assert site.provider.applications.authenticate(site.client_id, site.secret).name == "Hub"


@pytest.mark.parametrize("state", ["dropped", "undone"])
def test_an_application_is_for_no_batch_that_has_ended(site: Site, state: str) -> None:
    batches = site.control_plane.batches
    if state == "dropped":
        batch_id = batches.open(OPERATOR, "a batch", "fail").batch_id
        batches.drop(OPERATOR, batch_id)
    else:
        batch_id = get_account(site.control_plane).batch_id
        batches.undo(OPERATOR, batch_id, "", force=True, dry_run=False)

    with pytest.raises(ConfigError, match=f"is {state}"):
        site.create_application(name="Wiki", audience=[batch_id])
