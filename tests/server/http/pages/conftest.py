"""A served control plane with an account, and a client of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.server.http.pages.requests import Come
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


@pytest.fixture
def come(tmp_path: Path) -> Iterator[Come]:
    """Serves a control plane with an account, and gives a client of it."""
    with ExitStack() as stack:

        def coming(prepare: Callable[[ControlPlane], Any] = id, **settings: Any) -> HttpClient:
            kept = Settings(database=tmp_path / "anyscale.db", **settings)
            if kept.policy.sso_only:
                control_plane = cheap_control_plane(kept)
            else:
                control_plane, _ = filled_control_plane(kept, _create_jane)
            prepare(control_plane)
            return HttpClient(stack.enter_context(serve_in_process(control_plane)))

        yield coming


def _create_jane(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "jane")
