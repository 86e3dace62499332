"""These tests wait most, so they begin first: other tests have the cores meanwhile."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of this folder first."""
    folder = Path(__file__).parent
    items.sort(key=lambda item: not item.path.is_relative_to(folder))
