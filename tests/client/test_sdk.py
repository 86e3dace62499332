"""`anyscale.user` in Python, on the embedded control plane."""

import logging
import os
import pickle
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from tests.support.users import checked_users

import anyscale
from anyscale.errors import (
    BatchGone,
    BatchRefused,
    ConfigError,
    EmailFreed,
    EmailTaken,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
    NotFound,
    UserAmbiguous,
)
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.user.models import AdminCreatedUser, AdminCreateUser, User


def people(count: int, tag: str = "p") -> list[AdminCreateUser]:
    return [AdminCreateUser(f"Name {i}", f"{tag}{i}@example.com") for i in range(count)]


@pytest.mark.parametrize("count", [1, 999, 2_500])
def test_the_result_is_in_the_order_of_the_input(count: int) -> None:
    users = people(count)[::-1]

    created = anyscale.user.admin_batch_create(users)

    assert isinstance(created, list)
    assert [user.email for user in created] == [user.email for user in users]
    assert all(isinstance(user, AdminCreatedUser) for user in created)
    assert len({user.user_id for user in created}) == count
    assert all(user.user_id.startswith("usr_") for user in created)
    assert created.skipped == []
    assert created.batch_id
    assert created.batch_id.startswith("bat_")


def frames_of(error: BaseException) -> str:
    """Return the local variables of all frames of an error and of its causes, of our modules."""
    texts, seen, errors = [], set(), [error]
    while errors:
        one = errors.pop()
        seen.add(id(one))
        errors += [e for e in (one.__cause__, one.__context__) if e and id(e) not in seen]
        trace = one.__traceback__
        while trace:
            if "test_sdk" not in trace.tb_frame.f_code.co_filename:
                texts.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
    return "\n".join(texts)


def test_the_frames_of_an_error_have_no_password(configured_server: object) -> None:
    users = [AdminCreateUser("Ann", "ann@example.com", password="zq-canary-19")]
    anyscale.user.admin_batch_create(users)
    for host in (None, "embedded"):
        calls = anyscale.Anyscale(host=host).user
        if host:
            calls.admin_batch_create(users)
        with pytest.raises(BatchRefused) as refused:
            calls.admin_batch_create(users)
        assert "zq-canary" not in frames_of(refused.value)


@pytest.mark.parametrize("call", ["admin_batch_create", "verify", "sync"])
def test_the_frames_of_a_wrong_argument_have_no_password(call: str) -> None:
    user = {"name": "Ann", "email": "ann@example.com", "password": "zq-canary-19"}
    for argument in ([user], [AdminCreateUser("Ben", "ben@example.com"), user], user):
        with pytest.raises(TypeError, match=r"AdminCreateUser\(\*\*user\)") as wrong:
            getattr(anyscale.user, call)(argument)
        assert "zq-canary" not in frames_of(wrong.value)


@pytest.mark.parametrize("arguments", [{"host": ""}, {"host": " "}, {"token": ""}])
def test_an_explicit_empty_host_or_token_is_an_error(arguments: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="= is empty"):
        list(anyscale.Anyscale(**arguments).user.list())


def test_large_numbers_of_items_and_strange_ids_are_no_fault_of_the_program() -> None:
    created = anyscale.user.admin_batch_create(people(2))
    assert len(list(anyscale.batch.list(max_items=10**20))) == 1
    assert list(anyscale.batch.list(max_items=0)) == []
    for call in (anyscale.batch.show, anyscale.batch.drop, anyscale.batch.undo):
        with pytest.raises(NotFound):
            call("\ud800")
    for user_id in ("\ud800", "usr_\ud800"):
        with pytest.raises(anyscale.errors.AnyscaleError):
            anyscale.user.get(user_id=user_id)
    assert anyscale.user.get(user_id=created[0].user_id).email == created[0].email


def test_created_at_is_one_aware_moment_in_utc() -> None:
    first, second = anyscale.user.admin_batch_create(people(2))

    assert first.created_at == second.created_at
    assert first.created_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - first.created_at) < timedelta(minutes=1)


def test_any_iterable_is_accepted() -> None:
    created = anyscale.user.admin_batch_create(user for user in people(3))

    assert len(created) == 3


