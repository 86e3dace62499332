"""`anyscale application`, with the embedded control plane and with a server."""

import getpass
import json
import stat
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until

from anyscale.server.core.openid.application_authentication import ApplicationAuthentication
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.settings import Settings

CALLBACK = "https://hub.example.com/callback"
HUB = "https://hub.example.com"
CREATE = ("application", "create", "--name", "Hub", "--redirect-uri", CALLBACK)


@pytest.fixture(params=["embedded", "sqlite"])
def control_plane(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    if request.param == "embedded":
        yield
        return
    with ServerProcess(f"sqlite:///{tmp_path}/served/anyscale.db", tmp_path) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield


def created(anyscale: RunAnyscale, *options: str) -> dict[str, str]:
    done = anyscale(*CREATE, *options)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.usefixtures("control_plane")
def test_an_application_is_created_shown_changed_and_deleted(anyscale: RunAnyscale) -> None:
    options = ("--for", "@Example.com", "--refresh-tokens", "--require-second-factor")
    found = created(anyscale, *options, "--address", HUB)
    assert list(found) == ["client_id", "client_secret"]
    assert found["client_secret"].startswith("mrc_")
    client_id = found["client_id"]

    shown = json.loads(anyscale("application", "show", client_id, "-o", "json").stdout)
    assert shown["redirect_uris"] == [CALLBACK]
    assert (shown["audience"], shown["refresh_tokens"]) == (["example.com"], True)
    assert shown["requires_second_factor"] is True
    assert (shown["address"], shown["last_sign_in_at"]) == (HUB, None)
    assert found["client_secret"] not in json.dumps(shown)
    changes = ("--name", "Notebooks", "--for-all", "--no-require-second-factor")
    changed = anyscale("application", "update", client_id, *changes)
    assert "Application 'Notebooks' is updated." in changed.stderr
    (listed,) = json.loads(anyscale("application", "list", "-o", "json").stdout)
    assert (listed["name"], listed["audience"]) == ("Notebooks", [])
    assert (listed["address"], listed["last_sign_in_at"]) == (HUB, None)
    anyscale("application", "update", client_id, "--no-address")
    lines = anyscale("application", "show", client_id).stdout.splitlines()
    assert {"address: -", f"redirect uris: {CALLBACK}", "is public: false"} <= set(lines)
    assert listed["requires_second_factor"] is False
    rotated = anyscale("application", "rotate-secret", client_id)
    assert "works for an hour" in rotated.stderr
    assert found["client_secret"] not in rotated.stdout
    unsure = anyscale("application", "delete", client_id)
    assert (unsure.returncode, "use --yes to continue" in unsure.stderr) == (2, True)
    assert "Notebooks" in anyscale("application", "list").stdout
    assert anyscale("application", "delete", client_id, "--yes").returncode == 0
    assert json.loads(anyscale("application", "list", "-o", "json").stdout) == []


@pytest.mark.usefixtures("control_plane")
def test_an_application_that_nobody_can_use_yet_says_why(anyscale: RunAnyscale) -> None:
    done = anyscale(*CREATE)

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert "No application can sign users in yet: set ANYSCALE_PUBLIC_URL" in done.stderr


def test_an_application_of_a_provider_says_nothing_of_its_address(anyscale: RunAnyscale) -> None:
    done = anyscale(*CREATE, env={"ANYSCALE_PUBLIC_URL": "https://accounts.example.com"})

    assert "Application 'Hub' was created." in done.stderr
    assert "ANYSCALE_PUBLIC_URL" not in done.stderr


@pytest.mark.usefixtures("control_plane")
def test_what_is_wrong_is_one_line(anyscale: RunAnyscale) -> None:
    created(anyscale)

    for arguments, message in (
        (CREATE, "there is an application 'Hub': choose another name. If this call was"),
        ((*CREATE[:5], "http://hub.example.com"), "must be https://..."),
        (("application", "show", "app_none"), "there is no application app_none"),
        (("application", "delete", "app_none"), "there is no application app_none"),
        (
            ("application", "update", "app_none"),
            (
                "give at least one of --name, --redirect-uri, --address, "
                "--post-logout-redirect-uri, --for, "
                "--for-all, --no-address, --refresh-tokens, --with-pkce or "
                "--require-second-factor"
            ),
        ),
        (
            ("application", "update", "app_none", "--for", "example.com", "--for-all"),
            "--for and --for-all exclude each other",
        ),
        (
            ("application", "update", "app_none", "--address", HUB, "--no-address"),
            "--address and --no-address exclude each other",
        ),
        ((*CREATE[:3], "Wiki", *CREATE[4:], "--address", "http://localhost"), "begin with https:"),
    ):
        done = anyscale(*arguments)
        assert done.returncode in (1, 2)
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_the_secret_is_written_to_a_file_for_its_owner_alone(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    path = tmp_path / "hub.env"

    done = anyscale(*CREATE, "--output-file", str(path))

    assert done.stdout == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line.partition("=")[0] for line in path.read_text().splitlines()] == [
        "client_id",
        "client_secret",
    ]


@pytest.mark.parametrize(
    ("option", "message"), [((), "works for an hour"), (("--now",), "has stopped working")]
)
def test_the_former_secret_works_as_the_message_says(
    option: tuple[str, ...], message: str, anyscale: RunAnyscale, data: Path
) -> None:
    found = created(anyscale)
    client_id = found["client_id"]

    rotated = anyscale("application", "rotate-secret", client_id, *option)

    assert message in rotated.stderr
    refused = pytest.raises(OAuthError, match="invalid_client") if option else nullcontext()
    settings = Settings(database=data / "anyscale.db")
    with closing(cheap_control_plane(settings)) as control_plane, refused:
        ApplicationAuthentication(control_plane.transactions).authenticate(
            client_id, found["client_secret"]
        )


def test_an_application_whose_secret_is_lost_is_deleted(anyscale: RunAnyscale) -> None:
    lost = anyscale(*CREATE, stdout="/dev/full")

    assert (lost.returncode, "so the application was deleted" in lost.stderr) == (3, True)
    assert json.loads(anyscale("application", "list", "-o", "json").stdout) == []


def test_a_public_application_has_no_secret(anyscale: RunAnyscale) -> None:
    assert list(created(anyscale, "--public")) == ["client_id"]


def test_a_signing_key_is_created_and_replaced(anyscale: RunAnyscale, tmp_path: Path) -> None:
    created(anyscale)
    folder = tmp_path / "keys"
    said = []
    for option in ((), (), ("--now",)):
        wait_until(lambda: not (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.pem").exists())
        done = anyscale(
            "server", "create-signing-key", *option, env={"ANYSCALE_SIGNING_KEYS": str(folder)}
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stderr.partition(".pem ")[2])

    assert said == [
        "signs now.\n",
        "signs after an hour.\n",
        "signs now; all other keys are revoked.\n",
    ]
    assert len(list(folder.glob("*.pem"))) == 1
    done = anyscale("audit", "list", "-o", "jsonl")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    keys = [one for one in events if one["event"].startswith("signing_key.")]
    assert [one["event"] for one in keys] == [
        *("signing_key.created",) * 3,
        *("signing_key.revoked",) * 2,
    ]
    assert {one["actor"] for one in keys} == {f"local:{getpass.getuser()}"}
