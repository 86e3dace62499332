"""Who may write: no request has the permissions of the operator, and only services write."""

import re
from pathlib import Path

from tests.support.paths import ROOT

SERVER = ROOT / "src" / "anyscale" / "server"
HTTP = SERVER / "http"

#: what opens a transaction that checks no caller
UNCHECKED = re.compile(r"store\.(read|write)\(|write_unattended\(")


def test_no_request_is_one_of_the_operator() -> None:
    for path in HTTP.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "SystemCaller" not in text
        assert "system_caller" not in text


def test_nothing_above_the_services_opens_a_transaction() -> None:
    # `ControlPlane.store` is public for what commands and metrics ask of it, such as its schema.
    services = {SERVER / "store", SERVER / "core", SERVER / "control_plane.py"}
    above = [path for path in (ROOT / "src").rglob("*.py") if services.isdisjoint(_places(path))]
    found = [path for path in above if UNCHECKED.search(path.read_text(encoding="utf-8"))]
    assert (len(above) > 100, found) == (True, [])


def _places(path: Path) -> set[Path]:
    return {path, *path.parents}


def test_only_the_gate_creates_a_session_or_renews_its_sign_in() -> None:
    calls = re.compile(r"\b(?:create_session|renew_session|sessions\.(?:add|renew))\(")
    found = {
        path.relative_to(SERVER).as_posix(): set(calls.findall(path.read_text(encoding="utf-8")))
        for path in SERVER.rglob("*.py")
        if calls.search(path.read_text(encoding="utf-8"))
    }
    assert found == {
        "core/login/sign_in_gate.py": {"create_session(", "renew_session("},
        # where both are defined
        "core/login/sessions.py": {
            "create_session(",
            "renew_session(",
            "sessions.add(",
            "sessions.renew(",
        },
    }
