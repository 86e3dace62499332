"""The handler of a route runs in the pool that the route names."""

import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, RawBody
from litestar.testing import TestClient

from anyscale.server.http.errors import EXCEPTION_HANDLERS
from anyscale.server.http.route_handlers import get, post, put
from anyscale.server.http.thread_pools import BoundedThreadPool, ThreadPools

Client = TestClient[Litestar]
AnyRequest = Request[Any, Any, Any]

POOLS = ("auth", "read", "write", "hashing", "monitoring")

caller: ContextVar[str] = ContextVar("caller", default="nobody")


def thread_name() -> str:
    return threading.current_thread().name


@get("/loop")
async def in_loop() -> str:
    caller.set("jane")
    return thread_name()


async def identify() -> str:
    caller.set("jane")
    return "a service"


@post("/request/{number:int}", pool="read", dependencies={"service": Provide(identify)})
def describe(
    request: AnyRequest,
    body: RawBody,
    number: FromPath[int],
    service: NamedDependency[str],
    limit: FromQuery[int] = 10,
) -> list[Any]:
    return [request.method, body.decode(), number, service, limit, caller.get()]


@put("/decoded", pool="write")
def decoded(data: JSONBody[dict[str, int]]) -> int:
    return data["count"]


def application(*handlers: Any, pools: ThreadPools | None = None) -> Litestar:
    return Litestar(
        handlers,
        state=State({"pools": pools or ThreadPools()}),
        exception_handlers=EXCEPTION_HANDLERS,
    )


@pytest.fixture
def client() -> Iterator[Client]:
    with TestClient(application(in_loop, describe, decoded)) as client:
        yield client


@pytest.mark.parametrize("pool", POOLS)
def test_a_plain_function_runs_in_a_thread_of_its_pool(pool: Any) -> None:
    @get("/thread", pool=pool)
    def in_thread() -> str:
        return thread_name()

    with TestClient(application(in_thread)) as client:
        assert client.get("/thread").text.startswith(f"{pool}_")


def test_a_coroutine_function_runs_in_the_event_loop(client: Client) -> None:
    assert not client.get("/loop").text.startswith(POOLS)


def test_a_plain_function_receives_what_its_arguments_name_and_the_context(client: Client) -> None:
    response = client.post("/request/7?limit=2", content=b"text")
    assert response.status_code == 201
    assert response.json() == ["POST", "text", 7, "a service", 2, "jane"]
    assert client.put("/decoded", json={"count": 3}).json() == 3
    assert client.put("/decoded", content=b"{").status_code == 400


def test_a_full_pool_refuses_the_request_and_says_when_to_repeat_it() -> None:
    pools, calls = ThreadPools(), []
    pools.read = BoundedThreadPool("read", 1, waiting=-1)

    @get("/read", pool="read")
    def read() -> None:
        calls.append("read")

    @get("/write", pool="write")
    def write() -> None:
        calls.append("write")

    with TestClient(application(read, write, pools=pools)) as client:
        refused = client.get("/read")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["code"] == "overloaded"
        assert client.get("/write").status_code == 200
    assert calls == ["write"]


def test_an_error_of_a_plain_function_gets_the_response_that_it_gets_elsewhere() -> None:
    @get("/bug", pool="read")
    def bug() -> None:
        raise KeyError("secret")

    with TestClient(application(bug)) as client:
        response = client.get("/bug")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text


def test_one_handler_serves_two_applications_with_pools_of_their_own() -> None:
    @get("/read", pool="read")
    def read() -> str:
        return thread_name()

    full = ThreadPools()
    full.read = BoundedThreadPool("read", 1, waiting=-1)
    router = Router("/in", route_handlers=[read])
    with (
        TestClient(application(router)) as client,
        TestClient(application(router, pools=full)) as other,
    ):
        assert client.get("/in/read").status_code == 200
        assert other.get("/in/read").status_code == 429
        assert client.get("/in/read").status_code == 200


def test_a_plain_function_without_a_pool_stops_the_start_of_the_server() -> None:
    @get("/read")
    def read() -> None:
        """Read nothing."""

    with pytest.raises(TypeError):
        application(read)
