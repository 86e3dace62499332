"""The store of a test: SQLite, and PostgreSQL as well if it has the mark `both_stores`.

The contract suite of `tests/store` shows that both stores keep the same rules. What is above the
store needs the mark only where two transactions meet, or where the SQL of the stores differs.
"""

import pytest

STORES = ("sqlite", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has the mark and a database on each store."""
    marked = metafunc.definition.get_closest_marker("both_stores")
    if marked and "store_kind" in metafunc.fixturenames:
        metafunc.parametrize("store_kind", STORES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def store_kind(request: pytest.FixtureRequest) -> str:
    """The store of a test, one of `STORES`: fixtures that create a database take it."""
    kind: str = getattr(request, "param", "sqlite")
    return kind
