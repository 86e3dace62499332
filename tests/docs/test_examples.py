"""Every example of the documents runs, and prints what the document shows.

All pages run in one shell, one after the other, as in that of a reader: first the README, whose
examples leave accounts, files and variables. The credentials file of the reader names a live
server: the examples must not touch it. A block after a line like "`users.yaml`:" is that file; in a
`console` block each line that begins with `$ ` is run, and what follows it is what it says. What
`cd`, `export` and `unset` change, the commands after it have. A command that ends with ` &` is a
server: it answers on a free port instead of port 8000, and has to stop in order, by `kill %1` or
after the page. The next command runs at once, as in the shell of a reader.
"""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import click
import pytest
from tests.support.commands.command_of_shells import path_of_shells
from tests.support.databases.stored_data import query_database
from tests.support.paths import BIN, ROOT
from tests.support.ports import free_port, responds_at
from tests.support.programs import check_found
from tests.support.servers.server_process import ServerProcess, run_server_process
from tests.support.waiting import wait_until

OPERATIONS = ROOT / "docs" / "operations"
README = ROOT / "README.md"
PAGES = sorted([README, *(ROOT / "docs").glob("*.md"), *OPERATIONS.glob("*.md")])
BLOCK = re.compile(r"^(?P<before>.*)\n\n?```(?P<kind>\w*)\n(?P<text>(?:.*\n)*?)```\n", re.MULTILINE)

PORT = re.compile(r"\b8000\b")

# What differs from run to run, and its placeholder.
CHANGING = (
    (r"\+\d+\.\ds\)", "+#s)"),
    (r"\b(usr|bat|tok)_[0-9a-f]+", r"\1_#"),
    (r"second_factor_key\.created +[0-9a-f]{16}", "second_factor_key.created #"),
    (r"\bmrl_[\w-]{43}", "mrl_#"),
    (r"\b(\d+):[0-9a-f]{64}\b", r"\1:HASH"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"(\(request |\"request_id\":\"|&number=)[0-9a-f]{16}\b", r"\1#"),
    (r"(_from\":)\d{13}\b", r"\1#"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"local:[\w-]+", "local:#"),
    (r"/home/you\b", "HOME"),
    (r"[^\s=]*/tmp\.\w{10}\b", "FOLDER"),
    (r"[ -]+$", ""),
    (r" {2,}", "  "),
)


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield found["before"], found["kind"], found["text"]


#: pages that have commands or Python, after the README
PAGES_WITH_EXAMPLES = [
    page
    for page in PAGES
    if page != README and {"console", "python"} & {kind for _, kind, _ in blocks(page)}
]


def commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def normal(text: str, home: Path) -> list[str]:
    text = text.replace(str(home), "HOME")
    for pattern, mark in CHANGING:
        text = re.sub(pattern, mark, text, flags=re.MULTILINE)
    return text.splitlines()


