"""A server whose runs of files a test can let wait, and its owners."""

from collections.abc import Iterator

import pytest
from tests.browser.batches.owners import Owners, run_owners
from tests.support.sign_in.site import Site


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owners]:
    folder = tmp_path_factory.mktemp("batches")
    with run_owners(folder, folder / "anyscale.db") as owners:
        yield owners


@pytest.fixture(scope="module")
def site(owners: Owners) -> Site:
    return owners.site
