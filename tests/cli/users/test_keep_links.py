"""Links that an owner created for others, when the account is demoted, suspended or deleted."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import product

import pytest
from tests.support.callers import OPERATOR, personal_token_caller
from tests.support.commands.running import RunAnyscale
from tests.support.commands.terminal import on_a_terminal
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.servers.http_client import HttpClient
from tests.support.users import checked_users

import anyscale as package
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.validation import Policy
from anyscale.errors import LinkInvalid
from anyscale.server.control_plane import ControlPlane

#: makes a change of this name, and keeps the links or not
Change = Callable[[str, AdminCreatedUser, bool], None]

CHANGES = ("suspend", "delete", "set_role")


@pytest.fixture
def deployment(
    new_deployment: NewDeployment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HttpDeployment]:
    """A server that the command and Python use."""
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        monkeypatch.setenv("ANYSCALE_HOST", deployment.url(Policy()))
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", deployment.token)
        yield deployment


@pytest.fixture
def served(deployment: HttpDeployment) -> Iterator[ControlPlane]:
    """The control plane of the server, beside it."""
    with closing(deployment.control_plane(Policy())) as control_plane:
        yield control_plane


@pytest.fixture(params=["command", "python", "http"])
def change(
    request: pytest.FixtureRequest, deployment: HttpDeployment, anyscale: RunAnyscale
) -> Change:
    """Changes an account by the command, in Python or by HTTP."""

    def by_command(name: str, user: AdminCreatedUser, keeps: bool) -> None:
        more = {"suspend": [], "delete": ["--yes"], "set_role": ["collaborator"]}[name]
        options = [*more, *(["--keep-links"] if keeps else [])]
        done = anyscale("user", name.replace("_", "-"), user.email, *options)
        assert done.returncode == 0, done.stderr

    def in_python(name: str, user: AdminCreatedUser, keeps: bool) -> None:
        role = {"role": "collaborator"} if name == "set_role" else {}
        getattr(package.user, name)(email=user.email, keep_links=keeps, **role)

    def by_http(name: str, user: AdminCreatedUser, keeps: bool) -> None:
        calls: dict[str, tuple[str, str, dict[str, object] | None]] = {
            "suspend": ("POST", "/suspend", {}),
            "delete": ("DELETE", "", None),
            "set_role": ("PUT", "/role", {"role": "collaborator"}),
        }
        method, path, body = calls[name]
        if body is None:
            path += "?keep_links=true" if keeps else ""
        elif keeps:
            body["keep_links"] = True
        headers = {"Authorization": f"Bearer {deployment.token}"}
        client = HttpClient(deployment.url(Policy()))
        done = client.request(method, f"/v1/users/{user.user_id}{path}", body, headers=headers)
        assert done.status == 204, done.text

    changes = {"command": by_command, "python": in_python, "http": by_http}
    return changes[request.param]


def create(control_plane: ControlPlane, *names: str) -> list[AdminCreatedUser]:
    users = checked_users(*names)
    return list(control_plane.batches.create(OPERATOR, names[0], users, "fail", []).users)


def link_of_an_owner(control_plane: ControlPlane, name: str) -> tuple[AdminCreatedUser, str]:
    """Create an owner who has created a link for somebody; give the owner and its secret."""
    owner, joe = create(control_plane, name, f"{name}-joe")
    control_plane.lifecycle.set_role(OPERATOR, owner.user_id, "owner")
    caller = personal_token_caller(control_plane, owner.user_id)
    (link,) = control_plane.links.create(caller, [joe.user_id])
    return owner, link.url.partition("#")[2]


def test_links_that_an_owner_created_end_with_the_owner_unless_they_are_kept(
    change: Change, served: ControlPlane
) -> None:
    (first,) = create(served, "first")
    served.lifecycle.set_role(OPERATOR, first.user_id, "owner")
    working = set()
    for name, keeps in product(CHANGES, (True, False)):
        owner, secret = link_of_an_owner(served, f"{name}-{keeps}".lower().replace("_", "-"))
        change(name, owner, keeps)
        with suppress(LinkInvalid):
            served.password_changes.link_account(secret)
            working.add((name, keeps))
    assert working == {(name, True) for name in CHANGES}


def test_the_question_before_an_owner_is_deleted_names_the_links_that_end(
    served: ControlPlane,
) -> None:
    owner, _ = link_of_an_owner(served, "jane")
    ends = "Unused links that this owner created for others stop working."
    for options, is_named in (([], True), (["--keep-links"], False)):
        status, shown = on_a_terminal(
            *("user", "delete", owner.email, *options), typed=b"no\n", when=b"to continue:"
        )
        assert (status, ends in " ".join(shown.split())) == (2, is_named)


def test_a_file_has_no_owners_whose_links_could_be_kept(
    anyscale: RunAnyscale, deployment: HttpDeployment
) -> None:
    done = anyscale("user", "suspend", "-f", "staff.csv", "--keep-links")
    assert (done.returncode, "a file never suspends an owner" in done.stderr) == (2, True)
