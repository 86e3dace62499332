"""Changes of accounts and of their emails with odd bodies: each is refused and says where.

On PostgreSQL, which refuses more values than SQLite.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.callers import OPERATOR
from tests.support.databases.postgres_databases import PostgresDatabases
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

MANY = "/v1/users:changeEmails"


class Served(NamedTuple):
    """A server, and the ids of its accounts by the local parts of their emails."""

    url: str
    headers: Mapping[str, str]
    ids: Mapping[str, str]

    def call(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        answer = urllib3.request(
            method, self.url + path, body=body, headers=self.headers, retries=False
        )
        return answer.status, answer.json() if answer.data else None


@pytest.fixture(scope="module")
def served(postgres_databases: PostgresDatabases) -> Iterator[Served]:
    with postgres_databases.empty() as database:
        control_plane = ControlPlane(Settings(database=database))
        token = control_plane.tokens.create(OPERATOR, "script", "owner", None)
        create_accounts(control_plane, "jane", "joe", "boss", "gone", "anna")
        found = control_plane.users.find(
            [f"{name}@example.com" for name in ("jane", "joe", "boss", "gone", "anna")]
        )
        ids = {user.email.partition("@")[0]: user.user_id for user in found if user}
        control_plane.lifecycle.set_role(OPERATOR, ids["boss"], "owner")
        control_plane.lifecycle.delete(OPERATOR, ids["gone"])
        with serve_in_process(control_plane) as url:
            yield Served(url, {"Authorization": f"Bearer {token}"}, ids)


def change(who: str, email: object, **more: object) -> dict[str, object]:
    return {"user_id": f"<{who}>", "email": email, "expected": {}} | more


def body_of(served: Served, value: object) -> bytes:
    """Give a body, with ids in place of `<jane>`."""
    text = json.dumps(value)
    for name, user_id in served.ids.items():
        text = text.replace(f"<{name}>", user_id)
    return text.encode()


NEW = "new@example.com"


@pytest.mark.parametrize(
    ("changes", "status", "code", "detail"),
    [
        ([change("joe", NEW)] * 1_001, 400, "request_invalid", "`$.changes`"),
        ([change("joe", NEW), change("joe", "b@example.com")], 400, "", "changes[1].user_id"),
        ([change("joe", NEW), change("joe", NEW)], 400, "", "changes[1].user_id"),
        ([change("jane", NEW), change("joe", "b")], 400, "", "changes[1].email: 'b' is not"),
        ([change("joe", "")], 400, "config_invalid", "changes[0].email"),
        ([change("joe", "a\0@example.com")], 400, "config_invalid", "changes[0].email"),
        ([change("joe", "jo\u200be@example.com")], 400, "config_invalid", "changes[0].email"),
        ([change("joe", f"{'e' * 300}@example.com")], 400, "config_invalid", "changes[0].email"),
        ([change("joe", 7)], 400, "request_invalid", "`$.changes[0].email`"),
        ([change("joe", None)], 400, "request_invalid", "`$.changes[0].email`"),
        ([change("joe", NEW, user_id=10**400)], 400, "request_invalid", "body"),
        ([change("joe", NEW, expected="joe@example.com")], 400, "", "`$.changes[0].expected`"),
        ([change("joe", NEW, expected={"emial": "a"})], 400, "request_invalid", "`emial`"),
        ([change("joe", NEW, reuse_email=True)], 400, "request_invalid", "`reuse_email`"),
        ([{"user_id": "<joe>", "email": NEW}], 400, "request_invalid", "`expected`"),
        ([change("jane", NEW), change("gone", "b@example.com")], 404, "not_found", "<gone>"),
        ([change("joe", NEW, user_id="usr_\0")], 404, "not_found", "there is no user"),
        ([change("joe", NEW, user_id="x" * 9_999)], 404, "not_found", "there is no user"),
        ([change("boss", NEW)], 409, "owner_kept", "an owner's"),
        ([change("joe", "JANE@Example.com")], 409, "email_taken", "'JANE@Example.com'"),
        ([change("joe", "ja\u006ee@e\uff58ample.com")], 409, "email_taken", "has an account"),
        ([change("joe", "c@x.org"), change("jane", "C@X.org")], 409, "email_taken", "'C@X.org'"),
        (
            [change("joe", NEW, expected={"email": "other@example.com"})],
            *(409, "account_edited", "another email"),
        ),
        ([change("joe", NEW, expected={"suspended": True})], 409, "account_edited", "restored"),
        ([change("joe", NEW, expected={"permission_level": "x"})], 409, "account_edited", "role"),
    ],
)
def test_changes_of_emails_that_are_wrong_are_refused_as_a_whole_and_say_where(
    served: Served, changes: Any, status: int, code: str, detail: str
) -> None:
    found, document = served.call("POST", MANY, body_of(served, {"changes": changes}))
    assert found == status, document
    assert not code or document["code"] == code
    assert detail.replace("<gone>", served.ids["gone"]) in document["detail"]
    listed = urllib3.request("GET", f"{served.url}/v1/users", headers=served.headers).json()
    assert {user["email"].partition("@")[0] for user in listed["users"]} == {
        *("jane", "joe", "boss", "anna"),
    }


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"name": "x" * 257}, 400, "name: "),
        ({"email": "JANE@example.com"}, 409, "'JANE@example.com' has an account already"),
        ({"email": "jo\u200be@example.com"}, 400, "email: "),
        ({"external_id": " 7"}, 400, "external_id: "),
        ({"external_id": 7}, 400, "`$.external_id`"),
        ({"title": "CTO", "expected": {"suspended": 0}}, 400, "`$.expected.suspended`"),
        ({"title": "CTO", "expected": {"permission_level": 1}}, 400, "`$.expected.permission_"),
        ({"title": "CTO", "expected": {"password": "a"}}, 400, "unknown field `password`"),
        ({"title": "CTO", "reuse_email": 1}, 400, "`$.reuse_email`"),
        ({"expected": {"title": None}, "reuse_email": True}, 400, "there is nothing to change"),
    ],
)
def test_a_change_of_an_account_that_is_wrong_is_refused_and_says_where(
    served: Served, changes: Any, status: int, detail: str
) -> None:
    path = f"/v1/users/{served.ids['joe']}"
    found, document = served.call("PATCH", path, body_of(served, changes))
    assert (found, detail in document["detail"]) == (status, True), document


@pytest.mark.parametrize("user_id", ["<gone>", "usr_" + "f" * 5_000, "usr_%00", "usr_%F0%9F%98%80"])
def test_an_account_that_does_not_exist_is_not_changed(served: Served, user_id: str) -> None:
    path = f"/v1/users/{user_id.replace('<gone>', served.ids['gone'])}"
    status, document = served.call("PATCH", path, b'{"title": "CTO"}')
    assert (status, document["code"]) in ((404, "not_found"), (400, "request_invalid")), document


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b'{"changes": null}', 400),
        (b'{"title": "\xff"}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b'{"title": 1e999}', 400),
        (b'{"title": ' + b"9" * 5_000 + b"}", 400),
    ],
)
def test_octets_that_are_not_a_body_are_refused(served: Served, body: bytes, status: int) -> None:
    for method, path in (("PATCH", f"/v1/users/{served.ids['joe']}"), ("POST", MANY)):
        found, document = served.call(method, path, body)
        assert found == status, document


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from(["<anna>", "<gone>", "<boss>", "anna@example.com", "a\0b@example.com"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["changes", "user_id", "email", "expected", "name", "title", "external_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHANGES = st.lists(
    st.fixed_dictionaries({"user_id": VALUES, "email": VALUES, "expected": VALUES}), max_size=3
)


@settings(max_examples=150)
@given(VALUES, CHANGES)
def test_no_body_is_an_error_of_the_server(served: Served, value: Any, changes: Any) -> None:
    for method, path, sent in (
        ("PATCH", f"/v1/users/{served.ids['anna']}", value),
        ("POST", MANY, {"changes": changes}),
    ):
        status, document = served.call(method, path, body_of(served, sent))
        assert status < 500, document
        assert status < 400 or document["detail"]
