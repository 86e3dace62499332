"""Searches of the embedded control plane, which indexes words before it searches."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.support.databases.indexed_words import indexed_words
from tests.support.faults.permissions import NOBODY, without_root
from tests.support.users import POLICY, checked_users, list_accounts

from anyscale.comparison.list_users import list_users
from anyscale.domain.user_query import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.settings import Settings
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.user.lookup import find_user


@contextmanager
def embedded(
    folder: Path, on_notice: Callable[[str], None] = lambda _: None
) -> Iterator[EmbeddedTransport]:
    settings = Settings(database=file_in(folder), policy=POLICY)
    with closing(EmbeddedTransport(settings, on_notice)) as transport:
        yield transport


def file_in(folder: Path) -> Path:
    return folder / "data" / "anyscale.db"


def create(folder: Path, *names: str) -> None:
    with embedded(folder) as transport:
        transport.batches.create(names[0], checked_users(*names), "fail")


def search(folder: Path, text: str) -> tuple[list[str], object]:
    """Return the emails of a search, and how many accounts had no words when it began."""
    with embedded(folder) as transport:
        return search_by(transport, text)


def search_by(transport: EmbeddedTransport, text: str) -> tuple[list[str], object]:
    first = page = transport.users.list(UserQuery(search=text), "", 9)
    emails = [user.email for user in page.users]
    while isinstance(page.cursor, str):  # a busy machine may need several pages
        page = transport.users.list(UserQuery(search=text), page.cursor, 9)
        emails += [user.email for user in page.users]
    return emails, first.unindexed


def test_a_search_indexes_the_words_of_the_accounts_first(tmp_path: Path) -> None:
    create(tmp_path, "jane", "joe")
    for _ in range(2):
        # by email, then by their name
        assert search(tmp_path, "jane") == (["jane@example.com", "joe@example.com"], 0)


def test_each_search_indexes_more_accounts_also_right_after_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.embedded._INDEXING_SECONDS", 0)
    monkeypatch.setattr("anyscale.server.core.search.index._SEGMENT", 1)
    create(tmp_path, "jane", "joe", "jim")
    assert [search(tmp_path, "jane")[1] for _ in range(4)] == [2, 1, 0, 0]


def test_a_search_that_is_refused_indexes_nothing(tmp_path: Path) -> None:
    create(tmp_path, "jane")
    with pytest.raises(RequestInvalid, match="at most 24 words"):
        search(tmp_path, "a " * 25)
    with closing(SqliteStore(file_in(tmp_path), create=False)) as store:
        assert indexed_words(store) == []


def test_a_search_does_not_wait_until_another_process_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.embedded._INDEXING_SECONDS", 0.2)
    create(tmp_path, "jane")
    search(tmp_path, "jane")  # indexes it
    create(tmp_path, "joe", "jim")
    with closing(sqlite3.connect(file_in(tmp_path), isolation_level=None)) as writing:
        writing.execute("begin immediate")
        started = time.monotonic()
        with embedded(tmp_path) as transport:
            names = [user.email[:3] for user in list_accounts(transport, search="jane")]
        found = search(tmp_path, "joe")
    assert time.monotonic() - started < 20  # it would be two minutes
    assert sorted(names) == ["jan", "jim", "joe"]  # all of them have this name
    assert names[0] == "jan"
    assert found == (["joe@example.com"], 2)


@pytest.mark.parametrize(
    "protect",
    [lambda file: file.parent.chmod(0o500), lambda file: file.chmod(0o400)],
    ids=["folder", "file"],
)
def test_a_search_needs_no_permission_to_write(protect: Callable[[Path], None]) -> None:
    with TemporaryDirectory() as name:  # the folders of pytest are for one user alone
        folder = Path(name)
        create(folder, "jane", "joe")
        data = folder / "data"
        if os.geteuid() == 0:
            for path in (folder, data, *data.iterdir()):
                os.chown(path, NOBODY, -1)
        protect(file_in(folder))
        notices: list[str] = []
        with without_root(), embedded(folder, notices.append) as transport:
            found = search_by(transport, "jan")
            assert not notices
        data.chmod(0o700)
    assert found == (["jane@example.com", "joe@example.com"], 2)


def test_only_a_list_that_ends_early_says_that_better_matches_may_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path, "jane", "joe")  # the last name of both is found by `jane` too
    monkeypatch.setattr("anyscale.transport.embedded._index_words", lambda _: None)
    notices: list[str] = []
    with embedded(tmp_path, notices.append) as transport:
        query = UserQuery(search="jane")
        assert len(list(list_users(transport, query, None, 1))) == 2
        assert notices == []
        (jane,) = list_users(transport, query, 1, 1)
        (notice,) = notices
        assert notice == (
            "Better matches may come after those listed, since 2 accounts are new to the search: "
            "list more, or search again later."
        )
        assert find_user(transport, user_id=jane.user_id) == jane
    assert len(notices) == 1
