"""Links that an owner created for others, when the owner loses the rights."""

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import get, send
from tests.support.callers import OPERATOR, personal_token_caller
from tests.support.users import create_accounts

#: change -> the page that asks for it, and what its form sends
CHANGES = {
    "suspend": ("/console/users/{}", "/console/users/{}/suspend", {}),
    "role": ("/console/users/{}/role", "/console/users/{}/role", {"role": "collaborator"}),
    "delete": (
        "/console/users/{}/delete",
        "/console/users/{}/delete",
        {"email": "clerk@example.com"},
    ),
    "selected": ("/console/users/suspend?user_id={}", "/console/users/suspend", {}),
}


@pytest.fixture
def console(open_console: OpenConsole) -> Console:
    return open_console(public_url="https://accounts.example.com")


def id_of(console: Console, name: str) -> str:
    (found,) = console.control_plane.users.find([f"{name}@example.com"])
    assert found
    return found.user_id


@pytest.fixture
def clerk(console: Console) -> str:
    """An owner who has created links for two people."""
    create_accounts(console.control_plane, "clerk", "new", "newer")
    clerk = id_of(console, "clerk")
    console.control_plane.lifecycle.set_role(OPERATOR, clerk, "owner")
    caller = personal_token_caller(console.control_plane, clerk)
    new, newer = id_of(console, "new"), id_of(console, "newer")
    console.control_plane.links.create(caller, [new, newer])
    return clerk


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keep", [{}, {"keep_links": "yes"}], ids=["ended", "kept"])
def test_they_are_named_before_and_can_be_kept(
    console: Console, clerk: str, change: str, keep: dict[str, str]
) -> None:
    jane = console.browser()
    page, form, fields = CHANGES[change]
    asked = get(jane, page.format(clerk)).text
    assert "<strong>2 unused links</strong>" in asked
    assert 'name="keep_links"' in asked
    assert "Keep these 2 links" in asked

    answer = send(jane, form.format(clerk), **fields, **keep, user_id=clerk)

    assert answer.status == 303
    has_link = [console.control_plane.links.exists(id_of(console, one)) for one in ("new", "newer")]
    assert has_link == [bool(keep)] * 2
    verb = "kept" if keep else "ended"
    assert f"and {verb} 2 unused links by this owner" in get(jane, "/console/audit").text


def test_of_a_member_no_links_are_named(console: Console, clerk: str) -> None:
    member = id_of(console, "new")
    for page, _, _ in CHANGES.values():
        assert "keep_links" not in get(console.browser(), page.format(member)).text
