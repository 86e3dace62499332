"""The index is filled in slices of three accounts, without pauses."""

import pytest

from anyscale.server.core.batches import undo
from anyscale.server.core.users import search_index


@pytest.fixture(autouse=True)
def _slices_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "_SLICE", 3)
    monkeypatch.setattr(search_index, "_PAUSE", 0)
    monkeypatch.setattr(undo, "_DEFER_FILLING_MS", 0)
