"""The page that sends a link by mail: its answers, and where it is."""

import pytest
from tests.server.http.pages.requests import PUBLIC, Come, get, send
from tests.support.mail.sending import UNUSED_RELAY
from tests.support.servers.http_client import HttpClient, HttpResponse

from anyscale.domain.validation import Policy


@pytest.fixture
def jane(come: Come) -> HttpClient:
    """A browser at a control plane that sends mail."""
    return come(mail=UNUSED_RELAY, public_url=PUBLIC)


def follow(browser: HttpClient, answer: HttpResponse) -> HttpResponse:
    assert answer.status == 303
    return get(browser, answer.headers["location"])


def seen(answer: HttpResponse) -> tuple[int, list[tuple[str, str]], str]:
    """What of an answer a client may compare with that of another email."""
    ignored = {"date", "x-request-id", "content-security-policy"}
    kept = [(name, text) for name, text in answer.headers.items() if name.lower() not in ignored]
    return answer.status, sorted(kept), answer.text


def test_the_answer_is_the_same_whether_the_email_has_an_account_or_not(jane: HttpClient) -> None:
    answers = [
        send(jane, "/forgot-password", email=email)
        for email in ("jane@example.com", "jean@example.com")
    ]
    assert seen(answers[0]) == seen(answers[1])
    text = follow(jane, answers[0]).text
    assert "If there is an account with this email" in text


def test_a_limit_answers_the_same_for_both_and_says_when_to_try_again(jane: HttpClient) -> None:
    refused = []
    for email in ("jane@example.com", "jean@example.com"):
        answers = [send(jane, "/forgot-password", email=email) for _ in range(4)]
        assert [answer.status for answer in answers] == [303, 303, 303, 429]
        assert "try again in 60 minutes" in answers[-1].text
        refused.append(seen(answers[-1])[2].replace(email, ""))
        assert 3540 < int(answers[-1].headers["retry-after"]) <= 3600
    assert refused[0] == refused[1]


@pytest.mark.parametrize(
    ("email", "problem"), [("", "Enter your email."), ("jane", "This is not an email: it has the")]
)
def test_what_is_no_email_is_named(jane: HttpClient, email: str, problem: str) -> None:
    answer = send(jane, "/forgot-password", email=email)
    assert answer.status in (400, 422)
    assert problem in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_blank_beside_the_email_is_ignored(jane: HttpClient) -> None:
    assert send(jane, "/forgot-password", email=" jane@example.com ").status == 303


def test_the_sign_in_page_and_a_dead_link_lead_to_the_page(jane: HttpClient) -> None:
    dead = send(jane, "/set-password", link="x", new="", again="")
    for page in (get(jane, "/sign-in"), dead):
        assert 'href="/forgot-password"' in page.text
        assert "Your administrator can send you" not in page.text


@pytest.mark.parametrize(
    "settings",
    [{}, {"mail": UNUSED_RELAY, "public_url": PUBLIC, "policy": Policy(sso_only=True)}],
    ids=["no relay", "only SSO"],
)
def test_there_is_no_such_page(come: Come, settings: dict[str, object]) -> None:
    browser = come(**settings)
    assert get(browser, "/forgot-password").status == 404
    assert send(browser, "/forgot-password", email="jane@example.com").status == 404
    assert "/forgot-password" not in get(browser, "/sign-in").text
