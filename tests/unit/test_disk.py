"""Names of new files, also on file systems without hard links."""

import errno
import os
from pathlib import Path

import pytest

from anyscale import disk


def new_file(folder: Path, *, named: bool) -> tuple[int, Path]:
    if named:
        return os.open(folder / "part", os.O_CREAT | os.O_RDWR, 0o600), folder / "part"
    unnamed = disk.create_unnamed(folder)
    assert unnamed, "Linux has files without a name"
    return unnamed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    folder.mkdir()
    return folder


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def _links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # as vfat does

    if not request.param:
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("_links")
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_a_new_file_gets_a_name_and_replaces_none(folder: Path, named: bool) -> None:
    descriptor, file = new_file(folder, named=named)
    os.write(descriptor, b"secret")
    disk.give_name(file, folder / "key")
    with pytest.raises(FileExistsError):
        disk.give_name(new_file(folder, named=False)[1], folder / "key")
    os.close(descriptor)
    assert (folder / "key").read_bytes() == b"secret"
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert {one.name for one in folder.iterdir()} <= {"key", "part"}


def test_a_file_without_a_name_is_gone_when_it_is_closed(folder: Path) -> None:
    descriptor, _ = new_file(folder, named=False)
    os.write(descriptor, b"secret")
    assert list(folder.iterdir()) == []
    os.close(descriptor)
    assert list(folder.iterdir()) == []
