"""Challenges: for one purpose and one browser, and for an hour."""

import time
from collections.abc import Iterator

import pytest

from anyscale.errors import PasskeyRefused
from anyscale.server.core.passkeys.challenges import Challenges, Purpose
from anyscale.server.core.signer import Signer
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.sqlite.store import IN_MEMORY, SqliteStore


@pytest.fixture(scope="module")
def challenges() -> Iterator[Challenges]:
    store = SqliteStore(IN_MEMORY)
    yield Challenges(Signer(Transactions(store), "passkey_challenges"))
    store.close()


def refusal(challenges: Challenges, text: str, purpose: Purpose, browser: str) -> str:
    with pytest.raises(PasskeyRefused) as refused:
        challenges.check(text, purpose, browser)
    return refused.value.reason


def test_a_challenge_is_for_its_purpose_and_its_browser(challenges: Challenges) -> None:
    text = challenges.new(Purpose.SIGN_IN, "mine")

    assert challenges.check(text, Purpose.SIGN_IN, "mine").hash
    for purpose in set(Purpose) - {Purpose.SIGN_IN}:
        assert refusal(challenges, text, purpose, "mine") == "purpose"
    assert refusal(challenges, text, Purpose.SIGN_IN, "another") == "browser"
    assert refusal(challenges, text, Purpose.SIGN_IN, "") == "browser"


def test_no_challenge_is_for_browsers_without_a_cookie(challenges: Challenges) -> None:
    text = challenges.new(Purpose.SIGN_IN, "")
    assert refusal(challenges, text, Purpose.SIGN_IN, "") == "browser"


@pytest.mark.parametrize("text", ["", "A", "é", "!", "AAAA", "A" * 98, "A" * 4096, "\0"])
def test_a_text_that_no_server_of_ours_has_signed_is_refused(
    challenges: Challenges, text: str
) -> None:
    assert refusal(challenges, text, Purpose.SIGN_IN, "mine") == "challenge"


def test_a_challenge_of_another_database_is_refused(challenges: Challenges) -> None:
    store = SqliteStore(IN_MEMORY)
    other = Challenges(Signer(Transactions(store), "passkey_challenges"))
    text = other.new(Purpose.SIGN_IN, "mine")
    store.close()

    assert refusal(challenges, text, Purpose.SIGN_IN, "mine") == "challenge"


def test_a_text_that_was_signed_for_another_use_is_refused(challenges: Challenges) -> None:
    text = challenges.signer.sign(b"short")
    assert refusal(challenges, text, Purpose.SIGN_IN, "mine") == "challenge"


def test_a_challenge_is_valid_for_an_hour_by_clocks_that_differ_by_a_minute(
    challenges: Challenges, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    text = challenges.new(Purpose.SIGN_IN, "mine")

    def at(seconds: float) -> str:
        monkeypatch.setattr(time, "time", lambda: now + seconds)
        try:
            challenges.check(text, Purpose.SIGN_IN, "mine")
        except PasskeyRefused as error:
            return error.reason
        return "accepted"

    ages = (-61, -59, 0, 3599, 3601, 86_400)
    assert [at(age) for age in ages] == ["expired", *["accepted"] * 3, *["expired"] * 2]


def test_what_was_used_is_stored_for_longer_than_it_is_valid(challenges: Challenges) -> None:
    first, second = (challenges.new(Purpose.SIGN_IN, "mine") for _ in range(2))
    one, same, another = (
        challenges.check(text, Purpose.SIGN_IN, "mine") for text in (first, first, second)
    )

    assert one == same
    assert one.hash != another.hash
    assert one.expires_at > time.time() * 1000 + 3_600_000
