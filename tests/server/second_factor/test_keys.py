"""The keys that encrypt seeds: who creates them, and what `anyscale server check` says."""

import logging
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs
from tests.support.commands.check_results import check_in_process
from tests.support.commands.running import RunAnyscale
from tests.support.second_factor.authenticator_apps import add_app
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.openid_provider import logged
from tests.support.sign_in.sign_ins import events_of, get_account
from tests.support.users import create_accounts
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.second_factor.keys import SEED_KEYS, SeedKeys, create_key


def checked(control_plane: ControlPlane, folder: Path) -> tuple[str, str]:
    """Give the status of the check of a folder, and its text."""
    database = control_plane.settings.database
    url = f"sqlite:///{database}" if isinstance(database, Path) else str(database)
    environment = {
        "HOME": str(folder.parent),
        "ANYSCALE_DATABASE_URL": url,
        "ANYSCALE_SECOND_FACTOR_KEYS": str(folder),
    }
    result = check_in_process(environment, "second_factor.keys")["second_factor.keys"]
    return result.status, str(result)


def test_a_copy_of_a_database_without_its_keys_gets_no_new_one(
    store_deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    control_plane = store_deployment.control_plane()
    create_accounts(control_plane, "jane")
    add_app(control_plane, get_account(control_plane).user_id)
    control_plane.close()
    folder = tmp_path / "keys"
    settings = structs.replace(store_deployment.settings(), second_factor_keys=folder)
    copied = ControlPlane(settings)
    with caplog.at_level(logging.WARNING):
        copied.prepare_seed_keys()
    copied.close()
    assert not folder.exists()
    (line,) = logged(caplog)
    assert f"{folder} has none: copy the keys here" in line


def test_a_server_starts_beside_a_folder_that_it_cannot_look_at(
    store_deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As below a folder of another user; root cannot look at this one either."""
    folder = tmp_path / ("x" * 300)
    settings = structs.replace(
        store_deployment.settings(),
        second_factor_keys=folder,
        signing_keys=folder,
        public_url="https://accounts.example.com",
    )
    with caplog.at_level(logging.WARNING), closing(ControlPlane(settings)) as control_plane:
        control_plane.prepare_seed_keys()
        assert control_plane.openid
    lines = "\n".join(logged(caplog))
    for what in ("no OpenID provider", "no second factor key"):
        assert f"{what}: cannot read the folder {folder}: File name too long" in lines


@pytest.mark.both_stores
def test_only_the_start_on_sqlite_creates_a_key_and_the_other_one_says_what_to_do(
    store_deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "keys"
    settings = structs.replace(store_deployment.settings(), second_factor_keys=folder)
    control_plane = ControlPlane(settings)
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(2):  # the second start finds the first one's key
                control_plane.prepare_seed_keys()
        if settings.is_only_server:
            (path,) = folder.iterdir()
            assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
            assert control_plane.seed_keys.current().encrypts_from
            assert events_of(control_plane) == [("second_factor_key.created", "system")]
            assert logged(caplog) == []
        else:
            assert not folder.exists()
            assert len(logged(caplog)) == 2
            assert "`anyscale server create-second-factor-key`, and copy" in logged(caplog)[0]
        assert checked(control_plane, folder)[0] == ("ok" if settings.is_only_server else "warn")
    finally:
        control_plane.close()


@pytest.mark.both_stores
def test_the_check_names_the_key_that_is_missing(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    create_accounts(control_plane, "jane")
    add_app(control_plane, get_account(control_plane).user_id)
    own = control_plane.settings.second_factor_keys
    assert own
    shutil.copytree(own, tmp_path / "other")
    assert checked(control_plane, tmp_path / "other")[0] == "ok"

    create_key(tmp_path / "new", datetime.now(UTC))
    status, text = checked(control_plane, tmp_path / "new")
    assert status == "fail"
    assert control_plane.seed_keys.current().fingerprint in text

    create_key(tmp_path / "other", datetime.now(UTC)).chmod(0o644)
    status, text = checked(control_plane, tmp_path / "other")
    assert (status, "others can read" in text) == ("warn", True)
    (tmp_path / "file").touch()
    assert checked(control_plane, tmp_path / "file")[0] == "fail"


def test_the_operator_creates_the_next_key_which_waits_for_an_hour(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    anyscale("server", "create-token", "--name", "laptop")
    folder = tmp_path / "keys"
    said = []
    for _ in range(2):
        wait_until(lambda: not (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.key").exists())
        done = anyscale(
            "server",
            "create-second-factor-key",
            env={"ANYSCALE_SECOND_FACTOR_KEYS": str(folder)},
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stderr.partition(".key ")[2])

    assert said == ["encrypts now.\n", "encrypts after an hour.\n"]
    files = SEED_KEYS.read_all(folder)
    first, second = (key for _, key in sorted(files.keys.items()))
    assert SeedKeys(folder).current() == first
    listed = anyscale("audit", "list", "-o", "jsonl").stdout
    assert [listed.count(key.fingerprint) for key in (first, second)] == [1, 1]
    assert first.secret.hex() not in listed
