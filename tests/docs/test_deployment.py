"""The Dockerfile and the systemd unit agree with the server that they start."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ANYSCALE, ROOT
from tests.support.ports import free_port
from tests.support.servers.server_process import run_server_process

from anyscale import __version__
from anyscale.server.main import _GRACE_SECONDS

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy" / "musterroll.service").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "operations" / "container.md").read_text(encoding="utf-8")


def words(instruction: str) -> list[str]:
    """Give the words of an instruction of the Dockerfile that is a JSON list."""
    (found,) = re.findall(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    listed: list[str] = json.loads(found)
    return listed


def is_healthy(port: int) -> bool:
    """Run the image's health check, for another port."""
    python, *arguments = words(" +CMD")
    assert python == "python"
    changed = [word.replace("8000", str(port)) for word in arguments]
    done = subprocess.run([sys.executable, *changed], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server."""
    port = free_port()
    environment = {"ANYSCALE_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    command = f"{ANYSCALE} server start --port {port}"
    with run_server_process(command, port, environment=environment):
        yield port


def test_the_labels_of_the_image_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))

    assert labels["title"] == project["name"]
    assert labels["version"] == __version__
    assert labels["licenses"] == project["license"]


def test_a_server_gets_no_package_that_only_a_build_needs() -> None:
    def pins(lock: str) -> set[str]:
        text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
        return set(re.findall(r"^[\w.-]+==", text, re.MULTILINE))

    assert "hatchling==" in pins("build")
    assert not pins("build") & pins("run")
    installed = DOCKERFILE.partition("AS build")[2]
    assert "requirements/run.lock" in installed
    assert "build.lock" not in installed


def test_the_health_check_of_the_image_fails_without_a_server(server_port: int) -> None:
    assert not is_healthy(free_port())
    assert is_healthy(server_port)


def test_the_image_and_the_unit_start_a_server_with_existing_options(
    anyscale: RunAnyscale,
) -> None:
    (command,) = re.findall(r"^ExecStart=/opt/musterroll/bin/anyscale (.*)$", UNIT, re.MULTILINE)

    assert words("ENTRYPOINT") == ["anyscale"]
    for arguments in (words("CMD"), command.split()):
        assert arguments[:2] == ["server", "start"]
        assert anyscale(*arguments, "--help").returncode == 0


def test_the_image_is_built_from_files_that_dockerignore_allows(tmp_path: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    names = [name for line in copied for name in line.split()]
    build = tmp_path / "build"
    for name in names:
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, build / name)

    uv = Path(sys.executable).parent / "uv"
    options = ["--wheel", "--quiet", "--no-build-isolation", "--offline"]
    options += ["--python", sys.executable, "--out-dir", str(tmp_path)]
    subprocess.run([str(uv), "build", *options, str(build)], check=True)

    assert set(names) == let_in
    assert len(list(tmp_path.glob("musterroll-*.whl"))) == 1


def test_the_image_and_the_unit_do_not_run_as_root() -> None:
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)

    assert int(user.partition(":")[0]) > 0
    assert re.findall(r"^User=(\w+)$", UNIT, re.MULTILINE) == ["musterroll"]


def test_the_unit_dumps_no_memory_and_sees_no_other_process_and_user() -> None:
    lines = UNIT.splitlines()

    # A core dump contains passwords.
    assert {"LimitCORE=0", "ProcSubset=pid", "PrivateUsers=yes"} <= set(lines)


def test_docker_and_systemd_wait_longer_than_a_server_takes_to_stop() -> None:
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    (docker,) = re.findall(r"docker run .*--stop-timeout (\d+)", GUIDE)

    assert int(seconds) > _GRACE_SECONDS
    assert int(docker) > _GRACE_SECONDS


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/v1/users", "/nowhere"])
def test_the_security_headers_are_on_every_response(path: str, server_port: int) -> None:
    connection = HTTPConnection("127.0.0.1", server_port, timeout=30)
    connection.request("GET", path)
    headers = connection.getresponse().headers
    connection.close()

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def sandbox(unit: str) -> set[str]:
    """Give the lines of a unit that limit its processes."""
    names = "CapabilityBoundingSet|Limit|Lock|Memory|NoNew|Private|Proc|Protect|RemoveIPC|Restrict"
    return set(re.findall(rf"^(?:{names}|SystemCall|UMask)\w*=.*$", unit, re.MULTILINE))


def test_the_unit_of_ray_has_the_sandbox_of_the_server_but_for_what_ray_reads() -> None:
    ray = (ROOT / "deploy" / "ray" / "musterroll-ray.service").read_text(encoding="utf-8")
    families = "RestrictAddressFamilies=AF_INET AF_INET6"

    assert len(sandbox(UNIT)) > 25
    assert sandbox(UNIT) - sandbox(ray) == {"ProcSubset=pid", f"{families} AF_UNIX"}
    assert sandbox(ray) - sandbox(UNIT) == {f"{families} AF_NETLINK AF_UNIX"}