class Session:
    """A shell of a reader, whose servers run until it is closed, and again for a next page."""

    def __init__(self, home: Path, folder: Path, path: str) -> None:
        self.home = home
        self.folder = folder
        self.status = 0
        self.environment = os.environ | {
            "HOME": str(home),
            "PATH": path,
            "TMPDIR": str(home),
        }
        self._ending = ExitStack()
        self._port = free_port()

    def close(self) -> None:
        self._ending.close()

    def say(self, command: str) -> str:
        """Run a command of a page; give its output, with the port of the page."""
        command = PORT.sub(str(self._port), command)
        if command.endswith(" &"):
            self._start(command.removesuffix(" &"))
            return ""
        if command == "kill %1; wait":
            self.close()
            return ""
        if command.startswith(("cd ", "export ", "unset ")):
            pairs = self.run(f"{command}; env -0").split("\0")
            self.environment = dict(pair.split("=", 1) for pair in pairs if pair)
            self.folder = Path(self.environment["PWD"])
            return ""
        return self.run(command).replace(str(self._port), "8000")

    def _start(self, command: str) -> None:
        server = run_server_process(
            command, self._port, folder=self.folder, environment=self.environment, waits=False
        )
        process = self._ending.enter_context(server)
        # A server stops in order once it has started, for which some pages do not wait.
        self._ending.callback(
            wait_until, lambda: responds_at(self._port) or process.poll() is not None
        )

    def run(self, command: str) -> str:
        if command == "echo $?":
            return f"{self.status}\n"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        check_found(done.returncode, done.stdout)
        self.status = done.returncode
        return done.stdout


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that the examples must not touch."""
    folder = tmp_path_factory.mktemp("live")
    with ServerProcess(f"sqlite:///{folder}/anyscale.db", folder) as server:
        yield server


@pytest.fixture(scope="module")
def shell(
    live_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """The shell of a reader who has followed the README, and begins the other pages."""
    home = tmp_path_factory.mktemp("reader")
    credentials = home / ".anyscale" / "credentials.json"
    credentials.parent.mkdir()
    saved = {"host": live_server.url, "cli_token": live_server.token("reader")}
    credentials.write_text(json.dumps(saved), encoding="utf-8")
    credentials.chmod(0o600)
    folder = home / "work"
    folder.mkdir()
    # The examples of the README run the installed command.
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with closing(Session(home, folder, path)) as session:
        run_page(README, session)
        session.environment["PATH"] = path_of_shells()
        yield session


@pytest.mark.parametrize(
    "page", PAGES_WITH_EXAMPLES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_page_prints_what_it_shows_in_the_shell_of_all_pages_before_it(
    page: Path, shell: Session, live_server: ServerProcess
) -> None:
    with closing(shell):
        run_page(page, shell)

    used = query_database(live_server.log.parent, "select name, used_at from tokens")
    assert used == [("reader", None)]


def run_page(page: Path, session: Session) -> None:
    for before, kind, text in blocks(page):
        if name := re.search(r"`([\w.]+)`:$", before):
            (session.folder / name[1]).write_text(text, encoding="utf-8")
        elif kind == "python":
            (session.folder / "example.py").write_text(text, encoding="utf-8")
            assert session.run(f"{sys.executable} example.py") is not None
            assert session.status == 0, text
        elif kind == "console":
            for command, output in commands(text):
                if command.startswith("grep "):
                    wait_for_line(command, session)
                assert normal(session.say(command), session.home) == normal(output, session.home), (
                    command
                )


def wait_for_line(command: str, session: Session) -> None:
    """Wait until `grep` finds its line: a server logs a request after its response."""

    def is_found() -> bool:
        session.say(command)
        return session.status == 0

    wait_until(is_found)


def test_the_documents_have_examples() -> None:
    kinds = [kind for page in PAGES for _, kind, _ in blocks(page)]

    assert kinds.count("console") > 10
    assert kinds.count("python") >= 3


def anchors(page: Path) -> set[str]:
    """Give the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_link_between_documents_has_a_target() -> None:
    folders = (ROOT / "docs", ROOT / "requirements")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^):]*))?\)", text):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def test_every_command_and_option_is_in_the_documents() -> None:
    from anyscale.cli.root import root

    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    context = root.make_context("anyscale", [], resilient_parsing=True)
    for group_name in root.list_commands(context):
        group = root.get_command(context, group_name)
        names = group.list_commands(context) if isinstance(group, click.Group) else [""]
        for name in names:
            assert f"anyscale {group_name} {name}".strip() in text
    for option in ("--users-file", "--format", "--if-exists", "--dry-run", "--host", "-o "):
        assert option in text


def documented_arguments(page: str, call: str) -> set[str]:
    """Give the arguments that a page documents of a call such as `user.list`.

    They are in the sections that name the call: in its table, in the paragraphs that name it, or
    between the parentheses of its examples.
    """
    found: set[str] = set()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    for section in (text for text in sections if re.search(rf"\banyscale\.{call}\b", text)):
        for block in section.split("\n\n"):
            if re.match(rf"\| argument (of `{call.partition('.')[2]}` )?\|", block):
                heads = re.findall(r"^\| (`[^|]*)\|", block, re.MULTILINE)
                found.update(re.findall(r"`(\w+)`", "".join(heads)))
            elif re.search(rf"`anyscale\.{call}\b", block):
                found.update(re.findall(r"`(\w+)(?:=\w+)?`", block))
        for arguments in re.findall(rf"\banyscale\.{call}\(([^()]*)", section):
            found.update(re.findall(r"(?:^|, )(?:\w+\.)?(\w+)", arguments))
    return found


def test_every_argument_of_the_python_calls_is_documented_for_its_call() -> None:
    import anyscale

    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    groups = {"user": anyscale.user, "batch": anyscale.batch}
    calls = {
        f"{group}.{name}": getattr(module, name)
        for group, module in groups.items()
        for name in dir(module)
        if not name.startswith("_") and callable(getattr(module, name))
    }

    assert len(calls) == 17
    for call, function in calls.items():
        arguments = set(inspect.signature(function).parameters)
        assert arguments - documented_arguments(page, call) == set(), call


def test_an_argument_of_another_call_is_not_documented_for_a_call() -> None:
    page = (
        "## List\n\nanyscale.user.list(role=1)\nanyscale.user.get(email=1)\n\n"
        "| argument of `list` | meaning |\n| --- | --- |\n| `search`, `name` | `sso` |\n\n"
        "## Undo\n\n`anyscale.batch.undo(batch_id)` has `force=True`.\n\nAnother has `last`.\n"
    )

    assert documented_arguments(page, "user.list") == {"role", "search", "name"}
    assert documented_arguments(page, "user.get") == {"email"}
    assert documented_arguments(page, "batch.undo") == {"batch_id", "force"}


def test_every_setting_is_in_the_documents() -> None:
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    documented = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    for name in set(re.findall(r'"(ANYSCALE_\w+)"', source)):
        assert f"`{name}" in documented, name
