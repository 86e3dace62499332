"""The names of the SDK: what completion offers, what type checkers know, what the help says."""

import ast
import copy
import json
import os
import pydoc
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import assert_type

import pytest

import anyscale
from anyscale import errors
from anyscale.batch.sdk import BatchCalls
from anyscale.user import models
from anyscale.user.models import AdminCreatedUser, AdminCreateUser, Batch, CreatedUsers, User
from anyscale.user.sdk import UserCalls

TOP = ["Anyscale", "batch", "errors", "user"]
USER = [
    *("admin_batch_create", "delete", "get", "list", "models", "reset_second_factor", "restore"),
    *("set_password_link", "set_role", "suspend", "sync", "update", "users_file", "verify"),
]
BATCH = ["drop", "list", "show", "undo"]

#: what is typed -> the names that are offered
LINES = {
    "anyscale.": TOP,
    "anyscale.u": ["user"],
    "anyscale.user.": USER,
    "anyscale.user.adm": ["admin_batch_create"],
    "anyscale.user.models.": sorted(models.__all__),
    "anyscale.batch.": BATCH,
    "anyscale.errors.": sorted(errors.__all__),
    "client.": ["batch", "user"],
    "client.user.": [name for name in USER if name != "models"],
    "client.batch.": BATCH,
}

IPYTHON = """
import json, sys
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import anyscale; client = anyscale.Anyscale()")
lines, found = json.loads(sys.argv[1]), {}
for completer in ("jedi", "dir"):
    shell.Completer.use_jedi = completer == "jedi"
    with provisionalcompleter():
        found[completer] = {
            line: [completion.text for completion in shell.Completer.completions(line, len(line))]
            for line in lines
        }
print(json.dumps(found))
"""

PLAIN = """
import json, rlcompleter, sys
import anyscale
completer = rlcompleter.Completer({"anyscale": anyscale, "client": anyscale.Anyscale()})
found = {line: completer.attr_matches(line) for line in json.loads(sys.argv[1])}
print(json.dumps({"rlcompleter": found}))
"""


@pytest.mark.parametrize("code", [IPYTHON, PLAIN], ids=["IPython", "python"])
def test_completion_offers_the_public_names_and_no_others(code: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(list(LINES))],
        capture_output=True,
        text=True,
        env=os.environ | {"IPYTHONDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
    )

    for completer, found in json.loads(run.stdout.splitlines()[-1]).items():
        for line, names in LINES.items():
            offered = [re.sub(r".*\.|\(.*", "", name) for name in found[line]]
            public_names = sorted(name for name in offered if not name.startswith("_"))
            assert public_names == names, (completer, line)


