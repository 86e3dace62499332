"""The rules for one user; the quick check and the thorough one agree."""

from inspect import signature

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from anyscale.domain.external_ids import normalized_external_id
from anyscale.domain.validation import (
    FIELDS,
    MAX_TEXT,
    CheckedUser,
    Policy,
    check,
    check_fields,
    find_faults,
    shown,
)
from anyscale.user.models import AdminImportUser

STRONG = "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="
WEAK = "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8"

Values = dict[str, str | bool | None]

PASSWORD = "qK7#vT9~xW"


def values(**changes: str | bool | None) -> Values:
    right: Values = {
        "name": "Jane",
        "email": "jane@example.com",
        "password": None,
        "is_sso_user": False,
        "lastname": None,
        "title": None,
        "external_id": None,
        "password_hash": None,
        "suspended": False,
        "password_initial": False,
        "sub": None,
    }
    return right | changes


def checked(policy: Policy | None = None, /, **changes: str | bool | None) -> CheckedUser | None:
    user = AdminImportUser(**values(**changes))  # type: ignore[arg-type]  # the test wants wrong types
    return check_fields(policy or Policy(), user, user.password, user.password_hash)


def codes(policy: Policy | None = None, /, **changes: str | bool | None) -> list[tuple[str, str]]:
    faults = find_faults(values(**changes), policy or Policy())
    return [(fault.field, fault.code) for fault in faults]


anything = (
    st.text(max_size=12)
    | st.text("ab é\u0301\x00\n\u202e\ud800\u00a0Ã¼\ufffd", max_size=6)
    | st.integers(0, 300).map(lambda length: "x" * length)
    | st.sampled_from(["", " ", "null", "x" * 256, "x" * 257, "é" * 256, PASSWORD, "password1"])
)
emails = (
    anything
    | st.sampled_from(["jane@example.com", "J@BÜCHER.example", "a@b", "jane@corp.local", "a@b.c "])
    | st.integers(200, 260).map(lambda length: "a" * (length - 12) + "@example.com")
    | st.integers(50, 130).map(lambda length: "e\u0301" * length + "@example.com")
)
policies = st.builds(
    Policy,
    sso_only=st.booleans(),
    password_min_length=st.sampled_from([8, 10, 15]),
    accept_weak_hashes=st.booleans(),
)


@given(
    anything,
    emails,
    st.none() | anything,
    st.booleans(),
    st.none() | anything,
    anything,
    st.none() | anything,
    policies,
    st.none() | st.sampled_from(["", STRONG, WEAK, "{SSHA}", "x" * 2_000]),
    st.none() | st.sampled_from(["", "usr_1", "a b", "ü", "x" * 255, "x" * 256]),
)
@example("J", "e\u0301" * 100 + "@example.com", None, False, "", "", None, Policy(), None, None)
@example("J", "a" * 243 + "@example.com", None, False, "", "", None, Policy(), None, None)
@example("", "jane@example.com", None, False, None, "", None, Policy(), None, None)
@example("\u00a0", "jane@example.com", None, False, None, "", None, Policy(), None, None)
@example("J", "jane@example.com", None, False, None, "", "\u00a04711", Policy(), None, None)
@example("J", "jane@example.com", "", False, None, "", None, Policy(sso_only=True), None, None)
def test_the_quick_check_refuses_exactly_what_the_thorough_one_finds(
    name: str,
    email: str,
    password: str | None,
    is_sso_user: bool,
    lastname: str | None,
    title: str,
    external_id: str | None,
    policy: Policy,
    password_hash: str | None,
    sub: str | None,
) -> None:
    user = check(
        policy,
        name=name,
        email=email,
        password=password,
        is_sso_user=is_sso_user,
        lastname=lastname,
        title=title,
        external_id=external_id,
        imported={"password_hash": password_hash, "sub": sub},
    )
    values = name, email, password, is_sso_user, lastname, title, external_id, password_hash
    given = dict(zip(FIELDS[: len(values)], values, strict=True)) | {"sub": sub}
    faults = find_faults(given, policy)

    assert (user is None) == bool(faults)
    for fault in faults:
        assert fault.field in FIELDS
        assert fault.detail.isprintable() or not email.isprintable()
        fault.detail.encode()  # no lone surrogate is left in it


@pytest.mark.parametrize(
    ("external_id", "code"),
    [
        *(("", "blank"), (" ", "blank"), ("7 ", "blank"), ("\u00a07", "blank")),
        *(("\ufeff7", "character"), ("4\u200b2", "character"), ("42\u00ad", "character")),
        ("x" * 257, "too_long"),
    ],
)
def test_an_external_id_has_nothing_that_cannot_be_seen_and_at_most_256_characters(
    external_id: str, code: str
) -> None:
    assert checked(external_id=external_id) is None
    assert codes(external_id=external_id) == [("external_id", code)]


