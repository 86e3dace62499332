"""`anyscale server check` on the variables, and on modes and owners of files."""

import os
import pwd
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.support.commands.check_results import check_in_process
from tests.support.faults.permissions import without_root
from tests.support.paths import SOURCE

from anyscale.server.check import run
from anyscale.server.check.files import check_smtp_password, check_sso_secret
from anyscale.server.check.findings import Finding
from anyscale.server.check.installation import Installation
from anyscale.server.check.proxy import check_host
from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import KNOWN_VARIABLES, Settings


def settings_of(**environment: str) -> dict[str, CheckResult]:
    return check_in_process(environment, "settings.")


def test_all_wrong_settings_are_reported_at_once() -> None:
    result = settings_of(
        HOME="/home/jane",
        ANYSCALE_LINK_DAYS="0",
        ANYSCALE_SSO_ONLY="perhaps",
        ANYSCALE_PUBLIC_URL="accounts.example.com",
        ANYSCALE_PORT="tcp://10.0.0.1:80",
    )["settings.values"]

    assert result.status == "fail"
    assert result.found.startswith("4 settings are wrong: ANYSCALE_SSO_ONLY must be on or off; ")
    for name in ("ANYSCALE_LINK_DAYS must be a whole number", "ANYSCALE_PORT is an address"):
        assert name in result.found


def test_a_wrong_setting_stops_the_checks_that_need_the_settings() -> None:
    result = settings_of(HOME="/home/jane", ANYSCALE_LINK_DAYS="0")["settings.public_url"]

    assert (result.status, result.found) == (
        "not tried",
        "a setting is wrong: see settings.values",
    )


def test_a_misspelled_variable_gets_a_suggestion() -> None:
    result = settings_of(HOME="/home/jane", ANYSCALE_PUBLIC_ULR="x", ANYSCALE_XYZ="x")[
        "settings.names"
    ]

    assert result.status == "warn"
    assert result.found == (
        "ANYSCALE_PUBLIC_ULR is not known: did you mean ANYSCALE_PUBLIC_URL? "
        "ANYSCALE_XYZ is not known"
    )


def test_every_variable_of_the_source_is_known() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))

    assert set(re.findall(r'"(ANYSCALE_[A-Z_]*[A-Z])"', text)) <= KNOWN_VARIABLES


def test_correct_settings_are_ok() -> None:
    results = settings_of(HOME="/home/jane", ANYSCALE_PUBLIC_URL="https://accounts.example.com")

    assert results["settings.values"].status == "ok"
    assert results["settings.names"].status == "ok"
    assert results["settings.public_url"].found == "https://accounts.example.com"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://192.0.2.7", "warn"),
        ("https://[2001:db8::1]:8443", "warn"),
        ("http://localhost:8000", "ok"),
        ("http://127.0.0.1:8000", "ok"),
    ],
)
def test_a_public_url_with_an_ip_address_is_noticed(url: str, status: str) -> None:
    result = settings_of(HOME="/home/jane", ANYSCALE_PUBLIC_URL=url)["settings.public_url"]
    assert (result.status, url in result.found) == (status, True)


def test_messages_name_the_command_that_the_operator_runs(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/anyscale.db"
    ControlPlane(Settings(database=tmp_path / "anyscale.db"), profile=CHEAPEST).close()

    def fix(**more: str) -> str:
        found = check_in_process({"ANYSCALE_DATABASE_URL": database} | more, "database.tokens")
        return found["database.tokens"].fix

    assert fix() == "run `anyscale server create-token --name NAME`"
    assert fix(MUSTERROLL_ADMIN="1") == "run `musterroll-admin server create-token --name NAME`"


def test_an_environment_file_that_the_shell_has_not_read_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text('# settings\nANYSCALE_LINK_DAYS="3"\nexport ANYSCALE_AUDIT_DAYS=40\n')

    def result(**environment: str) -> CheckResult:
        found = check_in_process(environment, "settings.file_is_read", environment_file=file)
        return found["settings.file_is_read"]

    missing = result(ANYSCALE_LINK_DAYS="3")
    assert missing.status == "warn"
    assert missing.found == "this shell does not have its ANYSCALE_AUDIT_DAYS"
    assert f"set -a; . {file}; set +a" in missing.fix
    assert result(ANYSCALE_LINK_DAYS="3", ANYSCALE_AUDIT_DAYS="40").status == "ok"
    # musterroll-admin reads the file as systemd does.
    assert "systemd does not read them" in result(MUSTERROLL_ADMIN="1").fix


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        ("\N{ZERO WIDTH NO-BREAK SPACE}A=1\nB=2\n", 1, "without a byte order mark"),
        ("A=1\n\nsecret words\n", 3, "to NAME=value"),
        ("A-B=secret words\n", 1, "to NAME=value"),
        ("A='two\nlines'\n# B\nsecret words", 4, "to NAME=value"),
    ],
)
def test_a_line_that_nobody_reads_is_named_without_its_text(
    text: str, line: int, fix: str, tmp_path: Path
) -> None:
    file = tmp_path / "environment"
    file.write_text(text, encoding="utf-8")

    result = check_in_process({"B": "2", "A": "1"}, "settings.file", environment_file=file)[
        "settings.file_is_read"
    ]

    assert result.status == "warn"
    assert result.found.endswith(f"ignore it: line {line}")
    assert fix in result.fix
    assert "secret words" not in str(result)