def public(names: list[str]) -> list[str]:
    return sorted(name for name in names if not re.fullmatch("__.*__", name))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (anyscale, TOP),
        (anyscale.user, USER),
        (anyscale.batch, BATCH),
        (models, sorted(models.__all__)),
        (errors, sorted(errors.__all__)),
    ],
)
def test_a_module_shows_its_public_names(module: ModuleType, names: list[str]) -> None:
    assert public(dir(module)) == public(module.__all__) == names
    assert "__doc__" in dir(module)
    assert all(getattr(module, name) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'") as caught:
        module.nothing  # noqa: B018 - the access itself is tested
    # From these, Python suggests the name that was meant.
    assert (caught.value.name, caught.value.obj) == ("nothing", module)


@pytest.mark.parametrize("module", [anyscale, anyscale.user, anyscale.batch])
def test_type_checkers_and_editors_know_the_same_names(module: ModuleType) -> None:
    assert module.__file__
    declared: list[str] = []
    for node in ast.parse(Path(module.__file__).with_suffix(".pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            declared += [alias.asname or "" for alias in node.names]
        elif isinstance(node, ast.Assign):
            declared += [target.id for target in node.targets if isinstance(target, ast.Name)]

    assert sorted(name for name in declared if not name.startswith("_")) == public(dir(module))


@pytest.mark.parametrize(
    ("module", "calls"), [(anyscale.user, UserCalls), (anyscale.batch, BatchCalls)]
)
def test_a_module_has_all_calls_of_the_class(module: ModuleType, calls: type) -> None:
    methods = [name for name in dir(calls) if not name.startswith("_")]

    assert set(methods) == set(public(dir(module))) - {"models"}


def test_the_calls_have_types() -> None:
    """mypy, which the checks run, refuses another type, and an `ignore` without a reason."""
    users = [AdminCreateUser("Jane", "jane@example.com")]
    created = assert_type(anyscale.user.admin_batch_create(users), CreatedUsers)
    assert_type(created[0], AdminCreatedUser)
    assert_type(anyscale.user.get(email="jane@example.com"), User)
    assert_type(list(anyscale.user.list()), list[User])
    assert_type(list(anyscale.batch.list()), list[Batch])
    assert_type(anyscale.Anyscale().user.get(name="Jane"), User)
    assert_type(anyscale.Anyscale().batch.show(str(created.batch_id)), Batch)
    with pytest.raises(errors.ConfigError):
        anyscale.user.admin_batch_create(users, if_exists="update")  # type: ignore[arg-type]  # the mistake that is tested


def test_no_submodule_is_a_name_of_the_package_after_a_call(home: Path) -> None:
    code = (
        "import anyscale\n"
        "from anyscale.user.models import AdminCreateUser\n"
        "anyscale.user.admin_batch_create([AdminCreateUser('Jane', 'jane@example.com')])\n"
        "list(anyscale.batch.list())\n"
        "print(*(name for package in (anyscale.user, anyscale.batch) for name in vars(package)))\n"
        "print(hasattr(anyscale.user, 'batch_create'), hasattr(anyscale.batch, 'undo_batch'))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    names, found = run.stdout.splitlines()
    assert {name for name in names.split() if not name.startswith("_")} == {
        "models",
        "show_only_public_names",
    }
    assert found == "False False"


def test_a_skipped_entry_has_types() -> None:
    users = [AdminCreateUser("Jane", "jane@example.com")]
    anyscale.user.admin_batch_create(users)
    (skipped,) = anyscale.user.admin_batch_create(users, if_exists="skip").skipped
    assert_type(skipped["index"] + 1, int)
    assert dict(skipped) == {"index": 0, "email": "jane@example.com"}


def test_a_model_is_copied_with_a_change() -> None:
    user = AdminCreateUser("Jane", "jane@example.com", "correct-donkey-battery")
    changed = AdminCreateUser("Jane", "jane@example.com", "correct-donkey-battery", title="Boss")
    assert AdminCreateUser(**user.to_dict() | {"title": "Boss"}) == changed
    replace = getattr(copy, "replace", lambda model, **changes: model.__replace__(**changes))
    assert replace(user, title="Boss") == changed  # Python 3.13 has it
    with pytest.raises(TypeError, match="title must be str or None, not int"):
        replace(user, title=1)


def test_a_created_user_has_the_defaults_of_a_new_one() -> None:
    created = AdminCreatedUser("usr_0", "Jane", "jane@example.com", datetime.now(UTC), False)
    assert (created.lastname, created.title) == (None, None)


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import anyscale, sys; dir(anyscale); print([n for n in sys.modules if 'anyscale.' in n])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_a_call_of_the_sdk_imports_neither_click_nor_rich() -> None:
    code = "import anyscale, sys; list(anyscale.user.list()); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"click", "rich", "litestar", "yaml"} & set(run.stdout.split())


@pytest.mark.parametrize("model", [AdminCreateUser, AdminCreatedUser, User, Batch])
def test_the_help_of_a_model_documents_each_field(model: type) -> None:
    text = pydoc.plain(pydoc.render_doc(model))

    _, _, attributes = text.partition("Attributes:")
    documented = dict(re.findall(r"^ \|      (\w+) \((.*?)\): \S", attributes, re.MULTILINE))
    types = {
        name: kind.__name__ if isinstance(kind, type) else str(kind).replace(" |", " or")
        for name, kind in model.__annotations__.items()
        if not name.startswith("_")
    }
    assert documented == {name: kind.replace("datetime.", "") for name, kind in types.items()}


def test_the_help_of_a_new_user_has_limits_and_defaults() -> None:
    text = re.sub(r"\s+", " ", AdminCreateUser.__doc__ or "")

    for words in ("at most 256 characters", "at most 254 octets", "from 8 characters", "to 1,024"):
        assert words in text
    assert text.count("Default: ") + text.count("the default") == 4
