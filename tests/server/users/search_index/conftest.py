"""A control plane whose index is filled in slices of three accounts, without pauses."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import undo
from anyscale.server.core.users import search_index


@pytest.fixture
def plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as plane:
        yield plane


@pytest.fixture(autouse=True)
def _slices_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "_SLICE", 3)
    monkeypatch.setattr(search_index, "_PAUSE", 0)
    monkeypatch.setattr(undo, "_DEFER_FILLING_MS", 0)