def test_values_of_several_lines_are_no_lines_that_nobody_reads(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("; a comment\nA='two\nlines' \"and\\\"\nmore\" b\nB=it's \\\nlong\n  C=\n")

    result = check_in_process(dict.fromkeys("ABC", ""), "settings.file", environment_file=file)

    assert result["settings.file_is_read"].found == "this shell has its 3 variables"


def test_sso_as_the_only_way_to_sign_in_needs_a_provider() -> None:
    result = settings_of(HOME="/home/jane", ANYSCALE_SSO_ONLY="on")["settings.values"]

    assert result.status == "fail"
    assert result.found.endswith("nobody can sign in")
    assert "ANYSCALE_SSO_ISSUER" in result.fix


def test_an_environment_file_of_blank_lines_is_read_at_once(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("\n" * 20_000 + "# links\n \texport  ANYSCALE_LINK_DAYS=3\n")
    since = time.process_time()
    results = check_in_process({}, "settings.file_is_read", environment_file=file)

    assert results["settings.file_is_read"].found.endswith("its ANYSCALE_LINK_DAYS")
    assert time.process_time() - since < 1


def test_a_check_that_takes_too_long_is_one_that_was_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(_: Installation) -> Finding:
        raise TimeoutError("it took over 10 seconds")

    monkeypatch.setitem(run.CHECKS, "settings.values", ("the values", look))
    result = settings_of()["settings.values"]
    assert (result.status, result.found) == ("not tried", "it took over 10 seconds")


def test_the_port_of_https_is_no_part_of_the_header_host() -> None:
    received = SimpleNamespace(host="accounts.example.com")
    site = SimpleNamespace(proxied_url="https://accounts.example.com:443", received=received)
    assert check_host(cast("Installation", site)).status == "ok"


def files_of(environment_file: Path, **environment: str) -> dict[str, CheckResult]:
    return check_in_process(environment, "files.", environment_file=environment_file)


@pytest.fixture
def installation(tmp_path: Path) -> dict[str, Path]:
    """The files of an installation, with the right modes."""
    tmp_path.chmod(0o700)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    paths = {"files.environment": tmp_path / "environment", "files.data_dir": data}
    paths |= {"files.database": data / "anyscale.db", "files.sso_secret": tmp_path / "secret"}
    paths["files.smtp_password"] = tmp_path / "password"
    for path in paths.values():
        if path != data:
            path.touch(0o600)
    return paths


def results_for(installation: dict[str, Path]) -> dict[str, CheckResult]:
    return files_of(
        installation["files.environment"],
        ANYSCALE_DATA_DIR=str(installation["files.data_dir"]),
        ANYSCALE_SSO_CLIENT_SECRET_FILE=str(installation["files.sso_secret"]),
        ANYSCALE_SMTP_PASSWORD_FILE=str(installation["files.smtp_password"]),
    )


def test_files_that_only_their_owner_can_read_are_ok(installation: dict[str, Path]) -> None:
    # Without an issuer, the settings are wrong, and the path of the database is unknown.
    results = files_of(
        installation["files.environment"], ANYSCALE_DATA_DIR=str(installation["files.data_dir"])
    )
    for secret in ("files.sso_secret", "files.smtp_password"):
        results[secret] = results_for(installation)[secret]

    assert {result.status for result in results.values()} == {"ok"}
    assert results["files.database"].found.startswith("0600 ")


@pytest.mark.parametrize(
    ("check", "mode", "status"),
    [
        ("files.environment", 0o644, "fail"),
        ("files.environment", 0o660, "fail"),
        ("files.environment", 0o640, "ok"),
        ("files.data_dir", 0o777, "fail"),
        ("files.data_dir", 0o770, "warn"),
        ("files.data_dir", 0o755, "ok"),
        ("files.database", 0o644, "fail"),
        ("files.database", 0o640, "fail"),
        ("files.sso_secret", 0o604, "fail"),
        ("files.sso_secret", 0o640, "ok"),
        ("files.smtp_password", 0o604, "fail"),
    ],
)
def test_a_mode_that_lets_others_in_is_found(
    check: str, mode: int, status: str, installation: dict[str, Path]
) -> None:
    path = installation[check]
    path.chmod(mode)
    if check == "files.database":
        results = files_of(Path("/nowhere"), ANYSCALE_DATA_DIR=str(path.parent))
    else:
        results = results_for(installation)

    assert results[check].status == status
    assert results[check].looked_at == str(path)
    assert status == "ok" or f"chmod {(path.is_dir() and 700) or ''}" in results[check].fix


@pytest.mark.parametrize(("mode", "status"), [(0o777, "fail"), (0o770, "warn")])
def test_a_folder_whose_users_can_replace_the_database_is_found(
    mode: int, status: str, installation: dict[str, Path]
) -> None:
    data = installation["files.data_dir"]
    data.chmod(mode)

    results = files_of(Path("/nowhere"), ANYSCALE_DATA_DIR=str(data))

    assert results["files.database"].status == status
    assert results["files.database"].fix == f"`chmod go-w {data}`"


@pytest.mark.parametrize("check", [check_sso_secret, check_smtp_password])
def test_a_secret_that_the_servers_user_cannot_read_is_found_with_the_command(
    check: Callable[[Installation], Finding], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # folders above it are only for root
    secret = Path("secret")
    secret.touch(0o600 if os.geteuid() == 0 else 0)  # an ordinary user cannot make root's file
    names = ("ANYSCALE_SSO_CLIENT_SECRET_FILE", "ANYSCALE_SMTP_PASSWORD_FILE")
    installation = SimpleNamespace(environment=dict.fromkeys(names, "secret"))
    with without_root():
        user = pwd.getpwuid(os.geteuid()).pw_name
        result = check(cast("Installation", installation))

    permissions = f"{secret.stat().st_mode & 0o777:04o} {secret.owner()}:{secret.group()}"
    assert result.status == "fail"
    assert result.found == f"the server's user cannot read it ({permissions})"
    assert result.fix == f"`chown {user} secret; chmod 600 secret`"


def test_a_file_of_another_user_is_found(
    installation: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:  # files of root are right
        for path in installation.values():
            os.chown(path, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    results = results_for(installation) | files_of(
        installation["files.environment"], ANYSCALE_DATA_DIR=str(installation["files.data_dir"])
    )

    assert {result.status for result in results.values()} <= {"fail", "not tried"}
    assert results["files.environment"].status == "fail"
    assert results["files.data_dir"].status == "fail"
    assert results["files.database"].status == "fail"


def test_a_link_in_place_of_the_database_is_found(installation: dict[str, Path]) -> None:
    database = installation["files.database"]
    database.rename(database.with_suffix(".other"))
    database.symlink_to(database.with_suffix(".other"))

    results = files_of(Path("/nowhere"), ANYSCALE_DATA_DIR=str(database.parent))

    assert results["files.database"].status == "fail"
    assert results["files.database"].found == "it is not a regular file"


def test_files_that_do_not_exist_are_not_tried_and_not_created(tmp_path: Path) -> None:
    results = files_of(tmp_path / "environment", ANYSCALE_DATA_DIR=str(tmp_path / "data"))

    assert {result.status for result in results.values()} == {"not tried"}
    assert "--environment-file" in results["files.environment"].found
    assert not list(tmp_path.glob("data"))


@pytest.mark.parametrize(("mode", "status"), [(0o3777, "ok"), (0o777, "fail"), (0o770, "warn")])
def test_a_folder_in_which_others_can_replace_the_client_secret_is_found(
    mode: int, status: str, installation: dict[str, Path], tmp_path: Path
) -> None:
    tmp_path.chmod(mode)  # 3777 is the mode of a Secret that Kubernetes mounts

    assert results_for(installation)["files.sso_secret"].status == status


def test_a_missing_file_of_the_client_secret_is_found(tmp_path: Path) -> None:
    results = files_of(
        tmp_path / "environment", ANYSCALE_SSO_CLIENT_SECRET_FILE=str(tmp_path / "secret")
    )

    assert results["files.sso_secret"].status == "fail"
    assert results["files.sso_secret"].found == "No such file or directory"


def test_a_path_in_a_suggested_command_is_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's; touch pwned"
    folder.mkdir()
    environment_file = folder / "$(id) `id`"
    environment_file.write_text("ANYSCALE_LINK_DAYS=3\n")
    for path, mode in ((environment_file, 0o666), (folder, 0o777)):
        path.chmod(mode)
    (folder / "anyscale.db").touch(0o666)
    (folder / "secret").touch()
    (folder / "secret").chmod(0o666)
    environment = {
        "ANYSCALE_DATA_DIR": str(folder),
        "ANYSCALE_SSO_CLIENT_SECRET_FILE": str(folder / "secret"),
    }

    results = check_in_process(environment, "", environment_file)

    commands = [
        command
        for result in results.values()
        for command in re.findall(r"`((?:chown|chmod|set) .*?)`(?:$|;)", result.fix)
    ]
    paths = {folder, environment_file, folder / "anyscale.db", folder / "secret"}
    assert len(commands) >= 4
    for command in commands:
        words = [word.rstrip(";") for word in shlex.split(command)]
        assert {word for word in words if "/" in word} <= set(map(str, paths))
