"""Tests that ask for a house run in each kind of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.control_planes import HOUSES, STORES, House, house_of
from tests.support.postgres import Databases
from tests.support.tampering import Attempt, attempted


@pytest.fixture(params=list(HOUSES))
def house(request: pytest.FixtureRequest, postgres_databases: Databases) -> Iterator[House]:
    """Give a place with an empty control plane."""
    with house_of(request.param, postgres_databases) as house:
        yield house


@pytest.fixture(params=STORES)
def store_house(request: pytest.FixtureRequest, postgres_databases: Databases) -> Iterator[House]:
    """Give a place with an empty control plane, one for each kind of store."""
    with house_of(request.param, postgres_databases) as house:
        yield house


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """Give a sign-in at a provider that tampers, before it begins."""
    with attempted(tmp_path) as attempt:
        yield attempt
