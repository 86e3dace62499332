"""Logins at a server with two workers and a real OpenID provider, and the server's log."""

import json
from pathlib import Path

from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.oidc_provider import (
    CLIENT_SECRET,
    OidcProvider,
    new_browser,
    sign_in_at_provider,
)

USERS = """create_users:
- {name: Jane, email: jane@example.com, is_sso_user: true}
- {name: Pat, email: password@example.com}
"""


def test_a_login_may_use_any_worker_and_the_log_has_no_personal_data(
    database: str, oidc_provider: OidcProvider, sso_port: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "client-secret"
    file.write_text(CLIENT_SECRET, encoding="ascii")
    file.chmod(0o600)
    settings = {
        "ANYSCALE_PUBLIC_URL": f"http://127.0.0.1:{sso_port}",
        "ANYSCALE_SSO_ISSUER": oidc_provider.issuer,
        "ANYSCALE_SSO_CLIENT_ID": "musterroll",
        "ANYSCALE_SSO_CLIENT_SECRET_FILE": str(file),
        "ANYSCALE_SSO_DOMAINS": "example.com",
    }
    server = ServerProcess(database, tmp_path, workers=2, settings=settings)
    server.port, server.url = sso_port, settings["ANYSCALE_PUBLIC_URL"]
    with server:
        environment = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
        created = anyscale(
            "user", "batch-create", "-f", "-", "--format", "yaml", stdin=USERS, env=environment
        )
        assert created.returncode == 0, created.stderr
        logins = [entered(server.url, "jane") for _ in range(4)]
        refused = entered(server.url, "password")
        audit_entries = anyscale("audit", "list", "-o", "jsonl", env=environment).stdout
    assert [location for location, _ in logins] == ["/"] * 4
    assert refused[0].startswith("/sign-in?sso=not_set_up&number=")
    assert audit_entries.count("identity.linked") == 1
    assert "not_sso_user" in audit_entries
    log = server.log.read_text(encoding="utf-8")
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events.count("sign-in refused") == 1
    for secret in (
        CLIENT_SECRET,
        "eyJ",
        "example.com",
        *(one for _, kept in logins for one in kept),
    ):
        assert secret not in log
        assert secret not in audit_entries


def entered(url: str, login: str) -> tuple[str, list[str]]:
    """Sign in; give the URL at the end, and the secrets of the login."""
    with new_browser(url) as client:
        there = client.get("/sso/start").headers["location"]
        back = sign_in_at_provider(there, login)
        kept = [client.cookies["__Host-sso"], back.partition("?")[2]]
        location = client.get(back).headers["location"]
        return location, [*kept, *client.cookies.values()]
