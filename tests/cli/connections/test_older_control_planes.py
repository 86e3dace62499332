"""Lists of users from a control plane of an earlier version."""

import json
from contextlib import closing
from typing import Any

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.fixed_responses import IDENTITY, answering, http, serving_in_turn
from tests.support.users import list_accounts

from anyscale.errors import VersionMismatch
from anyscale.transport.http import HttpTransport


def test_a_list_of_suspended_users_from_an_older_control_plane_is_refused(
    anyscale: RunAnyscale,
) -> None:
    user = {"email": "a@b.io", "name": "a", "created_at": "2026-11-24T12:00:00Z"}
    user |= {"permission_level": "owner", "user_id": "usr_1"}
    before = http("200 OK", IDENTITY, body=json.dumps({"users": [user]}))
    with answering(before) as port:
        env = {"ANYSCALE_HOST": f"http://127.0.0.1:{port}", "ANYSCALE_CLI_TOKEN": "mrt_secret"}
        listed = anyscale("user", "list", "-o", "jsonl", env=env)
        suspended = anyscale("user", "list", "--suspended", env=env)
    unknown = {"suspended_at": None, "lastname": None, "title": None, "is_sso_user": False}
    assert json.loads(listed.stdout) == user | unknown
    assert "a@b.io" not in suspended.stdout
    assert "cannot list suspended users: use the same version of" in suspended.stderr
    assert suspended.returncode == 1


def user_page(*numbers: int) -> bytes:
    """Make the page of an older control plane, which has no cursor."""
    users = [
        {"email": f"u{number}@b.io", "name": "a", "created_at": "2026-11-24T12:00:00Z"}
        | {"permission_level": "owner", "user_id": f"usr_{number}"}
        for number in numbers
    ]
    return http("200 OK", IDENTITY, body=json.dumps({"users": users}))


def test_an_older_control_plane_lists_users_in_pages() -> None:
    answers = (user_page(1, 2), user_page(3))
    with serving_in_turn(*answers) as host, closing(HttpTransport(host, "mrt_s")) as transport:
        emails = [user.email for user in list_accounts(transport, page_size=2, name="a")]
    assert emails == ["u1@b.io", "u2@b.io", "u3@b.io"]


@pytest.mark.parametrize(
    "query",
    [
        {"role": "owner"},
        {"sso": True},
        {"without_credentials": True},
        {"newest_first": True},
        {"search": "a"},
    ],
)
def test_an_older_control_plane_that_would_list_other_users_is_refused(
    query: dict[str, Any],
) -> None:
    with (
        serving_in_turn(user_page(1)) as host,
        closing(HttpTransport(host, "mrt_s")) as transport,
        pytest.raises(VersionMismatch, match="knows neither all filters of this list nor its"),
    ):
        list_accounts(transport, **query)


def test_a_list_that_a_newer_control_plane_began_is_not_repeated_by_an_older_one() -> None:
    newer = http("200 OK", IDENTITY, body=json.dumps({"users": [], "cursor": "abc"}))
    with (
        serving_in_turn(newer, user_page(1)) as host,
        closing(HttpTransport(host, "mrt_s")) as transport,
        pytest.raises(VersionMismatch, match="use the same version of musterroll"),
    ):
        list_accounts(transport)
