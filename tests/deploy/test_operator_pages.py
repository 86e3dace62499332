"""The operator's pages, as they stand, in order, in one shell of root on a machine of its own.

The lines come from the pages. The machine has no network and no systemd: pip installs local
packages, and stand-ins of `apt-get` and `systemctl` do what the pages need of them.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from joserfc import jwt
from joserfc.jwk import KeySet
from tests.support.machine.machine import CHECKOUT, Machine, run_machine
from tests.support.paths import ROOT
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.application_browser import Browser
from tests.support.sign_in.openid_provider import CALLBACK, ISSUER, Site
from tests.support.users import PASSWORD

URL = "http://127.0.0.1:8000"


def lines_of(page: str, heading: str, after: str = "") -> str:
    """Give the shell lines of a section of a page; or its first ones after a text."""
    text = (ROOT / "docs" / "operations" / page).read_text(encoding="utf-8")
    _, level, rest = re.split(rf"^(##+) {re.escape(heading)}$", text, flags=re.MULTILINE)
    section = re.split(rf"^#{{2,{len(level)}}} ", rest, flags=re.MULTILINE)[0]
    found = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    blocks = found.findall(section, section.index(after))
    blocks = blocks[:1] if after else blocks
    assert blocks, heading
    return "".join(re.sub(rf"^{indent}", "", lines, flags=re.MULTILINE) for indent, lines in blocks)


class Users:
    """The administrator, the user Jane and an application of a machine, over HTTP.

    Args:
        machine: on which a server runs.
        token: of the administrator.
    """

    def __init__(self, machine: Machine, token: str) -> None:
        self._machine = machine
        self._bearer = {"Authorization": f"Bearer {token}"}
        self.create("jane", PASSWORD)
        new = {"name": "Hub", "redirect_uris": [CALLBACK]}
        created = self._call("POST", "/v1/applications", new).json
        self._secret = created["client_secret"]
        self._client_id = created["application"]["client_id"]
        with machine.network():
            HttpClient(URL).sign_in_first_time()

    def create(self, name: str, password: str | None = None) -> None:
        """Create an account."""
        user = {"name": name.title(), "email": f"{name}@example.com", "password": password}
        assert self._call("POST", "/v1/users:batchCreate", {"create_users": [user]}).status == 200

    def names(self) -> set[str]:
        """Give the names of the accounts, without the owner."""
        users = self._call("GET", "/v1/users").json["users"]
        return {user["name"] for user in users if user["permission_level"] != "owner"}

    def key_of_sign_in(self) -> str:
        """Sign Jane in to the application, check her ID token; give the id of its key."""
        with self._machine.network():
            metadata = HttpClient(URL).request("GET", "/.well-known/openid-configuration")
            assert metadata.status == 200, metadata.text
            keys = HttpClient(URL).request("GET", "/oauth2/jwks").json
            browser = Browser(URL)
            browser.site = cast(
                "Site", SimpleNamespace(client_id=self._client_id, secret=self._secret)
            )
            tokens = browser.token(browser.code())
        assert tokens.status == 200, tokens.text
        token = jwt.decode(tokens.json["id_token"], KeySet.import_key_set(keys))
        assert token.claims["iss"] == ISSUER
        assert token.claims["email"] == "jane@example.com"
        return str(token.header["kid"])

    def _call(self, method: str, path: str, body: Any = None) -> HttpResponse:
        with self._machine.network():
            return HttpClient(URL).request(method, path, body, headers=self._bearer)


def install(machine: Machine) -> Users:
    """Install the server with SQLite; give its users."""
    machine.run(f"cd {CHECKOUT}")
    machine.run(lines_of("serving.md", "Install with systemd"))
    return Users(machine, token_in(machine, CHECKOUT))


def token_in(machine: Machine, folder: str) -> str:
    """Give the token that the operator created last."""
    return machine.file(f"{folder}/jane-laptop.token").read_text(encoding="utf-8").strip()


def upgrade(machine: Machine) -> None:
    """Upgrade the server to the release that is in the folder of the shell."""
    machine.run(lines_of("upgrade.md", "Steps with systemd"))


def back_up(machine: Machine, database: str) -> None:
    """Back up the server."""
    machine.run(lines_of("backup.md", database, "**Back up.**"))
    machine.run(lines_of("backup.md", "Keys and settings", "Back them up"))
    for folder in ("var/backups/musterroll", "root/musterroll-secrets"):
        for path in [machine.root / folder, *(machine.root / folder).iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path


def restore(machine: Machine, database: str) -> None:
    """Restore the last backup."""
    assert "chain: intact" in machine.run(lines_of("backup.md", database, "**Restore.**"))


def lose(machine: Machine) -> None:
    """Lose the data of the server; install it again, and restore keys and settings."""
    machine.run("systemctl stop musterroll; rm -r /var/lib/musterroll /etc/musterroll")
    machine.run("userdel musterroll")
    machine.run(
        lines_of("serving.md", "Install with systemd", "system user and the file of settings")
    )
    machine.run(lines_of("serving.md", "Install with systemd", "Install and start the service"))
    machine.run(lines_of("backup.md", "Keys and settings", "Restore them"))


def use_postgres(machine: Machine) -> None:
    """Let the server use PostgreSQL on its machine."""
    machine.run(START_POSTGRES)
    machine.run(lines_of("postgresql.md", "Create role and database"))
    settings = machine.file("/etc/musterroll/environment")
    wanted = lines_of("postgresql.md", "Set the database URL", "On the machine of the database")
    names = tuple(line.partition("=")[0] + "=" for line in wanted.splitlines())
    kept = [line for line in settings.read_text().splitlines() if not line.startswith(names)]
    settings.write_text("\n".join([*kept, wanted]), encoding="utf-8")
    machine.run(lines_of("postgresql.md", "Set the database URL", "Then run with"))
    # It has started with two workers. One is enough for the next starts, of which each needs two
    # seconds of processor time less.
    text = settings.read_text(encoding="utf-8")
    assert "ANYSCALE_WORKERS='2'" in text
    settings.write_text(text.replace("ANYSCALE_WORKERS='2'", "ANYSCALE_WORKERS='1'"), "utf-8")


START_POSTGRES = """
id -u postgres > /dev/null 2>&1 || useradd --system postgres
install -d -o postgres /run/postgresql /var/lib/postgresql /var/lib/postgresql/data
chmod 755 /var/lib/postgresql
runuser -u postgres -- initdb --auth peer --encoding UTF8 --no-sync /var/lib/postgresql/data
runuser -u postgres -- pg_ctl --silent --wait --pgdata /var/lib/postgresql/data \
    --options "-c fsync=off -h '' -k /run/postgresql" --log /var/lib/postgresql/data/log start
