"""Errors: pages for browsers, documents for other clients, and texts beside the fields."""

import re

import pytest
from tests.server.http.pages.requests import BROWSER, Come, create_owner, get, send
from tests.support.callers import OPERATOR
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.validation import Policy, check
from anyscale.server.control_plane import ControlPlane
from anyscale.server.http import app as application
from anyscale.server.http.thread_pools import LoginThreadPool, ThreadPools


def test_browsers_get_error_pages_and_other_clients_problem_documents(come: Come) -> None:
    def breaks(control_plane: ControlPlane) -> None:
        control_plane.sessions.list = None  # type: ignore[assignment, method-assign]  # a bug, to be answered

    jane = come(breaks).sign_in_first_time()
    expected = {
        ("GET", "/nowhere"): (404, "There is no such page"),
        ("GET", "/sign-out"): (405, "There is no such page"),
        ("POST", "/sign-in"): (400, "This did not work"),
        ("GET", "/"): (500, "Something went wrong"),
    }
    for (method, path), (status, title) in expected.items():
        answer = jane.request(method, path, headers=BROWSER)
        assert (answer.status, f"<h1>{title}</h1>" in answer.text) == (status, True)
        document = jane.request(method, path)
        assert document.headers["content-type"] == "application/problem+json"
        assert document.json["status"] == status
    answer = get(jane, "/v1/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    fault = get(jane, "/")
    number = fault.headers["x-request-id"][:8]
    assert f'<span translate=no class="code" id="number">{number}</span>' in fault.text
    assert 'data-copy="number"' in fault.text
    assert "NoneType" not in fault.text


def test_a_form_that_is_too_long_is_refused(come: Come) -> None:
    answer = send(come(), "/sign-in", email="x" * 16_384, password="x")
    assert (answer.status, "This is too long" in answer.text) == (413, True)


@pytest.mark.parametrize("body", [b"\xff", b"email=%ff", b"a&" * 100])
def test_a_body_that_is_no_form_is_refused(body: bytes, come: Come) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    jane = come()
    answer = jane.request("POST", "/sign-in", headers=BROWSER | kind, raw=body)
    assert answer.status == 400


def test_an_overloaded_server_shows_a_page_that_asks_to_try_again(
    come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(ThreadPools):
        def __init__(self) -> None:
            super().__init__()
            self.login = LoginThreadPool(1, waiting=-1)

    monkeypatch.setattr(application, "ThreadPools", Full)
    jane = come()
    answer = send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert "The server is busy" in answer.text
    called = jane.sign_in()
    assert (called.status, called.json["code"]) == (429, "overloaded")
    assert called.headers["retry-after"] == "1"
    assert get(jane, "/sign-in").status == 200


def test_user_input_is_escaped_in_pages(come: Come) -> None:
    evil = '<b onmouseover="x">&\''

    def named(control_plane: ControlPlane) -> None:
        user = check(
            Policy(),
            name=evil,
            email="evil@example.com",
            password=PASSWORD,
            is_sso_user=False,
            lastname=evil,
            title=evil,
        )
        assert user
        control_plane.batches.create(OPERATOR, "evil", [user], "fail", [(0, PASSWORD)])
        create_owner(control_plane, "evil")

    jane = come(named)
    answers = [
        send(jane, "/sign-in", email=evil, password="x"),
        send(jane, "/set-password", link=evil, new=NEW_PASSWORD, again=NEW_PASSWORD),
        get(jane, "/sign-in?note=%3Cb%3E&sso=%3Cb%3E&number=%3Cb%20o"),
    ]
    jane.sign_in_first_time("evil")
    answers += [
        get(jane, "/"),
        send(jane, "/console/tokens/new", name=evil, days="30"),
        get(jane, "/"),
    ]
    assert all("<b o" not in answer.text for answer in answers)
    assert "&lt;b onmouseover" in answers[-1].text


#: a form, and the field beside which its error stands
WRONG_FORMS = [
    ("/sign-in", {"email": "", "password": "a password"}, "email", "Enter your email."),
    ("/sign-in", {"email": "jane@example.com", "password": ""}, "password", "Enter your password."),
    (
        "/sign-in",
        {"email": "jane@example.com", "password": "wrong password"},
        "password",
        "Email or password is wrong.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": "password1234", "again": "password1234"},
        "new",
        "The password is on the list of common passwords, which attackers try first.",
    ),
    (
        "/password",
        {
            "current": "wrong password",
            "new": "four grey owls asleep",
            "again": "four grey owls asleep",
        },
        "current",
        "The current password is wrong.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD},
        "new",
        "The new password is the one that you have.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": "four grey owls asleep", "again": "four grey owls"},
        "again",
        "The two new passwords are not the same.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": "password1", "again": "password2"},
        "new",
        (
            "The two new passwords are not the same. "
            "The password is on the list of common passwords, which attackers try first."
        ),
    ),
]


def test_an_error_stands_once_leads_to_its_field_and_no_password_comes_back(come: Come) -> None:
    jane = come(create_owner)
    signed_in = False
    for path, form, field, message in WRONG_FORMS:
        if path != "/sign-in" and not signed_in:
            jane.sign_in_first_time()
            signed_in = True
        page = send(jane, path, **form).text
        assert f'<p id="problem-text"><a href="#{field}">{message}</a></p>' in page
        assert len(re.findall(f">[^<]*{re.escape(message)}", page)) == 1
        (wrong,) = re.findall(r"<input [^>]*aria-invalid[^>]*>", page)
        assert f'id="{field}"' in wrong
        assert re.findall("<[^>]* autofocus[^>]*>", page) == [wrong]
        described = re.findall(r'aria-describedby="([^"]*)"', wrong)[0].split()
        assert "problem-text" in described
        assert all(f'id="{one}"' in page for one in described)
        sent = {form.get(name) for name in ("password", "current", "new", "again")}
        assert not [text for text in sent if text and text in page]
