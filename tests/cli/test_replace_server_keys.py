"""`anyscale server replace-server-keys`: the keys that a copy of the database has."""

import json
import os
import re
from contextlib import closing
from pathlib import Path

from tests.support.commands.running import RunAnyscale

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core import server_keys
from anyscale.server.core.key_replacement import WHAT_ENDS
from anyscale.server.core.server_keys import server_key
from anyscale.server.settings import Settings

REPLACE = ("server", "replace-server-keys")


def keys() -> dict[str, bytes]:
    """Return the keys of the database, which are created if they are missing."""
    settings = Settings.from_environment(os.environ, served=False)
    with closing(ControlPlane(settings)) as control_plane:
        return {
            name: server_key(control_plane.transactions, name)
            for name in ("passkey_challenges", "sso_cookie")
        }


def test_the_keys_are_replaced_after_a_yes(data: object, anyscale: RunAnyscale) -> None:
    before = keys()
    asked = anyscale(*REPLACE)
    assert (asked.returncode, asked.stderr.count("no key was replaced")) == (2, 1)
    assert "passkey_challenges: pages that wait for a passkey are to be loaded" in asked.stderr
    assert keys() == before
    done = anyscale(*REPLACE, "--yes")
    assert "2 keys replaced. Restart every server of the database now." in done.stderr
    assert not set(keys().values()) & set(before.values())
    listed = anyscale("audit", "list", "--event", "server_keys.replaced", "-o", "json")
    [entry] = json.loads(listed.stdout)
    assert entry["data"] == {"names": ["passkey_challenges", "sso_cookie"]}


def test_the_command_knows_what_ends_with_each_key() -> None:
    sources = Path(server_keys.__file__).parents[1].rglob("*.py")
    named = re.compile(r'Signer\(transactions, "(\w+)"\)|^_KEY = "(\w+)"', re.MULTILINE)
    found = {
        first or second
        for source in sources
        for first, second in named.findall(source.read_text(encoding="utf-8"))
    }
    assert found == set(WHAT_ENDS)
