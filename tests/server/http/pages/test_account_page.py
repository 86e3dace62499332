"""The page of an account: its names, its sign-ins and its tokens."""

import re

from tests.server.http.pages.requests import PUBLIC, Come, create_owner, get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient
from tests.support.users import NEW_PASSWORD, PASSWORD, find_accounts

from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Policy, check
from anyscale.server.control_plane import ControlPlane


def test_the_account_page_shows_no_part_of_a_name_twice(come: Come) -> None:
    control_planes: list[ControlPlane] = []
    jane = come(control_planes.append)
    jane.sign_in_first_time()
    (account,) = find_accounts(control_planes[0], email="jane@example.com", exact=True)
    for name, lastname, shown in (
        ("Jane", "Doe", "Jane Doe"),
        ("Jane Doe", "Doe", "Jane Doe"),
        ("Mia Member", "Member-Example", "Mia Member-Example"),
    ):
        changes = UserChanges(name=name, lastname=lastname)
        control_planes[0].updates.update(OPERATOR, account.user_id, changes)
        assert f"<dd><bdi translate=no>{shown}</bdi></dd>" in get(jane, "/").text


def test_an_owner_revokes_a_token_on_the_account_page(come: Come) -> None:
    jane = come(create_owner).sign_in_first_time()
    answer = send(jane, "/console/tokens/new", name="laptop", days="30")
    (token,) = re.findall(r"mrt_[0-9A-Za-z]{39}", answer.text)
    account = get(jane, "/").text
    assert token not in account
    assert "laptop" in account
    (token_id,) = re.findall(r'name="token_id" value="(tok_\w+)"', account)
    for _ in range(2):
        answer = send(jane, "/tokens/revoke", token_id=token_id)
        assert answer.headers["location"] == "/?note=token_revoked"
    assert "laptop" not in get(jane, "/").text


def test_the_account_page_offers_tokens_only_to_owners(come: Come) -> None:
    control_planes: list[ControlPlane] = []
    jane = come(control_planes.append).sign_in_first_time()
    page = get(jane, "/").text
    assert "oken" not in page
    assert "Here you change your password and see where you are signed in." in page
    create_owner(control_planes[0])
    page = get(jane, "/").text
    assert 'href="/console/tokens/new"' in page
    assert "password, see where you are signed in, and create tokens for the command line." in page


def test_a_session_that_is_not_recognised_is_named_only_if_there_is_another(come: Come) -> None:
    jane = come().sign_in_first_time()
    assert "do not recognise" not in get(jane, "/").text
    HttpClient(f"http://{jane.host}").sign_in(password=NEW_PASSWORD)
    assert "do not recognise" in get(jane, "/").text


def test_a_new_token_comes_with_the_command_that_stores_it(come: Come) -> None:
    jane = come(create_owner).sign_in_first_time()
    page = send(jane, "/console/tokens/new", name="laptop", days="30").text
    assert re.search(r"\bmrt_[0-9A-Za-z]{39}<", page)
    assert f">anyscale login --host http://{jane.host}<" in page
    jane = come(create_owner, public_url=PUBLIC)
    jane.sign_in(password=NEW_PASSWORD)
    page = send(jane, "/console/tokens/new", name="desk", days="30").text
    assert f">anyscale login --host {PUBLIC}<" in page


def test_the_account_page_shows_the_title_and_the_hour_of_each_sign_in(come: Come) -> None:
    def titled(control_plane: ControlPlane) -> None:
        user = check(
            Policy(),
            name="Ann",
            email="ann@example.com",
            password=PASSWORD,
            is_sso_user=False,
            lastname=None,
            title="Head of <b>",
        )
        assert user
        control_plane.batches.create(OPERATOR, "ann", [user], "fail", [(0, PASSWORD)])

    page = get(come(titled).sign_in_first_time("ann"), "/").text
    assert "<dt>Title</dt><dd><bdi translate=no>Head of &lt;b&gt;</bdi></dd>" in page
    assert re.search(r">\d+ \w+ 20\d\d, \d\d:\d\d UTC</time>", page)