def test_an_element_that_is_no_user_is_a_type_error() -> None:
    with pytest.raises(TypeError) as caught:
        anyscale.user.admin_batch_create([*people(1), {"name": "x"}])  # type: ignore[list-item]  # the mistake that is tested

    mend = "write AdminCreateUser(**user)"
    assert str(caught.value) == f"admin_create_users[1] must be AdminCreateUser, not dict: {mend}"


@pytest.mark.parametrize("call", ["admin_batch_create", "verify"])
@pytest.mark.parametrize(
    ("argument", "what"),
    [
        (AdminCreateUser("Jane", "jane@example.com"), "AdminCreateUser: put it in a list"),
        (None, "NoneType"),
        (5, "int"),
        ("staff.xlsx", "str: open a file by `users_file`"),
        (PurePosixPath("staff.xlsx"), "PurePosixPath: open a file by `users_file`"),
        (StringIO("name,email"), "StringIO: open a file by `users_file`"),
        ({"name": "Jane", "email": "jane@example.com"}, "dict: write AdminCreateUser(**user)"),
    ],
)
def test_an_argument_that_is_no_list_is_a_type_error(call: str, argument: Any, what: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(anyscale.user, call)(argument)

    assert str(caught.value) == f"admin_create_users must be a list of AdminCreateUser, not {what}"


def test_a_fault_of_a_generator_of_users_is_raised_as_it_is() -> None:
    users = (AdminCreateUser(name, "jane@example.com") for name in [5])  # type: ignore[arg-type]  # the mistake that is tested

    with pytest.raises(TypeError, match="name must be str, not int"):
        anyscale.user.admin_batch_create(users)


def test_a_dry_run_is_true_or_false(data: Path) -> None:
    with pytest.raises(TypeError, match="dry_run must be bool, not str"):
        anyscale.user.admin_batch_create(people(1), dry_run="no")  # type: ignore[arg-type]  # the mistake that is tested
    assert not data.exists()


def test_a_refused_call_says_how_python_drops_the_batch_that_reserves_an_email(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(EmbeddedTransport.from_environment(os.environ)) as transport:
        batch = transport.batches.open("other", "fail")
        transport.batches.reserve(batch.batch_id, 0, checked_users("p0"))
    with caplog.at_level(logging.INFO, "anyscale"), pytest.raises(BatchRefused) as caught:
        anyscale.user.admin_batch_create(people(1), dry_run=True)
    assert f'or drop it by `batch.drop("{batch.batch_id}")`.' in caplog.messages[-1]
    (problem,) = caught.value.problems
    assert f"which {batch.opened_by} opened at " in problem.detail
    anyscale.batch.drop(batch.batch_id)
    anyscale.user.admin_batch_create(people(1))


def test_a_comparison_with_a_wrong_entry_says_that_nothing_was_compared() -> None:
    with pytest.raises(BatchRefused) as caught:
        list(anyscale.user.verify([AdminCreateUser("Jane", "jane")]))

    assert str(caught.value) == (
        "1 problem, nothing was compared:\ncreate_users[0].email: 'jane' is not an email address"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_empty_list_creates_nobody_and_no_database(data: Path) -> None:
    created = anyscale.user.admin_batch_create([])

    assert created == []
    assert created.batch_id is None
    assert not data.exists()


@pytest.mark.parametrize("extra", [0, 1_500])
def test_one_error_names_every_entry_that_is_wrong(extra: int) -> None:
    users = [
        *people(extra),
        AdminCreateUser(" ", "foo"),
        AdminCreateUser("ok", "ok@example.com"),
        AdminCreateUser("again", "OK@example.com", password="short"),
    ]

    with pytest.raises(BatchRefused) as caught:
        anyscale.user.admin_batch_create(users)

    found = [(p.index, p.field, p.code, p.file, p.line) for p in caught.value.problems]
    assert found == [
        (extra, "name", "blank", None, None),
        (extra, "email", "email_invalid", None, None),
        (extra + 2, "password", "password_too_short", None, None),
        (extra + 2, "email", "email_duplicate", None, None),
    ]
    assert list(anyscale.user.list()) == []


@pytest.mark.parametrize("count", [3, 1_500])
def test_skip_skips_existing_users_and_the_counts_add_up(count: int) -> None:
    anyscale.user.admin_batch_create([AdminCreateUser("Old", "P1@EXAMPLE.com")])

    created = anyscale.user.admin_batch_create(people(count), if_exists="skip")

    assert created.skipped == [{"index": 1, "email": "p1@example.com"}]
    assert len(created) == count - 1
    assert anyscale.user.get(email="p1@example.com").name == "Old"


def test_emails_that_exist_refuse_the_batch() -> None:
    anyscale.user.admin_batch_create(people(2))

    with pytest.raises(BatchRefused) as caught:
        anyscale.user.admin_batch_create(people(3))

    assert [(p.index, p.code) for p in caught.value.problems] == [
        (0, "email_exists"),
        (1, "email_exists"),
    ]
    assert not caught.value.input_is_at_fault
    assert len(list(anyscale.user.list())) == 2


def test_two_spellings_of_a_domain_are_one_email() -> None:
    anyscale.user.admin_batch_create([AdminCreateUser("J", "jürgen@bücher.example")])

    with pytest.raises(BatchRefused):
        anyscale.user.admin_batch_create([AdminCreateUser("J", "JÜRGEN@xn--bcher-kva.example")])

    assert anyscale.user.get(email="jürgen@XN--bcher-kva.example").email == "jürgen@bücher.example"


@pytest.mark.parametrize("count", [2, 1_500])
def test_the_same_key_gives_the_same_answer(count: int) -> None:
    first = anyscale.user.admin_batch_create(people(count), idempotency_key="monday")

    second = anyscale.user.admin_batch_create(people(count), idempotency_key="monday")

    assert second == first
    assert second.batch_id == first.batch_id
    with pytest.raises(KeyReused):
        anyscale.user.admin_batch_create(people(count, "other"), idempotency_key="monday")


@pytest.mark.parametrize(
    "key", ["", "a b", "a\nb", "\0", "日本", "\ud800", "x" * 201, 5, True, b"abc"]
)
@pytest.mark.parametrize("served", [False, True])
def test_an_idempotency_key_has_1_to_200_visible_characters(
    key: object, served: bool, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    if served:
        monkeypatch.setenv("ANYSCALE_HOST", "http://127.0.0.1:1")
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", "mrt_unused")
    message = "idempotency_key must be a text of 1 to 200 visible ASCII characters"
    with pytest.raises(ConfigError, match=message):
        anyscale.user.admin_batch_create(people(1), idempotency_key=key)  # type: ignore[arg-type]  # a wrong type is refused
    assert not list(home.iterdir())


@pytest.mark.parametrize("count", [2, 1_500])
def test_a_dry_run_reports_the_result_and_writes_nothing(
    count: int, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "anyscale"):
        result = anyscale.user.admin_batch_create(people(count), dry_run=True)

    assert result == []
    assert result.batch_id is None
    assert caplog.messages == ["Checking users...", f"{count:,} users would be created."]
    assert not list(home.iterdir())


@pytest.mark.parametrize("count", [2, 1_200])
def test_a_dry_run_with_the_key_of_a_published_batch_says_what_the_call_would_say(
    count: int,
) -> None:
    users = [AdminCreateUser("Jane", f"u{at}@example.com") for at in range(count)]
    anyscale.user.admin_batch_create(users, idempotency_key="k")

    again = anyscale.user.admin_batch_create(users, idempotency_key="k", dry_run=True)

    assert (again, again.batch_id) == ([], None)
    others = [*users[1:], AdminCreateUser("Joe", "u0@example.com")]
    for dry_run in (True, False):
        with pytest.raises(KeyReused):
            anyscale.user.admin_batch_create(others, idempotency_key="k", dry_run=dry_run)
        with pytest.raises(KeyReused):
            anyscale.user.admin_batch_create(
                users, idempotency_key="k", if_exists="skip", dry_run=dry_run
            )
    with pytest.raises(BatchRefused):
        anyscale.user.admin_batch_create(users, dry_run=True)


def test_the_logger_names_the_database_before_the_first_write(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "anyscale"):
        anyscale.user.admin_batch_create(people(1))

    assert caplog.messages == [
        "Creating users...",
        f"Using the control plane at {data / 'anyscale.db'}",
        "1 user created.",
    ]


def test_an_operator_can_switch_the_feature_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_BATCH_CREATE", "off")

    for dry_run in (False, True):
        with pytest.raises(FeatureUnavailable, match="only available on customer-hosted clouds"):
            anyscale.user.admin_batch_create(people(1), dry_run=dry_run)

    assert FeatureUnavailable.code == "feature_unavailable"
    assert FeatureUnavailable.status == 403


def test_list_filters_and_stops() -> None:
    anyscale.user.admin_batch_create(
        [
            AdminCreateUser("Ann Bee", "ann@one.example"),
            AdminCreateUser("Émile", "emile@two.example"),
            AdminCreateUser("BEEN", "been@two.example"),
        ]
    )

    def emails(**filters: object) -> list[str]:
        return [user.email for user in anyscale.user.list(**filters)]  # type: ignore[arg-type]  # a mapping of the filters

    assert emails() == ["ann@one.example", "emile@two.example", "been@two.example"]
    assert emails(page_size=1) == emails()
    assert emails(email="@TWO.") == ["emile@two.example", "been@two.example"]
    assert emails(name="bee") == ["ann@one.example", "been@two.example"]
    assert emails(name="ÉMILE") == ["emile@two.example"]
    assert emails(email="two", name="bee") == ["been@two.example"]
    assert emails(max_items=2) == emails()[:2]
    assert emails(max_items=0) == []
    assert emails(name="%") == []
    with pytest.raises(ConfigError):
        emails(page_size=0)


def test_list_goes_from_either_end_and_by_role_and_credentials() -> None:
    anyscale.user.admin_batch_create(
        [
            AdminCreateUser("A", "a@example.com", is_sso_user=True),
            AdminCreateUser("B", "b@example.com", "correct horse battery"),
            AdminCreateUser("C", "c@example.com"),
        ]
    )
    anyscale.user.set_role(email="c@example.com", role="owner")

    def letters(**filters: Any) -> str:
        return "".join(user.email[0] for user in anyscale.user.list(**filters))

    assert letters(newest_first=True) == "cba"
    assert letters(newest_first=True, max_items=2, page_size=1) == "cb"
    assert letters(role="owner") == "c"
    assert letters(role="collaborator") == "ab"
    assert letters(sso=True) == "a"
    assert letters(without_credentials=True) == "ac"
    assert letters(without_second_factor=True, role="collaborator") == "ab"
    with pytest.raises(ConfigError, match="role must be 'owner' or 'collaborator', not 'admin'"):
        letters(role="admin")
    with pytest.raises(TypeError, match="newest_first must be bool, not str"):
        letters(newest_first="no")


def test_list_searches() -> None:
    anyscale.user.admin_batch_create(
        [
            AdminCreateUser("Joanna", "joanna@example.com"),
            AdminCreateUser("Anna", "x@example.com", lastname="Lee"),
            AdminCreateUser("Bob", "anna@example.com"),
        ]
    )

    def names(search: str, **filters: Any) -> list[str]:
        return [user.name for user in anyscale.user.list(search=search, **filters)]

    assert sorted(names("anna")) == ["Anna", "Bob", "Joanna"]
    assert names("anna lee", page_size=1) == ["Anna"]
    assert names("anna", max_items=0) == []
    assert names("nobody") == []
    for search in ("", " \t"):
        with pytest.raises(ConfigError, match="search is blank: give at least one character"):
            names(search)
    for other in ({"email": "a"}, {"name": "a"}, {"newest_first": True}):
        with pytest.raises(
            ConfigError,
            match=r"^search (looks at|lists) .*: leave out",
        ):
            names("a", **other)
    for long, message in (("a" * 257, "at most 256 characters"), ("a " * 25, "24 words, not 25")):
        with pytest.raises(ConfigError, match=message):
            names(long)
    with pytest.raises(ConfigError, match="search is not UTF-8 text"):
        names("\ud800")


def test_list_can_return_suspended_users_only() -> None:
    anyscale.user.admin_batch_create(people(5))
    for number in (3, 1, 0):
        anyscale.user.suspend(email=f"p{number}@example.com")
    anyscale.user.restore(email="p1@example.com")

    suspended = list(anyscale.user.list(suspended=True, page_size=1))

    assert [user.email for user in suspended] == ["p0@example.com", "p3@example.com"]
    assert all(abs(datetime.now(UTC) - _when(user)) < timedelta(minutes=1) for user in suspended)
    assert anyscale.user.get(email="p3@example.com") == suspended[1]
    assert list(anyscale.user.list(suspended=True, email="P0", max_items=1)) == suspended[:1]
    assert [user.suspended_at is None for user in anyscale.user.list()] == [
        *(False, True, True, False, True),
    ]


def _when(user: User) -> datetime:
    assert user.suspended_at
    assert user.suspended_at.tzinfo is UTC
    return user.suspended_at


def test_list_without_a_control_plane_is_empty_and_creates_none(home: Path) -> None:
    assert list(anyscale.user.list()) == []
    assert not list(home.iterdir())


def test_get_by_email_or_name() -> None:
    anyscale.user.admin_batch_create(
        [
            AdminCreateUser("Ann", "ann@one.example"),
            AdminCreateUser("Ann", "ann@two.example"),
            AdminCreateUser("ann", "lower@example.com"),
        ]
    )

    assert isinstance(anyscale.user.get(email="ANN@one.example"), User)
    assert anyscale.user.get(name="ann").email == "lower@example.com"
    with pytest.raises(UserAmbiguous) as caught:
        anyscale.user.get(name="Ann")
    assert caught.value.emails == ["ann@one.example", "ann@two.example"]
    with pytest.raises(NotFound, match="no user with the email"):
        anyscale.user.get(email="nobody@example.com")
    with pytest.raises(NotFound, match="no user with the name"):
        anyscale.user.get(name="Nobody")
    for arguments in ({}, {"email": "a@b.io", "name": "a"}):
        with pytest.raises(ConfigError):
            anyscale.user.get(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: list(anyscale.user.list(name="\ud800")),
            "name is not UTF-8 text",
        ),
        (
            lambda: list(anyscale.user.list(email="\ud800")),
            "email is not UTF-8 text",
        ),
    ],
)
def test_a_text_that_cannot_be_sent_is_an_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 5}, "name must be str or None, not int"),
        ({"email": b"x"}, "email must be str or None, not bytes"),
        ({"max_items": 2.5}, "max_items must be int or None, not float"),
        ({"page_size": "3"}, "page_size must be int, not str"),
    ],
)
def test_a_wrong_type_is_an_error_that_names_the_argument(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        list(anyscale.user.list(**arguments))


def test_accounts_are_changed_by_their_emails(monkeypatch: pytest.MonkeyPatch) -> None:
    anyscale.user.admin_batch_create(people(2))
    for email in ("P0@example.com", "p1@EXAMPLE.com"):
        anyscale.user.set_role(email=email, role="owner")
    assert anyscale.user.reset_second_factor(email="p0@example.com", reason="lost") == 0
    with pytest.raises(ConfigError, match="the reason is blank"):
        anyscale.user.reset_second_factor(email="p0@example.com", reason=" ")
    anyscale.user.suspend(email="P0@example.com")
    with pytest.raises(LastOwner) as caught:
        anyscale.user.delete(email="p1@example.com")
    assert (caught.value.code, caught.value.status) == ("last_owner", 409)
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", "http://localhost:8000")
    with pytest.raises(LinkRefused):
        anyscale.user.set_password_link(email="p0@example.com")
    anyscale.user.restore(email="p0@example.com")
    link = anyscale.user.set_password_link(email="p0@example.com")
    assert link.startswith("http://localhost:8000/set-password#mrl_")
    anyscale.user.delete(email="p1@example.com")
    assert [user.email for user in anyscale.user.list()] == ["p0@example.com"]
    assert anyscale.user.get(email="p0@example.com").permission_level == "owner"


def test_an_account_is_updated_and_returned() -> None:
    anyscale.user.admin_batch_create(people(2))
    before, other = anyscale.user.list()

    updated = anyscale.user.update(
        email="P0@example.com",
        name="Jané",
        lastname="Doe",
        title="",
        is_sso_user=True,
        external_id="0042",
    )

    expected = {"name": "Jané", "lastname": "Doe", "title": "", "is_sso_user": True}
    expected["external_id"] = "0042"
    assert updated.to_dict() == before.to_dict() | expected
    assert anyscale.user.get(email="p0@example.com") == updated
    cleared = anyscale.user.update(email="p0@example.com", lastname=None, is_sso_user=False)
    assert (cleared.name, cleared.lastname, cleared.is_sso_user) == ("Jané", None, False)
    assert anyscale.user.get(email="p1@example.com") == other


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ConfigError, "there is nothing to change: give at least one of name, lastname"),
        ({"name": None}, TypeError, "name must be str, not NoneType"),
        ({"is_sso_user": "yes"}, TypeError, "is_sso_user must be bool, not str"),
        ({"title": 7}, TypeError, "title must be str or None, not int"),
        ({"new_email": 7}, TypeError, "new_email must be str"),
        ({"reuse_email": "yes"}, TypeError, "reuse_email must be bool, not str"),
        ({"new_email": "foo"}, ConfigError, "email: .foo. is not an email address"),
        ({"name": "\ud800"}, ConfigError, r"name: has the invisible character U\+D800"),
        ({"external_id": ""}, ConfigError, "external_id: is blank"),
        ({"lastname": "x" * 257}, ConfigError, "lastname: has 257 characters"),
        ({"email": "no@example.com", "title": "x"}, NotFound, "there is no user with the email"),
        ({"email": None, "title": "x"}, ConfigError, "give either an email or a user_id"),
    ],
)
def test_a_wrong_update_is_an_error_that_names_the_argument(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    anyscale.user.admin_batch_create(people(1))
    (before,) = anyscale.user.list()
    with pytest.raises(error, match=message):
        anyscale.user.update(**({"email": "p0@example.com"} | arguments))
    assert list(anyscale.user.list()) == [before]


@pytest.mark.parametrize("changes", [{"name": "\ud800"}, {"title": "a\nb"}, {}])
def test_a_wrong_update_is_not_sent(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", "mrt_x")
    with pytest.raises(ConfigError, match=r"invisible character|line break|nothing to change"):
        anyscale.user.update(email="p0@example.com", **changes)


def test_an_account_gets_another_email_and_stays_the_same() -> None:
    created = anyscale.user.admin_batch_create(people(2))
    new = anyscale.user.update(email="p0@example.com", new_email="roe@example.com")
    assert (new.user_id, new.email) == (created[0].user_id, "roe@example.com")
    with pytest.raises(EmailTaken):
        anyscale.user.update(email="p1@example.com", new_email="ROE@example.com")
    with pytest.raises(EmailFreed):
        anyscale.user.update(email="p1@example.com", new_email="p0@example.com")
    other = anyscale.user.update(
        user_id=created[1].user_id, new_email="p0@example.com", reuse_email=True
    )
    assert other.email == "p0@example.com"


def test_an_unknown_account_or_role_is_an_error(home: Path) -> None:
    calls = (anyscale.user.suspend, anyscale.user.restore, anyscale.user.delete)
    for call in (*calls, anyscale.user.set_password_link):
        for email in ("p0@example.com", "no email", ""):
            with pytest.raises(NotFound, match="there is no user with the email"):
                call(email=email)
    with pytest.raises(ConfigError, match="role must be 'owner' or 'collaborator', not 'admin'"):
        anyscale.user.set_role(email="p0@example.com", role="admin")  # type: ignore[arg-type]  # the mistake that is tested
    assert not list(home.iterdir())


def test_the_class_anyscale_needs_host_and_token() -> None:
    for arguments in ({"host": "https://x.example"}, {"token": "t"}):
        with pytest.raises(ConfigError):
            anyscale.Anyscale(**arguments)
    for name in ("host", "token"):
        with pytest.raises(TypeError, match=f"{name} must be str or None, not int"):
            anyscale.Anyscale(**{"host": "https://x.example", "token": "mrt_x", name: 8765})  # type: ignore[arg-type]  # the mistake that is tested
    assert list(anyscale.Anyscale().user.list()) == []
    assert list(anyscale.Anyscale().batch.list()) == []
    assert "secret" not in repr(anyscale.Anyscale(host="https://x.example", token="secret"))


def test_a_positional_argument_too_many_is_answered_with_its_keyword() -> None:
    calls: dict[str, Callable[[], object]] = {
        "get(email=...)": lambda: anyscale.user.get("x"),  # type: ignore[call-arg]  # the mistake that is tested
        "get(email=..., name=..., user_id=...)": lambda: anyscale.user.get("x", "y", "z"),  # type: ignore[call-arg]  # the mistake that is tested
        "list(email=...)": lambda: anyscale.user.list("x"),  # type: ignore[call-arg]  # the mistake that is tested
        "delete(email=...)": lambda: anyscale.user.delete("x"),  # type: ignore[call-arg]  # the mistake that is tested
        "set_role(email=..., role=...)": lambda: anyscale.user.set_role("x", "owner"),  # type: ignore[call-arg]  # the mistake that is tested
        "admin_batch_create(..., idempotency_key=...)": lambda: anyscale.user.admin_batch_create(
            people(1),
            "key",  # type: ignore[call-arg]  # the mistake that is tested
        ),
        "undo(..., force=...)": lambda: anyscale.batch.undo("bat_x", True),  # type: ignore[call-arg]  # the mistake that is tested
        "list(open_only=...)": lambda: anyscale.batch.list(True),  # type: ignore[call-arg]  # the mistake that is tested
    }
    for hint, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"a positional argument too many: write {hint}"
    ann, bob = people(2)
    for name in ("admin_batch_create", "verify"):
        with pytest.raises(TypeError) as caught:
            getattr(anyscale.user, name)(ann, bob)
        assert str(caught.value) == f"put the users in a list: {name}([...])"
    with pytest.raises(TypeError, match=r"^get\(\) got an unexpected keyword argument 'mail'"):
        anyscale.user.get(mail="x")  # type: ignore[call-arg]  # the mistake that is tested
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        anyscale.user.admin_batch_create()  # type: ignore[call-arg]  # the mistake that is tested


def test_batches_are_listed_shown_and_dropped() -> None:
    for count in (1, 2, 3):
        anyscale.user.admin_batch_create(people(count, f"b{count}-"), label=f"month {count}")

    batches = list(anyscale.batch.list())

    assert [batch.users for batch in batches] == [3, 2, 1]
    assert [batch.label for batch in batches] == ["month 3", "month 2", "month 1"]
    assert list(anyscale.batch.list(max_items=2)) == batches[:2]
    assert list(anyscale.batch.list(max_items=0, open_only=True)) == []
    assert list(anyscale.batch.list(open_only=True)) == []
    shown = anyscale.Anyscale().batch.show(batches[0].batch_id)
    assert (shown.users, shown.without_credentials) == (3, 3)
    with pytest.raises(BatchGone, match="is published"):
        anyscale.batch.drop(batches[0].batch_id)
    for call in (anyscale.batch.show, anyscale.batch.drop):
        with pytest.raises(NotFound, match="there is no batch bat_none"):
            call("bat_none")
        with pytest.raises(TypeError, match="batch_id must be str, not int"):
            call(5)  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(ConfigError, match="max_items must be 0 or more"):
        list(anyscale.batch.list(max_items=-1))


def test_an_unfinished_batch_is_dropped_by_its_id(data: Path) -> None:
    anyscale.user.admin_batch_create(people(1))
    with closing(EmbeddedTransport.from_environment(os.environ)) as transport:
        batch = transport.batches.open("key", "fail")
    assert list(anyscale.batch.list(open_only=True)) == [batch]

    dropped = anyscale.batch.drop(batch.batch_id)

    assert (dropped.batch_id, dropped.state) == (batch.batch_id, "dropped")


def test_a_batch_is_undone_and_accounts_that_were_used_only_by_force() -> None:
    anyscale.user.admin_batch_create(people(1, "other"))
    anyscale.user.set_role(email="other0@example.com", role="owner")
    created = anyscale.user.admin_batch_create(people(3))
    anyscale.user.set_role(email="p1@example.com", role="owner")
    batch_id = str(created.batch_id)
    kept = {"user_id": created[1].user_id, "email": "p1@example.com", "reason": "used"}

    tried = anyscale.batch.undo(batch_id, dry_run=True)
    assert len(list(anyscale.user.list())) == 4
    undone = anyscale.batch.undo(batch_id)
    assert undone.to_dict() == {
        "batch_id": batch_id,
        "removed": 2,
        "kept": [kept],
        "suspended": 0,
        "removed_by_others": 0,
        "links_ended": 0,
    }
    assert tried == undone
    emails = [user.email for user in anyscale.user.list()]
    assert emails == ["other0@example.com", "p1@example.com"]
    forced = anyscale.Anyscale().batch.undo(batch_id, force=True)
    assert (forced.removed, forced.kept) == (1, [])
    assert [user.email for user in anyscale.user.list()] == emails[:1]
    with pytest.raises(NotFound, match="there is no batch bat_none"):
        anyscale.batch.undo("bat_none")


def test_verify_yields_the_differences_of_every_field_but_the_password() -> None:
    anyscale.user.admin_batch_create(
        [
            AdminCreateUser("Jane", "jane@example.com", lastname="Doe", title="Engineer"),
            AdminCreateUser("Zoë", "zoe@example.com", is_sso_user=True),
            AdminCreateUser("Ann", "ann@example.com"),
        ]
    )
    anyscale.user.suspend(email="ann@example.com")
    users = [
        AdminCreateUser("Jane", "JANE@example.com", password="another-password", title="Boss"),
        AdminCreateUser("Zoe\u0308", "zoe@example.com"),
        AdminCreateUser("Ann", "ann@example.com"),
        AdminCreateUser("Joe", "joe@example.com"),
    ]

    found = list(anyscale.user.verify(iter(users)))

    assert [(d.index, d.email, d.kind, d.field, d.file, d.account) for d in found] == [
        (0, "JANE@example.com", "different", "lastname", None, "Doe"),
        (0, "JANE@example.com", "different", "title", "Boss", "Engineer"),
        (1, "zoe@example.com", "different", "is_sso_user", False, True),
        (2, "ann@example.com", "suspended", None, None, None),
        (3, "joe@example.com", "missing", None, None, None),
    ]
    assert (found[0].line, found[0].column) == (None, None)
    with pytest.raises(BatchRefused):
        next(anyscale.user.verify([AdminCreateUser("", "x@example.com")]))


def test_a_list_without_a_control_plane_warns(caplog: pytest.LogCaptureFixture, data: Path) -> None:
    assert list(anyscale.user.list()) == []
    assert list(anyscale.batch.list()) == []

    assert (
        caplog.record_tuples
        == [("anyscale", logging.WARNING, f"There is no control plane yet at {data}/anyscale.db")]
        * 2
    )


def test_a_user_is_named_by_the_id_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", "https://accounts.example.com")
    jane, _ = anyscale.user.admin_batch_create(people(2))
    user_id = jane.user_id

    assert anyscale.user.get(user_id=user_id).email == jane.email
    assert anyscale.user.update(user_id=user_id, title="Boss").title == "Boss"
    anyscale.user.suspend(user_id=user_id)
    assert anyscale.user.get(user_id=user_id).suspended_at
    anyscale.user.restore(user_id=user_id)
    anyscale.user.set_role(user_id=user_id, role="collaborator")
    assert anyscale.user.set_password_link(user_id=user_id).startswith("https://accounts.")
    anyscale.user.delete(user_id=user_id)
    with pytest.raises(NotFound, match=f"there is no user with the id '{user_id}'"):
        anyscale.user.get(user_id=user_id)
    for email, id_ in ((None, None), (jane.email, user_id)):
        with pytest.raises(ConfigError, match="give either an email or a user_id"):
            anyscale.user.suspend(email=email, user_id=id_)
