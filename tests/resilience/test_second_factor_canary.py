"""No seed, one-time code, recovery code or key is in a database, log, audit log or export."""

import re
import subprocess
from base64 import b32decode, b32encode, b64encode, urlsafe_b64encode
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.commands.running import run_command
from tests.support.second_factor.authenticator_apps import code_shown
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.core.second_factor.keys import create_key
from anyscale.server.core.second_factor.totp import seed_text

RECOVERY_CODE = r"(?:[0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}"
HALF = {"email": "jane@example.com", "password": NEW_PASSWORD}


class Secrets:
    """What a user has seen, typed and sent."""

    def __init__(self) -> None:
        self.seeds: list[bytes] = []
        self.codes: list[str] = []
        self.recovery_codes: list[str] = []

    def code(self, seed: bytes, ahead: int) -> str:
        self.codes.append(code_shown(seed, seconds_ahead=ahead))
        return self.codes[-1]

    def traces_in(self, content: bytes) -> list[bytes]:
        """Return what content has of each secret that is encoded, or of which a part is left."""
        texts = [text for seed in self.seeds for text in encoded(seed)]
        for code in self.recovery_codes:
            texts += [code[:14].encode(), code.replace("-", "")[:12].encode()]
        # Of texts of a MB, this takes a tenth of the time of patterns that ignore the case.
        lower = content.lower()
        # Six digits are part of many numbers.
        codes = rf"\b(?:{'|'.join(self.codes)})\b".encode()
        return [text for text in texts if text.lower() in lower] + re.findall(codes, content)


def encoded(secret: bytes) -> list[bytes]:
    """Return a part of a secret in each encoding that something may use."""
    return [
        secret[:12],
        secret[:12].hex().encode(),
        b32encode(secret[:10]),
        seed_text(secret)[:14].encode(),
        b64encode(secret[:12]),
        urlsafe_b64encode(secret[:12]),
    ]


def add_app(jane: HttpClient, secrets: Secrets) -> bytes:
    """Add an app, after a wrong code."""
    answer = jane.request("POST", "/v1/me/factors/totp").json
    secrets.seeds.append(b32decode(answer["secret"]))
    confirm = "/v1/me/factors/totp/confirm"
    wrong = secrets.code(secrets.seeds[-1], 240)
    assert jane.request("POST", confirm, {"code": wrong}).status == 401
    added = jane.request("POST", confirm, {"code": secrets.code(secrets.seeds[-1], 0)})
    secrets.recovery_codes += added.json["recovery_codes"]
    return secrets.seeds[-1]


def sign_in(url: str, **given: str) -> HttpClient:
    """Sign in with the password, and then with a code; both are refused once before."""
    client = HttpClient(url)
    assert client.request("POST", "/v1/sessions", HALF).json["code"] == "second_factor_needed"
    second = "/v1/sessions/second-factor"
    wrong = {name: f"{text[:-1]}{'0' if text[-1] != '0' else '1'}" for name, text in given.items()}
    assert client.request("POST", second, wrong).status == 401
    assert client.request("POST", second, given).status == 200
    return client


@pytest.mark.both_stores
def test_no_seed_code_or_recovery_code_is_stored_logged_or_exported(
    request: pytest.FixtureRequest, store_deployment: Deployment, store_kind: str, tmp_path: Path
) -> None:
    secrets, keys = Secrets(), tmp_path / "keys"
    secrets.seeds.append(bytes.fromhex(create_key(keys, datetime.now(UTC)).read_text()))
    with closing(store_deployment.control_plane()) as control_plane:
        create_accounts(control_plane, "jane")
    database = store_deployment.database
    url = f"sqlite:///{database}" if isinstance(database, Path) else database
    settings = {"ANYSCALE_SECOND_FACTOR_KEYS": str(keys)}
    with ServerProcess(url, tmp_path, settings=settings) as server:
        jane = HttpClient(server.url).sign_in_first_time()
        seed = add_app(jane, secrets)
        sign_in(server.url, code=secrets.code(seed, 30))
        jane = sign_in(server.url, recovery_code=secrets.recovery_codes[0])
        page = jane.request("POST", "/account/second-factor/recovery-codes", form={}).text
        secrets.recovery_codes += re.findall(RECOVERY_CODE, page)
        jane.request("GET", f"/account/second-factor/app?code={secrets.code(seed, 60)}")
        login = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
        places = {
            "log": server.log.read_bytes(),
            "metrics": HttpClient(server.url).request("GET", "/metrics").body,
            "environment": Path(f"/proc/{server.pid}/environ").read_bytes(),
        }
        for command in (["audit", "list"], ["user", "list", "-o", "jsonl"]):
            done = run_command(command, login, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            places[" ".join(command)] = (done.stdout + done.stderr).encode()
        if isinstance(database, Path):
            files = [path for path in database.parent.rglob("*") if path.is_file()]
            assert {"anyscale.db", "anyscale.db-wal"} <= {path.name for path in files}
            places |= {path.name: path.read_bytes() for path in files}
        else:
            programs = request.getfixturevalue("postgres_server").programs
            dump = subprocess.run([programs / "pg_dump", url], check=True, capture_output=True)
            places["dump"] = dump.stdout

    assert len(secrets.recovery_codes) == 8 + 8 * 2  # the new ones in the page and in its file
    assert b"recovery_code.used" in places["audit list"]
    assert any(b"second-factor/app" in content for content in places.values())
    for name, content in places.items():
        assert secrets.traces_in(content) == [], name
