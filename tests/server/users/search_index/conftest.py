"""The index is filled in segments of three accounts, and slices of five words, without pauses."""

import pytest

from anyscale.server.core.search import index as search_index


@pytest.fixture(autouse=True)
def _segments_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "_SEGMENT", 3)
    monkeypatch.setattr(search_index, "_SHORT_SEGMENT", 2)
    monkeypatch.setattr(search_index, "_PART", 2)
    monkeypatch.setattr(search_index, "_SLICE", 5)
    monkeypatch.setattr(search_index, "_PAUSE", 0)
    monkeypatch.setattr(search_index, "_DEFER_MS", 0)
