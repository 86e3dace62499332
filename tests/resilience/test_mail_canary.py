"""A link that was mailed is in no database, log, response or core dump: only in its mail."""

import resource
import subprocess
from pathlib import Path

import pytest
from tests.support.commands.running import run_command
from tests.support.mail.mail_site import MailSite, relay_environment
from tests.support.mail.relays import TestRelay, running_relay
from tests.support.ports import responds_at
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until

from anyscale.server.core.link_secrets import secret_of

EMAILS = [f"{name}@example.com" for name in ("accepted", "refused", "deferred")]


class Quoting:
    """A relay that quotes the mails that it refuses or defers."""

    def __init__(self, relay: TestRelay) -> None:
        self.codes: list[str] = []
        self._deferred = 0
        relay.on_data = self

    def __call__(self, text: str) -> str | None:
        code = secret_of(text)
        self.codes.append(code)
        if "refused@" in text:
            return f"550 5.7.1 spam: https://accounts.example.com/set-password#{code}"
        if "deferred@" in text and self._deferred < 2:
            self._deferred += 1
            return ("451 4.7.1 is it {}? {}", "451-4.7.1 {}\r\n451 4.7.1 {}")[
                self._deferred - 1
            ].format(code[:20], code)
        return None


def traces(codes: list[str]) -> list[bytes]:
    """Return what remains of codes that are cut or encoded."""
    halves = [part for code in codes for part in (code[4:26], code[26:])]
    return [part.encode(encoding) for part in halves for encoding in ("ascii", "utf-16-le")]


@pytest.mark.both_stores
def test_no_link_is_stored_logged_or_shown_after_it_was_sent(
    request: pytest.FixtureRequest, store_kind: str, database: str, tmp_path: Path
) -> None:
    with running_relay() as relay:
        quoting = Quoting(relay)
        with MailSite(tmp_path, relay_environment(relay.port, "none"), database) as site:
            site.request_links(*EMAILS)
            site.wait_until_sent()
            places = {
                "log": site.server.log.read_bytes(),
                "outbox": repr([*site.mails("failed")]).encode(),
                "environment": Path(f"/proc/{site.server.pid}/environ").read_bytes(),
            }
            login = {"ANYSCALE_HOST": site.server.url, "ANYSCALE_CLI_TOKEN": site.server.token()}
            for command in (["mail", "list", "--failed"], ["audit", "list"]):
                done = run_command(command, login, folder=tmp_path)
                assert done.returncode == 0, done.stderr
                places[" ".join(command)] = (done.stdout + done.stderr).encode()
            if store_kind == "postgres":
                programs = request.getfixturevalue("postgres_server").programs
                places["dump"] = subprocess.run(
                    [programs / "pg_dump", database], check=True, capture_output=True
                ).stdout
            else:
                folder = Path(database.removeprefix("sqlite:///")).parent
                files = [path for path in folder.rglob("*") if path.is_file()]
                assert {"anyscale.db", "anyscale.db-wal"} <= {path.name for path in files}
                places |= {path.name: path.read_bytes() for path in files}
    assert len(quoting.codes) == 5
    assert all(quoting.codes)
    assert b"550 5.7.1 spam" in places["mail list --failed"]
    assert any(b"refused@example.com" in places[name] for name in places if name != "outbox")
    for name, content in places.items():
        assert not any(trace in content for trace in traces(quoting.codes)), name


def test_a_server_that_crashes_writes_no_memory_into_a_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    server = ServerProcess(f"sqlite:///{tmp_path / 'anyscale.db'}", tmp_path)
    try:
        server.begin_installed()
        wait_until(lambda: responds_at(server.port))
        assert resource.prlimit(server.pid, resource.RLIMIT_CORE) == (0, 0)
    finally:
        server.kill()
        resource.setrlimit(resource.RLIMIT_CORE, limits)
