"""Whether anybody asks a server for anything but signing in."""

import asyncio
from functools import partial
from typing import Any

import pytest

from anyscale.server.http.login.others import Others
from anyscale.server.http.middleware.request_log import RequestLogMiddleware


async def asked(others: Others, route: str) -> None:
    """Make a request that is answered at this route."""

    async def application(scope: Any, _: Any, send: Any) -> None:
        scope["path_template"] = route
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError("nobody reads it")

    async def send(_: Any) -> None:
        pass

    scope: Any = {"type": "http", "method": "GET", "scheme": "http", "headers": []}
    await RequestLogMiddleware(application, others, by_tls=False)(scope, receive, send)


@pytest.mark.parametrize(
    ("route", "is_other"), [("/v1/sessions", False), ("/v1/me", True), ("/", True), ("", True)]
)
def test_who_signs_in_is_nobody_else(route: str, is_other: bool) -> None:
    others = Others()
    assert not others.were_lately()
    asyncio.run(asked(others, route))
    assert others.were_lately() == is_other


def test_who_asked_a_while_ago_is_not_expected_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()
    asyncio.run(asked(others, "/v1/me"))
    for seconds, are_there in ((0.9, True), (1.1, False)):
        with monkeypatch.context() as patched:
            patched.setattr("time.monotonic", partial(float, others._last + seconds))
            assert others.were_lately() == are_there
