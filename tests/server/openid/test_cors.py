"""Pages of public applications may read the responses of the routes that say so."""

from contextlib import closing
from pathlib import Path

from litestar import Litestar, Router, get, post
from litestar.datastructures import State
from litestar.testing import TestClient
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import new_control_plane

from anyscale.domain.models.applications import NewApplication
from anyscale.server.http.openid.cors import CORS, CorsMiddleware
from anyscale.server.http.thread_pools import ThreadPools

ORIGIN = "https://spa.example.com"


@get("/shared", sync_to_thread=False, opt={CORS: True})
def shared() -> str:
    return "shared"


@post("/shared", sync_to_thread=False)
def not_shared() -> str:
    return "not shared"


@get(["/private", "/in/{name:str}"], sync_to_thread=False)
def private() -> str:
    return "private"


def test_the_option_of_a_route_lets_pages_of_public_applications_read_it(tmp_path: Path) -> None:
    allowed, methods = "access-control-allow-origin", "access-control-allow-methods"
    router = Router("/all", route_handlers=[private], opt={CORS: True})
    with closing(new_control_plane(tmp_path)) as control_plane:
        new = NewApplication(name="SPA", redirect_uris=[f"{ORIGIN}/back"], is_public=True)
        control_plane.applications.create(OPERATOR, new)
        app = Litestar(
            [shared, not_shared, private, router],
            middleware=[CorsMiddleware()],
            state=State({"applications": control_plane.applications, "pools": ThreadPools()}),
        )
        with TestClient(app) as client:
            client.headers["origin"] = ORIGIN
            assert client.get("/shared").headers[allowed] == ORIGIN
            assert allowed not in client.post("/shared").headers
            for path in ("/shared", "/all/private", "/all/in/jane"):
                assert methods in client.options(path).headers, path
            for path in ("/private", "/in/jane"):
                assert allowed not in client.get(path).headers, path
                assert methods not in client.options(path).headers, path
