"""The calls of users over HTTP: sign in, change the password, revoke sessions and tokens."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.servers.http_client import HttpClient
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.domain.audit_chain import verify
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.secrets import hash_of
from anyscale.server.http.account.schemas import ChangePasswordRequest, CreatedToken
from anyscale.server.http.login.schemas import LoginRequest, SetPasswordRequest
from anyscale.server.store.records.login import LinkRecord

SESSION, DEVICE = "__Host-session", "__Host-device"


@contextmanager
def two_accounts(new_deployment: NewDeployment) -> Iterator[HttpDeployment]:
    """Make a control plane over HTTP with two accounts that have initial passwords."""
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        filled_control_plane(deployment.settings(), _create_jane_and_kurt)[0].close()
        yield deployment


def _create_jane_and_kurt(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "jane", "kurt")


@pytest.fixture
def deployment(new_deployment: NewDeployment) -> Iterator[HttpDeployment]:
    """A control plane of the test alone."""
    with two_accounts(new_deployment) as deployment:
        yield deployment


@pytest.fixture
def client(deployment: HttpDeployment) -> HttpClient:
    """A client that is not signed in."""
    return HttpClient(deployment.url())


@pytest.fixture(scope="module")
def shared_url(new_deployment: NewDeployment) -> Iterator[str]:
    """The URL of a control plane whose accounts no test changes."""
    with two_accounts(new_deployment) as deployment:
        yield deployment.url()


@pytest.fixture
def visitor(shared_url: str) -> HttpClient:
    """A client of the shared control plane that is not signed in."""
    return HttpClient(shared_url)


def link_for(deployment: HttpDeployment, name: str = "jane") -> str:
    secret = new_link_secret()
    with closing(deployment.control_plane()) as control_plane, control_plane.store.write() as tx:
        account = tx.accounts.find(f"{name}@example.com")
        assert account
        row = LinkRecord(account.user_id, hash_of(secret), "local:test", tx.now(), tx.now() * 2)
        tx.links.replace(row)
    return secret


def make_owners(deployment: HttpDeployment) -> None:
    """Make the two accounts owners, who alone have tokens."""
    with closing(deployment.control_plane()) as control_plane:
        for user in control_plane.users.find(["jane@example.com", "kurt@example.com"]):
            assert user
            control_plane.lifecycle.set_role(OPERATOR, user.user_id, "owner")


@pytest.mark.both_stores
def test_users_who_sign_in_at_once_get_their_own_accounts(
    deployment: HttpDeployment,
) -> None:
    names = [f"person{number}" for number in range(12)]
    with closing(deployment.control_plane()) as control_plane:
        create_accounts(control_plane, *names)
    people = [HttpClient(deployment.url()) for _ in names]

    passwords = ["wrong" if name[-1] in "258" else PASSWORD for name in names]
    with ThreadPoolExecutor(len(names)) as threads:
        answers = list(threads.map(HttpClient.sign_in, people, names, passwords))
    right = [password == PASSWORD for password in passwords]
    assert [answer.status == 200 for answer in answers] == right
    assert {answer.status for answer in answers} == {200, 401}
    for person, name in zip(people, names, strict=True):
        mine = person.request("GET", "/v1/me")
        assert mine.json.get("email") == (f"{name}@example.com" if person.cookies else None)
    assert [bool(person.cookies) for person in people] == right


def test_the_cookies_of_a_sign_in_are_readable_by_no_script_and_no_other_site(
    visitor: HttpClient,
) -> None:
    answer = visitor.sign_in()
    assert answer.status == 200
    assert answer.json["must_change_password"] is True
    assert answer.json["user_id"].startswith("usr_")
    lines = answer.headers.get_all("set-cookie") or []
    assert sorted(line.partition("=")[0] for line in lines) == [DEVICE, SESSION]
    for line in lines:
        marks = {mark.strip().lower() for mark in line.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= marks
        assert not any(mark.startswith("domain") for mark in marks)
    assert visitor.cookies[SESSION] not in answer.text


@pytest.mark.parametrize(
    "device",
    ["KNOWN", "x" * 43, '"a\\015\\012X-Made-Up: 1"', "a%0d%0ab", "x" * 2_000, "é", "%e2%82%ac"],
)
def test_a_forged_device_cookie_adds_no_header(visitor: HttpClient, device: str) -> None:
    visitor.cookies[DEVICE] = device
    answer = visitor.sign_in()
    assert answer.status == 200
    assert "x-made-up" not in {name.lower() for name in answer.headers}
    assert len(answer.headers.get_all("set-cookie") or []) == 2
    assert len(visitor.cookies[DEVICE]) == 43
    assert visitor.cookies[DEVICE] != device


def test_a_wrong_password_and_an_unknown_email_get_the_same_response(visitor: HttpClient) -> None:
    wrong = visitor.sign_in(password="not the password")
    unknown = visitor.sign_in("nobody")
    assert wrong.status == unknown.status == 401
    assert wrong.json["code"] == "invalid_credentials"
    assert wrong.json["detail"] == unknown.json["detail"]
    assert not visitor.cookies


def test_an_initial_password_must_be_changed_before_anything_else(client: HttpClient) -> None:
    client.sign_in()
    assert client.request("GET", "/v1/me").json["must_change_password"] is True
    for method, path in (
        ("GET", "/v1/me/sessions"),
        ("DELETE", "/v1/me/sessions"),
        ("DELETE", "/v1/me/sessions/ses_1"),
        ("GET", "/v1/me/tokens"),
        ("POST", "/v1/me/tokens"),
        ("DELETE", "/v1/me/tokens/tok_1"),
    ):
        answer = client.request(method, path)
        assert (answer.status, answer.json["code"]) == (403, "password_change_needed"), path
    changed = client.change_password()
    assert (changed.status, changed.json["must_change_password"]) == (200, False)
    assert client.request("GET", "/v1/me/sessions").status == 200
    me = client.request("GET", "/v1/me").json
    assert me["must_change_password"] is False
    assert (me["email"], me["permission_level"]) == ("jane@example.com", "collaborator")
    assert (me["has_password"], me["session"]["is_current"]) == (True, True)


def test_a_user_who_must_change_the_password_may_sign_out(visitor: HttpClient) -> None:
    visitor.sign_in()
    assert visitor.request("DELETE", "/v1/sessions/current").status == 204


def test_a_changed_password_revokes_the_sessions_of_all_browsers(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    client.sign_in()
    elsewhere = HttpClient(deployment.url())
    elsewhere.sign_in()
    before = client.cookies[SESSION]
    client.change_password()
    assert client.cookies[SESSION] != before
    assert elsewhere.request("GET", "/v1/me").status == 401
    assert client.request("GET", "/v1/me").status == 200
    assert HttpClient(deployment.url()).sign_in().status == 401
    assert HttpClient(deployment.url()).sign_in(password=NEW_PASSWORD).status == 200


def test_changing_a_password_needs_the_current_one_and_a_valid_new_one(
    client: HttpClient,
) -> None:
    client.sign_in()
    assert client.change_password("not the password").json["code"] == "invalid_credentials"
    for new, message in (
        ("abc7890", "shorter than"),
        ("jane@example.com", "own name"),
        (PASSWORD, ""),
    ):
        answer = client.change_password(new=new)
        assert (answer.status, answer.json["code"]) == (422, "password_refused")
        assert message in answer.json["detail"]
        assert new not in answer.json["detail"]


def test_each_request_updates_the_last_use_of_the_session(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    client.sign_in()
    with closing(deployment.control_plane()) as control_plane:
        with control_plane.store.write() as tx:
            execute_sql(tx, "update sessions set used_at = used_at - 3600000")
        before = _used_at(control_plane)

        assert client.request("GET", "/v1/me").status == 200

        assert _used_at(control_plane) >= before + 3_600_000


def _used_at(control_plane: ControlPlane) -> int:
    with control_plane.store.read() as tx:
        (at,) = execute_sql(tx, "select used_at from sessions").fetchone()
    return int(at)


def test_signing_out_revokes_the_session_and_deletes_its_cookie(client: HttpClient) -> None:
    client.sign_in_first_time()
    secret = client.cookies[SESSION]
    answer = client.request("DELETE", "/v1/sessions/current")
    assert (answer.status, answer.body) == (204, b"")
    assert SESSION not in client.cookies
    assert DEVICE in client.cookies
    client.cookies[SESSION] = secret
    assert client.request("GET", "/v1/me").status == 401


def test_signing_in_again_revokes_the_previous_session(client: HttpClient) -> None:
    client.sign_in_first_time()
    client.sign_in(password=NEW_PASSWORD)
    sessions = client.request("GET", "/v1/me/sessions").json["sessions"]
    assert len(sessions) == 1


def test_a_user_lists_and_revokes_own_sessions_only(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    client.sign_in_first_time()
    phone, kurt = (
        HttpClient(deployment.url()),
        HttpClient(deployment.url()).sign_in_first_time("kurt"),
    )
    phone.request("GET", "/v1/me")
    phone.request(
        "POST",
        "/v1/sessions",
        {"email": "jane@example.com", "password": NEW_PASSWORD},
        headers={"User-Agent": "phone\x00é"[:5]},
    )
    sessions = client.request("GET", "/v1/me/sessions").json["sessions"]
    assert [(one["agent"], one["is_current"]) for one in sessions] == [("phone", False), ("", True)]
    of_phone = f"/v1/me/sessions/{sessions[0]['session_id']}"
    assert kurt.request("DELETE", of_phone).status == 404
    assert phone.request("GET", "/v1/me").status == 200
    assert client.request("DELETE", of_phone).status == 204
    assert phone.request("GET", "/v1/me").status == 401
    assert kurt.request("GET", "/v1/me").status == 200


def test_all_other_sessions_are_revoked_by_one_call(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    client.sign_in_first_time()
    others = [HttpClient(deployment.url()) for _ in range(3)]
    for other in others:
        other.sign_in(password=NEW_PASSWORD)
    assert client.request("DELETE", "/v1/me/sessions").json == {"revoked": 3}
    assert [other.request("GET", "/v1/me").status for other in others] == [401] * 3
    assert client.request("GET", "/v1/me").status == 200


def test_a_link_sets_a_password_once_and_signs_in(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    link = link_for(deployment)
    refused = client.request("POST", "/v1/passwords", {"link": link, "new_password": "short"})
    assert (refused.status, refused.json["code"]) == (422, "password_refused")
    answer = client.request("POST", "/v1/passwords", {"link": link, "new_password": NEW_PASSWORD})
    assert (answer.status, answer.json["must_change_password"]) == (200, False)
    assert client.request("GET", "/v1/me").json["session"]["auth_method"] == "link"
    again = client.request("POST", "/v1/passwords", {"link": link, "new_password": NEW_PASSWORD})
    assert (again.status, again.json["code"]) == (410, "link_invalid")


@pytest.mark.parametrize("before", ["https://accounts.example.com/set-password#", " #"])
def test_a_whole_link_is_accepted_as_well_as_its_secret(
    deployment: HttpDeployment, client: HttpClient, before: str
) -> None:
    whole = f"{before}{link_for(deployment)}\n"
    answer = client.request("POST", "/v1/passwords", {"link": whole, "new_password": NEW_PASSWORD})
    assert answer.status == 200


def test_too_many_wrong_passwords_get_a_time_to_retry(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    known = HttpClient(deployment.url()).sign_in_first_time()
    for _ in range(10):
        assert client.sign_in(password="not the password").status == 401
    answer = client.sign_in(password=NEW_PASSWORD)
    assert (answer.status, answer.json["code"]) == (429, "throttled")
    assert 60 < int(answer.headers["retry-after"]) <= 600
    known.request("DELETE", "/v1/sessions/current")
    assert known.sign_in(password=NEW_PASSWORD).status == 200


def test_too_many_wrong_current_passwords_get_a_time_to_retry(client: HttpClient) -> None:
    client.sign_in()
    for _ in range(10):
        assert client.change_password("not the password").status == 401
    answer = client.change_password()
    assert (answer.status, answer.json["code"]) == (429, "throttled")
    assert 60 < int(answer.headers["retry-after"]) <= 600


def test_a_personal_token_has_the_role_of_its_user_until_it_is_revoked(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    make_owners(deployment)
    client.sign_in_first_time()
    answer = client.request("POST", "/v1/me/tokens", {"name": "laptop", "expires_days": 30})
    assert answer.status == 201
    token, created = answer.json["token"], answer.json["created"]
    assert created["used_at"] is None
    assert created["expires_at"] > created["created_at"]
    again = client.request("POST", "/v1/me/tokens", {"name": "laptop"})
    assert (again.status, again.json["code"]) == (400, "config_invalid")
    caller, bearer = HttpClient(deployment.url()), {"Authorization": f"Bearer {token}"}
    assert caller.request("GET", "/v1/users", headers=bearer).status == 200
    listed = client.request("GET", "/v1/me/tokens")
    assert [one["name"] for one in listed.json["tokens"]] == ["laptop"]
    assert token not in listed.text
    path = f"/v1/me/tokens/{created['token_id']}"
    assert (
        HttpClient(deployment.url()).sign_in_first_time("kurt").request("DELETE", path).status
        == 404
    )
    assert client.request("DELETE", path).status == 204
    assert caller.request("GET", "/v1/users", headers=bearer).json["code"] == "not_authenticated"
    assert client.request("GET", "/v1/me/tokens").json == {"tokens": []}
    assert client.request("DELETE", path).status == 404


def test_an_expired_token_is_not_listed(deployment: HttpDeployment, client: HttpClient) -> None:
    make_owners(deployment)
    client.sign_in_first_time()
    client.request("POST", "/v1/me/tokens", {"name": "laptop", "expires_days": 1})
    with closing(deployment.control_plane()) as control_plane, control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1")
    assert client.request("GET", "/v1/me/tokens").json == {"tokens": []}


def test_a_large_body_is_refused_before_it_is_read(visitor: HttpClient) -> None:
    for path in ("/v1/sessions", "/v1/passwords"):
        headers = {"Content-Length": str(16 * 1024 + 1)}
        answer = visitor.request("POST", path, headers=headers)
        assert (answer.status, answer.json["code"]) == (413, "batch_too_large")


def test_a_compressed_body_is_refused_without_authentication(visitor: HttpClient) -> None:
    answer = visitor.request("POST", "/v1/sessions", {}, headers={"Content-Encoding": "gzip"})
    assert "missing required field" in answer.json["detail"]


def test_a_session_cookie_is_no_token_and_a_token_no_session(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    client.sign_in_first_time()
    assert client.request("GET", "/v1/users").status == 401
    token = {"Authorization": f"Bearer {deployment.token}"}
    assert HttpClient(deployment.url()).request("GET", "/v1/me", headers=token).status == 401


def test_an_unknown_session_is_refused_and_in_the_audit_log(
    deployment: HttpDeployment, client: HttpClient
) -> None:
    for cookie in ("", "x", "\xff", "a" * 5000):
        client.cookies = {SESSION: cookie}
        assert client.request("GET", "/v1/me").status == 401
    client.cookies = {}
    with closing(deployment.control_plane()) as control_plane:
        entries = control_plane.audit_log.list(0, 100)
    refused = [entry for entry in entries if entry.event == "access.denied"]
    assert [one.actor for one in refused] == ["anonymous"]
    assert '"call":"GET /v1/me"' in refused[0].data
    verify(entries)


def test_sign_ins_are_counted_by_method_and_result(client: HttpClient) -> None:
    def counted(result: str) -> float:
        text = client.request("GET", "/metrics").text
        name = f'anyscale_sign_ins_total{{method="password",result="{result}"}} '
        found = [line for line in text.splitlines() if line.startswith(name)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    well, wrong = counted("signed_in"), counted("invalid_credentials")
    client.sign_in()
    client.sign_in(password="not the password")
    assert counted("signed_in") == well + 1
    assert counted("invalid_credentials") == wrong + 1


def test_no_representation_of_a_request_shows_a_password_or_a_link() -> None:
    requests = (
        LoginRequest("jane@example.com", PASSWORD),
        ChangePasswordRequest(PASSWORD, NEW_PASSWORD),
        SetPasswordRequest("the secret link", NEW_PASSWORD),
    )
    for one in requests:
        assert repr(one) == f"{type(one).__name__}(...)"
    assert "mrt_secret" not in repr(CreatedToken("mrt_secret", None))  # type: ignore[arg-type]  # the repr has only the class


def test_no_get_changes_anything(deployment: HttpDeployment, client: HttpClient) -> None:
    client.sign_in()
    client.request(
        "PUT", "/v1/me/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )
    link_for(deployment, "kurt")
    before = (deployment.all_rows(), sessions_of(deployment))
    paths = ["/v1/me", "/v1/me/sessions", "/v1/me/tokens", "/", "/password", "/set-password"]
    assert [client.request("GET", path).status for path in paths] == [200] * len(paths)
    assert client.request("GET", "/sign-out").status == 405
    assert (deployment.all_rows(), sessions_of(deployment)) == before


def sessions_of(deployment: HttpDeployment) -> list[str]:
    with closing(deployment.control_plane()) as control_plane, control_plane.store.read() as tx:
        found = execute_sql(tx, "select session_id from sessions union select user_id from links")
        return sorted(str(row[0]) for row in found.fetchall())


def test_me_shows_the_user_and_no_hash(client: HttpClient) -> None:
    client.sign_in()
    user = client.request("GET", "/v1/me").json
    assert user["email"] == "jane@example.com"
    assert "argon2" not in str(user)
    names = {*user, *user["session"]} - {"must_change_password"}
    assert {name for name in names if "hash" in name or "password" in name} == {"has_password"}
