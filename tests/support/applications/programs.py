"""Programs that sign users in at our OpenID provider: Apache, JupyterHub, and openid-client."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

from tests.support.paths import ROOT
from tests.support.ports import free_port, responds_at
from tests.support.programs import installed, program
from tests.support.waiting import wait_until

FOLDER = Path(__file__).parent
NODE = FOLDER / "node"
#: opens the address at which a sign-in begins; gives the one of the callback, empty without one
Browse = Callable[[str], str]
#: Takes what a line of `rp.mjs` has, and gives what it found; `browse` is for a browser's user.
SignIn = Callable[..., dict[str, Any]]

JUPYTERHUB = ROOT / ".venv" / "jupyterhub" / "bin"


@contextmanager
def run_apache(folder: Path, port: int, pasted: str) -> Iterator[str]:
    """Run Apache with the text that the console shows for mod_auth_openidc; give its URL."""
    url = f"http://127.0.0.1:{port}"
    for name in ("private", "cache"):
        (folder / name).mkdir()
    page = '<h1 id="user"><!--#echo var="REMOTE_USER" --></h1>'
    page += '<p id="email"><!--#echo var="OIDC_CLAIM_email" --></p>'
    page += (
        '<p id="level"><!--#echo var="OIDC_CLAIM_acr" -->: <!--#echo var="OIDC_CLAIM_amr" --></p>'
    )
    (folder / "private" / "index.html").write_text(page)
    (folder / "bye.html").write_text('<p id="bye">Bye</p>')
    _let_everybody_enter(folder)
    text = (FOLDER / "apache.conf").read_text()
    values = {
        "FOLDER": str(folder),
        "URL": url,
        "PORT": str(port),
        "TEXT": pasted,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (folder / "apache.conf").write_text(text)
    command = [program("apache2"), "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
    with _run(command, folder, port, "/bye.html"):
        yield url


def _let_everybody_enter(folder: Path) -> None:
    # As root, Apache works as www-data.
    folder.chmod(0o755)
    (folder / "cache").chmod(0o777)


@contextmanager
def run_jupyterhub(folder: Path, port: int, pasted: str) -> Iterator[str]:
    """Run JupyterHub with the text that the console shows for it; give its URL."""
    url = f"http://127.0.0.1:{port}"
    environment = {
        "HUB_FOLDER": str(folder),
        "HUB_URL": url,
        "HUB_PORTS": f"{free_port()},{free_port()}",
        "HUB_PROXY": str(installed(NODE / "node_modules" / ".bin" / "configurable-http-proxy")),
        "HUB_TEXT": pasted,
        "PATH": f"{JUPYTERHUB}:{os.environ['PATH']}",
    }
    hub = installed(JUPYTERHUB / "jupyterhub")
    command = [str(hub), "-f", str(FOLDER / "jupyterhub_config.py")]
    # Until the hub has registered its route, the proxy responds with 404.
    with _run(command, folder, port, "/hub/health", environment):
        yield url


@contextmanager
def run_openid_client(environment: Mapping[str, str] | None = None) -> Iterator[SignIn]:
    """Run openid-client, which signs users in one after another."""
    installed(NODE / "node_modules")
    with subprocess.Popen(
        [program("node"), str(NODE / "rp.mjs")],
        env=os.environ | dict(environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        send, output, errors = process.stdin, process.stdout, process.stderr

        def exchange(message: object) -> dict[str, Any]:
            send.write(json.dumps(message) + "\n")
            send.flush()
            assert select([output], [], [], 180)[0], "openid-client does not answer"
            line = output.readline()
            assert line, errors.read()
            found: dict[str, Any] = json.loads(line)
            return found

        def sign_in(*arguments: str, browse: Browse | None = None) -> dict[str, Any]:
            found = exchange(arguments)
            if not browse:
                return found
            url = ""
            try:
                url = browse(found["open"])
            finally:  # it waits for a line, also when a test fails
                found = exchange(url)
            return found

        try:
            yield sign_in
        finally:
            process.kill()


@contextmanager
def _run(
    command: list[str],
    folder: Path,
    port: int,
    path: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a program and what it starts until the block ends, once a path answers with 200."""
    with (folder / "program.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or responds_at(port, path), 300, interval=0.05
        )
        assert process.poll() is None, (folder / "program.log").read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
