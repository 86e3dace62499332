"""`anyscale server check` on passkeys: whether the public address can have them, and still has."""

from contextlib import closing
from pathlib import Path

import pytest
from tests.store.contract.factors import passkey_row
from tests.support.commands.check_results import check_in_process

from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings


def opened(path: Path) -> closing[ControlPlane]:
    return closing(ControlPlane(Settings(database=path), profile=CHEAPEST))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "anyscale.db"
    with opened(path) as control_plane, control_plane.store.write() as tx:
        for number, host in enumerate(("new.example.org", "old.example.org") * 2, 1):
            assert tx.factors.add(passkey_row(number, "usr_a", rp_id=host))
        assert tx.factors.delete("usr_a", "fac_4")
    return path


def result_at(url: str, database: Path) -> CheckResult:
    environment = {
        "ANYSCALE_DATABASE_URL": f"sqlite:///{database}",
        "ANYSCALE_PUBLIC_URL": url,
    }
    return check_in_process(environment, "public_url.passkeys")["public_url.passkeys"]


def test_passkeys_of_a_former_address_are_counted(database: Path) -> None:
    result = result_at("https://new.example.org:8443", database)

    assert result.status == "warn"
    assert result.found == (
        "1 passkey of old.example.org cannot be used: a new public address loses all passkeys"
    )
    assert "former address" in result.fix


def test_an_address_keeps_the_passkeys_of_its_host_name(database: Path) -> None:
    with opened(database) as control_plane, control_plane.store.write() as tx:
        assert tx.factors.delete("usr_a", "fac_2")
    result = result_at("https://new.example.org", database)

    assert (result.status, result.fix) == ("ok", "")
    assert result.found == "2 passkeys; a new public address loses all passkeys"


def test_an_ip_address_has_none_and_the_reason_is_given(tmp_path: Path) -> None:
    path = tmp_path / "anyscale.db"
    with opened(path):
        pass
    result = result_at("http://127.0.0.1:8000", path)

    assert result.status == "warn"
    assert "host names only" in result.found
    assert "http://localhost" in result.found
