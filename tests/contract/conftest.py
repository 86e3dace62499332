"""Tests that ask for a house run in each kind of it."""

from collections.abc import Iterator

import pytest
from tests.contract.houses import HOUSES, STORES, House, house_of


@pytest.fixture(params=list(HOUSES))
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """Give a place with an empty control plane."""
    with house_of(request.param) as house:
        yield house


@pytest.fixture(params=STORES)
def store_house(request: pytest.FixtureRequest) -> Iterator[House]:
    """Give a place with an empty control plane, one for each kind of store."""
    with house_of(request.param) as house:
        yield house
