"""When a control plane is a provider, and what `anyscale server check` says about its keys."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.commands.check_results import check_in_process
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.openid_provider import Site

from anyscale.errors import NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.openid.key_files import create_key
from anyscale.server.core.openid.key_rotation import rotate_keys


@pytest.fixture
def first_start(
    store_deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[ControlPlane]:
    """A control plane without signing keys, at its first start."""
    settings = structs.replace(store_deployment.settings(), signing_keys=tmp_path / "keys")
    with caplog.at_level(logging.WARNING), closing(ControlPlane(settings)) as control_plane:
        yield control_plane


def test_only_the_first_start_on_sqlite_creates_a_key(
    first_start: ControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert first_start.openid
    if isinstance(first_start.settings.database, Path):
        (path,) = (tmp_path / "keys").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert first_start.openid.keys.current().kid
        assert "no OpenID provider" not in caplog.text
    else:
        assert not (tmp_path / "keys").exists()
        with pytest.raises(NotFound, match="no signing key"):
            first_start.openid.keys.current()
        assert "no OpenID provider" in caplog.text


def test_without_a_public_url_there_is_no_provider(store_deployment: Deployment) -> None:
    settings = structs.replace(store_deployment.settings(), public_url=None)

    with closing(ControlPlane(settings)) as control_plane:
        assert control_plane.openid is None


def checked(site: Site, folder: Path) -> dict[str, tuple[str, str]]:
    """Give the status and the text of each check of the keys."""
    database = site.control_plane.settings.database
    url = f"sqlite:///{database}" if isinstance(database, Path) else str(database)
    environment = {
        "HOME": str(folder),
        "ANYSCALE_DATABASE_URL": url,
        "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
        "ANYSCALE_SIGNING_KEYS": str(folder),
    }
    results = check_in_process(environment, "openid.")
    return {check: (result.status, str(result)) for check, result in results.items()}


def test_the_keys_of_a_server_are_checked(site: Site, tmp_path: Path) -> None:
    keys = site.provider.keys
    kid = keys.current().kid
    good = checked(site, keys.folder)
    assert (good["openid.keys"][0], good["openid.registered_keys"][0]) == ("ok", "ok")
    assert kid in good["openid.keys"][1]

    create_key(tmp_path / "later", datetime.now(UTC) + timedelta(hours=1))
    later = checked(site, tmp_path / "later")
    assert later["openid.keys"][0] == "fail"
    assert "clock" in later["openid.keys"][1]

    create_key(keys.folder, datetime.now(UTC)).rename(keys.folder / "backup.pem")
    wrong = checked(site, keys.folder)
    assert wrong["openid.keys"][0] == "warn"
    assert f"{kid} signs, of 1, but {keys.folder}/backup.pem: the name" in wrong["openid.keys"][1]


def test_a_server_without_the_keys_that_applications_need_fails_the_check(
    site: Site, tmp_path: Path
) -> None:
    kid = site.provider.keys.current().kid
    none = checked(site, tmp_path / "none")
    assert none["openid.keys"][0] == "fail"
    assert "which 1 application needs" in none["openid.keys"][1]
    assert none["openid.registered_keys"][0] == "warn"
    assert kid in none["openid.registered_keys"][1]
    # On the second server of a database, the option would revoke the keys of the first.
    is_alone = isinstance(site.control_plane.settings.database, Path)
    for _, text in none.values():
        assert ("--now" in text) == (is_alone and "missing" in text)

    site.control_plane.applications.delete(OPERATOR, site.client_id)
    assert checked(site, tmp_path / "none")["openid.keys"][0] == "warn"


def test_a_revoked_key_fails_the_check_of_the_server_that_has_no_other(
    site: Site, tmp_path: Path
) -> None:
    folder = site.provider.keys.folder
    kid = site.provider.keys.current().kid
    shutil.copytree(folder, tmp_path / "other")
    new = rotate_keys(site.control_plane.transactions, folder, "local:root", revokes_others=True)

    status, text = checked(site, tmp_path / "other")["openid.keys"]
    assert status == "fail"
    assert f"{tmp_path}/other/20250101T000000Z.pem has a revoked key" in text
    assert kid not in text

    shutil.copy2(new.path, tmp_path / "other")
    status, text = checked(site, tmp_path / "other")["openid.keys"]
    assert status == "warn"
    assert "has a revoked key" in text
    assert checked(site, folder)["openid.keys"][0] == "ok"


def test_a_folder_of_keys_that_cannot_be_read_fails_the_check(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert checked(site, tmp_path / "file")["openid.keys"][0] == "fail"