@pytest.mark.parametrize(
    ("external_id", "stored"),
    [("0042", "0042"), ("a b", "a b"), ("A-42", "A-42"), ("e\u0301", "é"), ("x" * 256, "x" * 256)],
)
def test_an_external_id_is_stored_as_it_is_in_nfc(external_id: str, stored: str) -> None:
    user = checked(external_id=external_id)
    assert user
    assert user.external_id == stored


def test_a_text_that_is_too_long_for_an_external_id_is_not_normalized() -> None:
    text = "e\u0301" * 600
    assert normalized_external_id(text) == text


@pytest.mark.parametrize("field", ["name", "lastname", "title"])
def test_a_text_has_at_most_256_characters(field: str) -> None:
    for character in "x", "é", "🙂":
        assert checked(**{field: character * (MAX_TEXT - 1)})
        assert checked(**{field: character * MAX_TEXT})
        assert codes(**{field: character * (MAX_TEXT + 1)}) == [(field, "too_long")]
        assert checked(**{field: character * (MAX_TEXT + 1)}) is None


def test_the_texts_of_a_user_are_counted_one_by_one() -> None:
    assert checked(name="x" * 256, lastname="y" * 256, title="z" * 256)


def test_an_email_has_at_most_254_octets() -> None:
    def email(octets: int) -> str:
        return "a" * (octets - len("@example.com")) + "@example.com"

    assert checked(email=email(253))
    assert checked(email=email(254))
    assert codes(email=email(255)) == [("email", "too_long")]
    assert codes(email="é" * 122 + "@example.com") == [("email", "too_long")]


@pytest.mark.parametrize("length", [1023, 1024, 1025])
def test_a_password_has_at_most_1024_characters(length: int) -> None:
    wanted = [] if length <= 1024 else [("password", "password_too_long")]

    assert codes(password=(PASSWORD * 200)[:length]) == wanted


@pytest.mark.parametrize("name", ["", " ", "   ", "\u00a0", "\u3000\u2003"])
def test_a_name_is_not_blank(name: str) -> None:
    assert codes(name=name) == [("name", "blank")]


@pytest.mark.parametrize("field", ["lastname", "title"])
@pytest.mark.parametrize("text", ["", " ", None])
def test_a_last_name_and_a_title_may_be_empty_and_stay_so(field: str, text: str | None) -> None:
    user = checked(**{field: text})

    assert user is not None
    assert getattr(user, field) == text


@pytest.mark.parametrize("field", ["name", "email", "password", "lastname", "title", "external_id"])
@pytest.mark.parametrize(
    "character",
    [
        *("\x00", "\x01", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"),
        *("\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b", "\u202c"),
        *("\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\ud800", "\udfff"),
    ],
)
def test_control_and_bidirectional_characters_and_surrogates_are_in_no_field(
    field: str, character: str
) -> None:
    text = f"ja{character}ne@example.com"

    assert codes(**{field: text}) == [(field, "character")]
    assert checked(**{field: text}) is None
    (fault,) = find_faults(values(**{field: text}), Policy())
    assert character not in fault.detail
    assert ("at character 3" in fault.detail) is (field != "password")


@pytest.mark.parametrize(
    "text", ["Zoë", "日本語", "O'Neil", "👩‍👩‍👧‍👦", "a\u00a0b", "e\u0301", "نور"]
)
def test_every_script_and_emoji_is_a_name(text: str) -> None:
    user = checked(name=text, lastname=text, title=text)

    assert user is not None
    assert (user.name, user.lastname, user.title) == (text, text, text)


def test_the_fields_of_an_entry_are_checked_in_the_order_of_the_contract() -> None:
    usual = FIELDS[: FIELDS.index("external_id") + 1]
    assert tuple(signature(check).parameters) == ("policy", *usual, "imported")


def test_a_checked_user_has_the_key_of_its_email_and_the_email_as_given() -> None:
    user = checked(email="Jane@BÜCHER.example")

    assert user is not None
    assert user.email == "Jane@BÜCHER.example"
    assert user.email_key == "jane@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("password", "has_password"), [(PASSWORD, True), ("", False), (None, False)]
)
def test_a_checked_user_says_whether_it_has_a_password_and_not_which(
    password: str | None, has_password: bool
) -> None:
    user = checked(password=password)

    assert user is not None
    assert user.has_password is has_password
    assert PASSWORD not in map(str, structs.astuple(user))


def test_a_password_and_sso_are_allowed_together() -> None:
    assert checked(password=PASSWORD, is_sso_user=True)


def test_with_sso_only_a_password_and_no_sso_are_problems() -> None:
    only = Policy(sso_only=True)

    assert checked(only, is_sso_user=True)
    assert checked(only, is_sso_user=True, password="")
    assert codes(only, is_sso_user=False) == [("is_sso_user", "sso_only")]
    assert codes(only, is_sso_user=True, password=PASSWORD) == [("password", "sso_only")]
    assert codes(only, password="x") == [("password", "sso_only"), ("is_sso_user", "sso_only")]