"""


def test_accounts_and_applications_survive_the_documented_commands_in_a_row(
    tmp_path: Path,
) -> None:
    with run_machine(tmp_path) as machine:
        machine.run("umask 077")  # as on a hardened machine
        users = install(machine)
        survive(machine, users, "SQLite", "022")
        machine.run("umask 077")
        use_postgres(machine)
        users = Users(machine, token_in(machine, "/var/lib/musterroll"))
        survive(machine, users, "PostgreSQL", "077")


def survive(machine: Machine, users: Users, database: str, umask: str) -> None:
    """Run the commands for a server that has an account and an application, with a umask."""
    machine.run(f"umask {umask}")  # as in a new shell
    key = users.key_of_sign_in()
    back_up(machine, database)
    users.create("after")

    if database == "SQLite":  # the steps are the same for both
        machine.run("umask 077")
        upgrade(machine)
        machine.run(f"umask {umask}")
        assert users.names() == {"Jane", "After"}
        assert users.key_of_sign_in() == key

    restore(machine, database)
    assert users.names() == {"Jane"}
    assert users.key_of_sign_in() == key

    users.create("again")
    back_up(machine, database)
    drill = machine.run(lines_of("backup.md", database, "**Test it.**"))
    assert "chain: intact" in drill
    if database == "SQLite":
        lose(machine)
    restore(machine, database)
    assert users.names() == {"Jane", "Again"}
    assert users.key_of_sign_in() == key
