"""The servers of tests share the routes, which are most of the work of a start."""

from pathlib import Path

from tests.support.servers.server_process import ServerProcess


def test_a_forked_server_has_the_routes_of_the_fork_server(database: str, tmp_path: Path) -> None:
    made = {"litestar.app.Litestar.__init__": None}  # whose call fails
    with ServerProcess(database, tmp_path, constants=made) as server:
        assert server.stop() == 0
