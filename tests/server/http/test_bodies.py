"""Bodies of requests: all problems are reported at once, and sizes are limited."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.users import POLICY

from anyscale.domain.schemas.batches import BatchCreate, LookUp, UserChunk
from anyscale.domain.schemas.users import FindUsers
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, Problem, RequestInvalid, TooLarge
from anyscale.server.http.api.user_bodies import check_users, decode_users
from anyscale.server.http.bodies import decode
from anyscale.server.http.middleware.gzip_requests import MAX_BODY

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELD = st.sampled_from(
    ["name", "email", "password", "is_sso_user", "lastname", "title", "has_password", "nmae"]
)
USER = JSON | st.dictionaries(FIELD, JSON | st.just("jane@example.com"))


@given(st.lists(USER, max_size=3), st.sampled_from([BatchCreate, UserChunk, LookUp]))
def test_a_body_with_any_users_is_decoded_or_refused_by_field(users: list[Any], kind: Any) -> None:
    body = json.dumps({"create_users": users}).encode()
    problems: list[Problem] = []
    try:
        read = decode_users(body, kind, POLICY)
    except BatchRefused as refused:
        problems = refused.problems
    else:
        assert len(read.create_users) == len(users)
        return
    assert problems
    assert all(0 <= (problem.index or 0) < len(users) for problem in problems)


@given(st.binary(max_size=60), st.sampled_from([BatchCreate, UserChunk, LookUp]))
def test_a_body_of_any_octets_is_decoded_or_refused(body: bytes, kind: Any) -> None:
    with pytest.raises((RequestInvalid, BatchRefused)):
        decode_users(body, kind, POLICY)


def test_each_wrong_value_is_named() -> None:
    users = [{"name": 1, "email": "foo", "pasword": "secret"}, {"email": "a@x.org"}, 7]
    with pytest.raises(BatchRefused) as refused:
        decode_users(json.dumps({"create_users": users}).encode(), BatchCreate, POLICY)
    assert {(p.index, p.field, p.code) for p in refused.value.problems} == {
        (0, "name", "type"),
        (0, "pasword", "unknown_key"),
        (0, "email", "email_invalid"),
        (1, "name", "required"),
        (2, None, "type"),
    }
    assert "secret" not in str(refused.value)


def test_a_misspelt_key_is_refused_with_the_key_that_was_meant() -> None:
    users = [{"name": "a", "email": "a@x.org", "Titel": "b", "floor": 7}]
    with pytest.raises(BatchRefused) as refused:
        decode_users(json.dumps({"create_users": users}).encode(), BatchCreate, POLICY)
    details = [problem.detail for problem in refused.value.problems]
    assert details[0] == "is not a key of a user: did you mean 'title'?"
    assert details[1].startswith("is not a key of a user; there are name, email, ")


def test_an_unknown_key_is_shown_up_to_64_characters() -> None:
    users = [{"name": "a", "email": "a@x.org", "k" * 64: 1, "l" * 65: 1}]
    with pytest.raises(BatchRefused) as refused:
        decode_users(json.dumps({"create_users": users}).encode(), BatchCreate, POLICY)
    assert [problem.field for problem in refused.value.problems] == ["k" * 64, "l" * 64]


def test_the_rules_are_the_same_as_in_the_client() -> None:
    users = [{"name": "a", "email": "a@x.org", "password": "short"}, {"name": " ", "email": "b"}]
    read = decode_users(json.dumps({"create_users": users}).encode(), BatchCreate, POLICY)
    with pytest.raises(BatchRefused) as refused:
        check_users(read.create_users, Policy())
    assert [(p.index, p.field) for p in refused.value.problems] == [
        (0, "password"),
        (1, "name"),
        (1, "email"),
    ]


def test_too_many_users_are_refused_before_they_are_checked() -> None:
    for user in ({"name": "a", "email": "a@x.org"}, {"name": 1}):
        with pytest.raises(TooLarge):
            decode_users(json.dumps({"create_users": [user] * 4}).encode(), UserChunk, POLICY)


@pytest.mark.parametrize(
    "decode_body",
    [lambda body: decode_users(body, UserChunk, Policy()), lambda body: decode(body, FindUsers)],
    ids=["users", "emails"],
)
def test_a_body_with_too_many_values_is_refused_before_it_takes_memory(
    decode_body: Callable[[bytes], object],
) -> None:
    values = b",".join([b'{"a":1}', b'"ab"', b'{"name":"","email":""}'] * 80_000)
    body = b'{"create_users":[%s],"emails":[%s]}' % (values, values)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="more values than a chunk of 10000 users"):
        decode_body(body)
    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(body)


def test_commas_and_brackets_in_texts_are_not_values() -> None:
    users = [{"name": '\\"' + "[{," * 84, "email": f"{n}@x.org"} for n in range(2_000)]
    read = decode_users(json.dumps({"create_users": users}).encode(), UserChunk, Policy())
    assert len(read.create_users) == 2_000


def test_a_long_text_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(RequestInvalid):
        decode_users(b'"' + b'[\\"' * 450_000, UserChunk, Policy())


# Over HTTP


@pytest.fixture(scope="module")
def served(new_deployment: NewDeployment) -> Iterator[tuple[str, dict[str, str]]]:
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        yield deployment.url(), {"Authorization": f"Bearer {deployment.token}"}


def post(served: tuple[str, dict[str, str]], body: bytes, **headers: str) -> tuple[int, Any]:
    url, token = served
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = urllib3.request(
        "POST", f"{url}/v1/users:batchCreate", body=body, headers=token | more, retries=False
    )
    return answer.status, answer.json()


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 50_000], ids=["lists", "objects"])
@pytest.mark.parametrize(
    "call",
    [
        "POST /v1/batches",
        "POST /v1/batches/bat_1/publish",
        "POST /v1/batches/bat_1/undo",
        "POST /v1/batches/bat_1/passwords",
        "PUT /v1/batches/bat_1/chunks/0",
        "PUT /v1/users/usr_1/role",
        "PATCH /v1/users/usr_1",
        "POST /v1/users:batchCreate",
        "POST /v1/users:changeEmails",
        "POST /v1/users:find",
        "POST /v1/users:lookUp",
        "POST /v1/users:setPasswordLinks",
    ],
)
def test_nested_json_is_refused(served: tuple[str, dict[str, str]], call: str, body: bytes) -> None:
    url, token = served
    method, path = call.split()
    headers = token | {"Idempotency-Key": "nested"}
    answer = urllib3.request(method, url + path, body=body, headers=headers, retries=False)
    assert (answer.status, answer.json()["code"]) == (400, "request_invalid")


def patch(served: tuple[str, dict[str, str]], user_id: str, body: Any) -> tuple[int, Any]:
    url, token = served
    path = f"{url}/v1/users/{user_id}"
    data = json.dumps(body).encode()
    answer = urllib3.request("PATCH", path, body=data, headers=token, retries=False)
    return answer.status, answer.json()


def test_a_patch_leaves_absent_fields_and_clears_those_that_are_null(
    served: tuple[str, dict[str, str]],
) -> None:
    user = {"name": "Pat", "email": "pat@example.com", "lastname": "Doe", "title": "CTO"}
    _, created = post(served, json.dumps({"create_users": [user]}).encode())
    user_id = created["users"][0]["user_id"]

    assert patch(served, user_id, {"title": None})[1]["user"]["title"] is None
    status, updated = patch(served, user_id, {"name": "Patty"})

    shown = {"name": "Patty", "lastname": "Doe", "title": None, "is_sso_user": False}
    assert status == 200
    assert updated["has_password"] is False
    assert updated["user"].items() >= shown.items()
    url, token = served
    listed = urllib3.request("GET", f"{url}/v1/users?email=pat@", headers=token).json()["users"]
    assert listed == [updated["user"]]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"nmae": "Pat"}, "Object contains unknown field `nmae`"),
        ({"email": None}, "Expected `str`, got `null` - at `$.email`"),
        ({"name": None}, "Expected `str`, got `null` - at `$.name`"),
        ({"title": 7}, "Expected `str | null`, got `int` - at `$.title`"),
        ({"is_sso_user": "yes"}, "Expected `bool`, got `str` - at `$.is_sso_user`"),
        ({"is_sso_user": None}, "Expected `bool`, got `null` - at `$.is_sso_user`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_patch_with_another_field_or_type_is_refused_and_names_it(
    served: tuple[str, dict[str, str]], body: Any, detail: str
) -> None:
    status, document = patch(served, "usr_1", body)
    assert (status, document["code"]) == (400, "request_invalid")
    assert detail in document["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "there is nothing to change"),
        ({"name": "a\u202eb"}, "U+202E"),
        ({"title": "\0"}, "U+0000"),
    ],
)
def test_a_patch_with_a_wrong_value_is_refused_and_names_it(
    served: tuple[str, dict[str, str]], body: Any, detail: str
) -> None:
    status, document = patch(served, "usr_1", body)
    assert (status, document["code"]) == (400, "config_invalid")
    assert detail in document["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "detail"),
    [
        ("POST", "batches/bat_1/undo", {"force": 1}, "Expected `bool`, got `int` - at `$.force`"),
        ("POST", "batches/bat_1/undo", {"dry-run": True}, "unknown field `dry-run`"),
        ("POST", "batches/bat_1/publish", {"entries": "2"}, "Expected `int`, got `str`"),
        ("POST", "batches/bat_1/publish", {"entries": -1}, "Expected `int` >= 0"),
        ("POST", "batches/bat_1/publish", {"entries": 0, "wait": 1}, "unknown field `wait`"),
        ("POST", "batches", {"if_exist": "skip"}, "unknown field `if_exist`"),
        ("PUT", "users/usr_1/role", {"role": "owner", "until": "2027"}, "unknown field `until`"),
        ("POST", "batches/bat_1/passwords", {"passwords": [[-1, "x"]]}, "Expected `int` >= 0"),
    ],
)
def test_another_field_or_type_is_refused_by_its_name(
    served: tuple[str, dict[str, str]], method: str, path: str, body: Any, detail: str
) -> None:
    url, token = served
    headers = token | {"Idempotency-Key": "strict"}
    answer = urllib3.request(method, f"{url}/v1/{path}", body=json.dumps(body), headers=headers)
    document = answer.json()
    assert (answer.status, document["code"]) == (400, "request_invalid")
    assert detail in document["detail"]


def test_a_batch_is_opened_with_a_key(served: tuple[str, dict[str, str]]) -> None:
    url, token = served
    answer = urllib3.request("POST", f"{url}/v1/batches", body="{}", headers=token)
    document = answer.json()
    assert (answer.status, document["code"]) == (400, "request_invalid")
    assert document["detail"] == "the header Idempotency-Key is missing"


@pytest.mark.parametrize("first", [-1, 2**32, 2**63])
def test_a_look_up_begins_at_a_position_of_a_batch(
    served: tuple[str, dict[str, str]], first: int
) -> None:
    url, token = served
    body = json.dumps({"create_users": [{"name": "a", "email": "a@x.org"}], "first": first})
    answer = urllib3.request("POST", f"{url}/v1/users:lookUp", body=body, headers=token)
    assert (answer.status, answer.json()["code"]) == (400, "request_invalid")


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é", "a\tb"])
def test_an_idempotency_key_has_1_to_200_visible_characters(
    served: tuple[str, dict[str, str]], key: str
) -> None:
    for body in (WHOLE, WHOLE):
        status, document = post(served, body, Content_Encoding="gzip", Idempotency_Key=key)
        assert (status, document["code"]) == (400, "request_invalid")
    whole = "".join(map(chr, range(0x21, 0x7F)))
    assert post(served, WHOLE, Content_Encoding="gzip", Idempotency_Key=whole)[0] == 200


@pytest.mark.parametrize("character", ["\0", "\n", "\x07", "\x9f", "\u202e", "\u2028"])
def test_a_password_of_a_chunk_holds_no_character_that_a_users_file_may_not_have(
    served: tuple[str, dict[str, str]], character: str
) -> None:
    url, token = served
    headers = token | {"Idempotency-Key": f"character-{ord(character)}"}
    email = f"character-{ord(character)}@example.com"

    def call(method: str, path: str, document: Any) -> Any:
        body = json.dumps(document)
        answer = urllib3.request(method, url + path, body=body, headers=headers, retries=False)
        return answer.status, answer.json()

    batch = f"/v1/batches/{call('POST', '/v1/batches', {})[1]['batch_id']}"
    user = {"name": "Jane", "email": email, "has_password": True}
    assert call("PUT", f"{batch}/chunks/0", {"create_users": [user]})[0] == 200
    passwords = [[0, f"correct horse{character}battery"]]
    status, document = call("POST", f"{batch}/passwords", {"passwords": passwords})
    problems = [(p["index"], p["field"], p["code"]) for p in document["problems"]]
    assert (status, problems) == (422, [(0, "password", "character")])
    small = {"name": "Jane", "email": email, "password": passwords[0][1]}
    status, other = call("POST", "/v1/users:batchCreate", {"create_users": [small]})
    assert (status, other["problems"]) == (422, document["problems"])


def test_a_decompression_bomb_is_refused(served: tuple[str, dict[str, str]]) -> None:
    bomb = gzip.compress(b" " * (MAX_BODY + 1))
    assert len(bomb) < 100_000
    status, document = post(served, bomb, Content_Encoding="gzip")
    assert (status, document["code"]) == (413, "batch_too_large")


WHOLE = gzip.compress(b'{"create_users":[]}', mtime=0)


@pytest.mark.parametrize(
    "body",
    [b"no gzip", WHOLE[:-9], WHOLE + b"more", WHOLE + WHOLE],
    ids=["no gzip", "cut", "more", "twice"],
)
def test_a_damaged_gzip_body_is_refused(served: tuple[str, dict[str, str]], body: bytes) -> None:
    status, document = post(served, body, Content_Encoding="gzip")
    assert (status, document["code"]) == (400, "request_invalid")


def test_a_compressed_body_is_decoded(served: tuple[str, dict[str, str]]) -> None:
    status, document = post(served, WHOLE, Content_Encoding="gzip")
    assert (status, document["users"]) == (200, [])


def test_a_body_with_a_too_large_content_length_is_not_read(
    served: tuple[str, dict[str, str]],
) -> None:
    url, token = served
    headers = token | {"Content-Length": str(MAX_BODY + 1)}
    connection = urllib3.connection_from_url(url)
    answer = connection.urlopen(
        "POST", "/v1/users:batchCreate", body=b"{", headers=headers, retries=False, timeout=10
    )
    assert answer.status == 413


@pytest.mark.parametrize("query", ["", "&email=a@x.org&name=Jane", "&email=a@x.org&suspended=true"])
def test_an_exact_match_takes_one_parameter(query: str, served: tuple[str, dict[str, str]]) -> None:
    url, token = served
    path = f"{url}/v1/users?match=exact{query}"
    answer = urllib3.request("GET", path, headers=token, retries=False)
    assert (answer.status, answer.json()["code"]) == (400, "request_invalid")
    assert "of either an email or a name, and of nothing else" in answer.json()["detail"]


def test_a_nul_character_in_an_id_is_refused(served: tuple[str, dict[str, str]]) -> None:
    url, token = served
    for path in ("/v1/batches/a%00b", "/v1/users?email=a%00"):
        answer = urllib3.request("GET", url + path, headers=token, retries=False)
        assert answer.status == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in ("session_id=ses_%00", "session_id=ses_\0", "email=a%00&password=b"):
        answer = urllib3.request("POST", f"{url}/sign-in", body=body, headers=form)
        assert (answer.status, answer.json()["code"]) == (400, "request_invalid")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=5001", "limit must be at most 5000"),
        ("limit=0", "limit must be at least 1"),
        ("limit=many", "limit: Expected `int`, got `str`"),
        ("search=" + "x" * 257, "search must have at most 256 characters"),
    ],
    ids=["large", "small", "no number", "long"],
)
def test_a_parameter_out_of_its_range_is_refused_with_the_range(
    served: tuple[str, dict[str, str]], query: str, detail: str
) -> None:
    url, token = served
    answer = urllib3.request("GET", f"{url}/v1/users?{query}", headers=token)
    assert (answer.status, answer.json()["detail"]) == (400, detail)


def test_an_unknown_path_is_refused_with_where_the_known_ones_are(
    served: tuple[str, dict[str, str]],
) -> None:
    url, token = served
    answer = urllib3.request("GET", f"{url}/v1/people", headers=token)
    detail = "the server has no such path: /openapi.json describes those that it has"
    assert (answer.status, answer.json()["detail"]) == (404, detail)
    assert urllib3.request("GET", f"{url}/openapi.json").status == 200
