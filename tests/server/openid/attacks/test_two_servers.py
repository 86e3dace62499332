"""Two servers, or two workers, of one database: what one has used, the other refuses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from tests.server.openid.test_tokens import is_valid, with_refresh_tokens
from tests.support.sign_in.openid_provider import CALLBACK, VERIFIER, Site

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.openid.authorization import Redirection, SignInNeeded
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.core.openid.tokens import IssuedTokens

pytestmark = pytest.mark.both_stores

#: calls at the same time, half of them on each server
_CALLS = 8


@pytest.fixture
def other(site: Site) -> Iterator[OpenIdProvider]:
    """The provider of the other server."""
    with closing(ControlPlane(site.control_plane.settings)) as control_plane:
        assert control_plane.openid
        yield control_plane.openid


def exchange(provider: OpenIdProvider, site: Site, code: str) -> IssuedTokens:
    return provider.tokens.exchange(site.application, code, CALLBACK, VERIFIER)


def results_at_once(
    providers: tuple[OpenIdProvider, OpenIdProvider],
    call: Callable[[OpenIdProvider], IssuedTokens],
) -> list[IssuedTokens]:
    """Call at once on both servers; give what succeeded."""
    start = Barrier(_CALLS)

    def run(number: int) -> IssuedTokens | None:
        start.wait()
        try:
            return call(providers[number % 2])
        except OAuthError:
            return None

    with ThreadPoolExecutor(_CALLS) as pool:
        return [found for found in pool.map(run, range(_CALLS)) if found]


def test_a_code_of_one_server_is_exchanged_once_on_another(
    site: Site, other: OpenIdProvider
) -> None:
    code = site.code(site.sign_in())
    tokens = exchange(other, site, code)
    assert is_valid(site, tokens)

    with pytest.raises(OAuthError, match="invalid_grant"):
        exchange(site.provider, site, code)

    assert not is_valid(site, tokens)


def test_of_many_exchanges_at_once_one_succeeds_and_the_others_end_it(
    site: Site, other: OpenIdProvider
) -> None:
    code = site.code(site.sign_in())

    issued = results_at_once((site.provider, other), lambda one: exchange(one, site, code))

    assert len(issued) <= 1
    assert not any(is_valid(site, tokens) for tokens in issued)


@pytest.mark.parametrize("is_public", [True, False])
def test_of_many_refreshes_at_once_one_succeeds_or_all_have_the_same_result(
    site: Site, other: OpenIdProvider, *, is_public: bool
) -> None:
    with_refresh_tokens(site, is_public=is_public)
    token = site.exchange(site.code(site.sign_in())).refresh_token
    assert token

    issued = results_at_once(
        (site.provider, other), lambda one: one.tokens.refresh(site.application, token, None)
    )

    if is_public:
        assert len(issued) <= 1
        assert not any(is_valid(site, tokens) for tokens in issued)
    else:
        assert len(issued) == _CALLS
        assert len({tokens.access_token for tokens in issued}) == 1
        assert is_valid(site, issued[0])


def test_a_request_that_waits_at_one_server_is_answered_by_another(
    site: Site, other: OpenIdProvider
) -> None:
    needed, session = site.start(), site.sign_in()
    assert isinstance(needed, SignInNeeded)

    answered = other.authorization.resume(needed.request_id, session, needed.browser)

    assert isinstance(answered, Redirection)
    assert "code" in answered.parameters