def test_all_problems_are_found_at_once() -> None:
    assert codes(name=" ", email="x", password="x", lastname="a\nb", title="t" * 257) == [
        ("name", "blank"),
        ("email", "email_invalid"),
        ("lastname", "character"),
        ("title", "too_long"),
        ("password", "password_too_short"),
    ]


def test_a_field_that_is_left_out_is_not_checked() -> None:
    assert find_faults({"email": "jane@example.com"}, Policy()) == []
    assert find_faults({}, Policy(sso_only=True)) == []


@pytest.mark.parametrize("password", [PASSWORD, "x", "password1", "qK7\u202e#vT9~", "jane-1234"])
def test_a_password_is_in_no_fault_and_no_repr(password: str) -> None:
    faults = repr(find_faults(values(password=password), Policy(sso_only=True)))
    faults += repr(find_faults(values(password=password), Policy()))
    assert len(password) == 1 or password not in faults

    user = checked(password=PASSWORD)
    assert user is not None
    for shown_user in (user, AdminImportUser("J", "j@x.io", PASSWORD)):
        assert PASSWORD not in repr(shown_user)
        assert PASSWORD not in str(shown_user)
        assert PASSWORD not in f"{shown_user.__rich_repr__()}"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("foo", "'foo'"),
        ("", "''"),
        ("x" * 60, f"'{'x' * 60}'"),
        ("x" * 61, f"'{'x' * 59}…'"),
        ("a\nb\x1b[31m", "'a\\u000ab\\u001b[31m'"),
        ("\u202egnp", "'\\u202egnp'"),
        ("\ud800", "'\\ud800'"),
        ("é日🙂", "'é日🙂'"),
    ],
)
def test_a_value_is_shown_quoted_short_and_harmless(text: str, quoted: str) -> None:
    assert shown(text) == quoted


@given(st.text(), st.integers(2, 80))
def test_no_shown_value_controls_a_terminal(text: str, limit: int) -> None:
    assert shown(text, limit).isprintable()


def test_a_policy_is_strict_by_default_and_not_changed_by_anybody() -> None:
    policy = Policy()

    assert (policy.password_min_length, policy.sso_only) == (8, False)
    with pytest.raises(AttributeError):
        policy.sso_only = True  # type: ignore[misc]  # the mistake that is tested


def test_the_limits_are_those_of_the_documents() -> None:
    """`docs/large-batches.md` and `docs/batch-protocol.md` have them."""
    assert Policy() == Policy(
        password_min_length=8,
        sso_only=False,
        chunk_users=10_000,
        chunk_passwords=128,
        small_users=1_000,
        small_passwords=16,
        reservation_wait=60.0,
    )
    assert MAX_TEXT == 256


def test_a_checked_user_has_the_fields_of_the_entry() -> None:
    entry = values(name="Jane", lastname="Doe", title="CTO", is_sso_user=True)
    user = checked(**entry)
    assert user
    assert structs.asdict(user) == {
        **{field: value for field, value in entry.items() if field != "password"},
        "has_password": False,
        "email_key": "jane@example.com",
    }


# Hashes of passwords


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password_hash": WEAK}, "password_hash_weak"),
        ({"password_hash": STRONG.replace("390000", "9999999")}, "password_hash_too_costly"),
        ({"password_hash": STRONG[:-3]}, "password_hash_invalid"),
        ({"password_hash": "x"}, "password_hash_unknown"),
        ({"password_hash": STRONG, "password": PASSWORD}, "password_hash_invalid"),
    ],
)
def test_a_hash_that_cannot_be_imported_is_a_fault_of_its_field(changes: Values, code: str) -> None:
    assert checked(**changes) is None
    assert codes(**changes) == [("password_hash", code)]


def test_a_weak_hash_is_valid_for_a_caller_who_accepts_it() -> None:
    user = checked(Policy(accept_weak_hashes=True), password_hash=WEAK)
    assert user
    assert (user.password_hash, user.has_password) == (WEAK, True)


def test_a_hash_of_a_scheme_that_the_control_plane_lacks_is_a_fault() -> None:
    policy = Policy(hash_schemes=("argon2",))
    assert codes(policy, password_hash=STRONG) == [("password_hash", "password_hash_unsupported")]


def test_where_everybody_signs_in_by_sso_there_are_no_hashes() -> None:
    policy, changes = Policy(sso_only=True), values(is_sso_user=True, password_hash=STRONG)
    assert codes(policy, **changes) == [("password_hash", "sso_only")]


@pytest.mark.parametrize("text", [STRONG, WEAK, f" {STRONG}", "$6$rounds=999999999$salt$hash"])
def test_a_hash_in_the_column_of_emails_is_not_shown(text: str) -> None:
    (fault,) = find_faults(values(email=text), Policy())
    assert fault.code == "email_invalid"
    assert text.strip()[:8] not in fault.detail


def test_a_user_with_a_hash_does_not_show_it() -> None:
    user = AdminImportUser(**values(password_hash=STRONG))  # type: ignore[arg-type]  # as `checked`
    for one in (user, checked(password_hash=STRONG)):
        assert "seasalt" not in repr(one)
