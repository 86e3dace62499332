"""Hashes that other systems have made: which are read and refused, and what verifies them."""

import json
import time
import unicodedata
from operator import itemgetter
from pathlib import Path

import passlib.hash
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import make_password
from hypothesis import given
from hypothesis import strategies as st
from tests.support.directory import run_unpacked

from anyscale.domain.password_hashes import SCHEMES
from anyscale.domain.password_hashes.parsed_hash import ParsedHash, RefusedHash
from anyscale.domain.password_hashes.parsing import judge, parse
from anyscale.server.core.hashing.argon2id import CHEAPEST, Hasher
from anyscale.server.core.hashing.schemes import libcrypt, verified, wrapped
from anyscale.server.core.hashing.schemes.verified import verified_schemes

PASSWORD = "correct horse battery"

#: The published vectors of others, `[password, text, whether it is right]`: those of Kratos
#: (hash/hasher_test.go) and of Django (tests/auth_tests/test_hashers.py), and each thirtieth of
#: libxcrypt's (test/ka-table.inc) whose password is a text.
VECTORS: dict[str, list[tuple[str, str, bool]]] = json.loads(
    (Path(__file__).parent / "vectors" / "hashes.json").read_text("utf-8")
)


@pytest.fixture
def hasher() -> Hasher:
    return Hasher(CHEAPEST)


def code_of(text: str, *, accept_weak: bool = False) -> str:
    """Return the code of a refusal, which comes within 10 ms; empty if there is none."""
    # A collection of garbage, or the host of a virtual machine, may lengthen a measurement.
    refusal, seconds = min(
        (judged(text, accept_weak=accept_weak) for _ in range(3)), key=itemgetter(1)
    )
    assert seconds < 0.01
    assert refusal is None or not text or text not in refusal.detail
    return refusal.code if refusal else ""


def judged(text: str, *, accept_weak: bool) -> tuple[RefusedHash | None, float]:
    """Judge a hash; return its refusal, and the processor time of this thread."""
    started = time.thread_time()
    refusal = None
    try:
        judge(text, SCHEMES, accept_weak=accept_weak)
    except RefusedHash as refused:
        refusal = refused
    return refusal, time.thread_time() - started


# What others have published


@pytest.mark.parametrize("origin", ["kratos", "django", "libxcrypt"])
def test_the_vectors_of_others_are_verified_as_they_say(
    hasher: Hasher, origin: str, pytestconfig: pytest.Config
) -> None:
    # A wrong one of a slow kind shows what a wrong one of a fast kind does.
    slowest = {True: pytestconfig.getoption("--slowest-vector"), False: 20}

    def is_slow(text: str, *, is_right: bool) -> bool:
        is_read = not code_of(text, accept_weak=True)
        return is_read and parse(text).milliseconds > slowest[is_right]

    wrong = [
        (password, text)
        for password, text, is_right in VECTORS[origin]
        if not is_slow(text, is_right=is_right) and hasher.verify(text, password) is not is_right
    ]
    assert not wrong


@pytest.mark.parametrize("text", VECTORS["unread"])
def test_digests_with_a_key_and_firebases_scrypt_are_not_read(text: str) -> None:
    assert code_of(text, accept_weak=True) == "password_hash_unknown"


# What real programs make


@pytest.mark.parametrize("method", ["yescrypt", "bcrypt", "bcrypt-a", "sha512crypt", "sha256crypt"])
def test_hashes_of_mkpasswd_are_imported_and_verified(hasher: Hasher, method: str) -> None:
    rounds = ["--rounds=10"] if method.startswith("bcrypt") else []
    made = run_unpacked("usr/bin/mkpasswd", "-s", "-m", method, *rounds, text=PASSWORD).strip()
    for text in (made, f"{{CRYPT}}{made}"):
        assert not code_of(text)
        assert hasher.verify(text, PASSWORD)
    assert not hasher.verify(made, f"{PASSWORD}x")


@pytest.mark.parametrize("scheme", ["{SSHA}", "{SMD5}", "{SHA}", "{MD5}"])
def test_hashes_of_slappasswd_are_weak_and_verified(hasher: Hasher, scheme: str) -> None:
    made = run_unpacked("usr/sbin/slappasswd", "-h", scheme, "-s", PASSWORD).strip()
    assert code_of(made) == "password_hash_weak"
    assert not code_of(made, accept_weak=True)
    assert hasher.verify(made, PASSWORD)
    assert not hasher.verify(made, f"{PASSWORD}x")


@pytest.fixture
def django_hashers() -> None:
    """The settings of Django, of which only the hashers are used."""
    if not django_settings.configured:
        hashers = ("PBKDF2", "PBKDF2SHA1", "Argon2", "Scrypt", "MD5")
        django_settings.configure(
            PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{one}PasswordHasher" for one in hashers]
        )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pbkdf2_sha256", ""),
        ("pbkdf2_sha1", ""),
        ("argon2", ""),
        ("scrypt", ""),
        ("md5", "password_hash_weak"),
    ],
)
@pytest.mark.usefixtures("django_hashers")
@pytest.mark.one_python
def test_hashes_of_django_are_imported_and_verified(hasher: Hasher, name: str, code: str) -> None:
    made = make_password(PASSWORD, hasher=name)
    assert code_of(made) == code
    assert hasher.verify(made, PASSWORD)


#: hashers of libpass, with costs that take no time
_LIBPASS = [
    passlib.hash.sha256_crypt.using(rounds=1000),
    passlib.hash.sha512_crypt.using(rounds=1000),
    passlib.hash.md5_crypt,
    passlib.hash.pbkdf2_sha1.using(rounds=2),
    passlib.hash.pbkdf2_sha256.using(rounds=2),
    passlib.hash.pbkdf2_sha512.using(rounds=2),
    passlib.hash.scrypt.using(rounds=4, block_size=1, parallelism=2),
    passlib.hash.ldap_md5,
    passlib.hash.ldap_sha1,
    passlib.hash.ldap_salted_md5,
    passlib.hash.ldap_salted_sha1,
    passlib.hash.ldap_salted_sha256,
    passlib.hash.ldap_salted_sha512,
    passlib.hash.ldap_pbkdf2_sha256.using(rounds=2),
    passlib.hash.django_pbkdf2_sha256.using(rounds=2),
    passlib.hash.django_salted_sha1,
]


@given(
    st.sampled_from(_LIBPASS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
)
def test_hashes_of_libpass_are_verified(other: object, password: str) -> None:
    hasher, made = Hasher(CHEAPEST), other.hash(password)  # type: ignore[attr-defined]  # libpass has no common type
    assert hasher.verify(made, password)
    assert not hasher.verify(made, f"{password}x")


# Caps and floors

_SALT, _TAG = "c2l4dGVlbiBvY3RldHMhIQ", "A" * 43


@pytest.mark.parametrize(
    "text",
    [
        f"$argon2id$v=19$m=4194304,t=1,p=1${_SALT}${_TAG}",
        f"$argon2id$v=19$m=524288,t=1,p=1${_SALT}${_TAG}",
        f"$argon2id$v=19$m=262144,t=5,p=1${_SALT}${_TAG}",
        f"$argon2id$v=19$m=19456,t=2,p=17${_SALT}${_TAG}",
        f"$scrypt$ln=20,r=8,p=1${_SALT}${_TAG}",
        f"$scrypt$ln=14,r=8,p=65${_SALT}${_TAG}",
        f"scrypt$1073741824$salt$8$1${_TAG}=",
        f"$pbkdf2-sha256$i=5000001${_SALT}${_TAG}",
        f"$pbkdf2-sha256$i=4294967295${_SALT}${_TAG}",
        f"$pbkdf2-sha256$i={'9' * 400}${_SALT}${_TAG}",
        f"pbkdf2_sha256$99999999999$salt${_TAG}=",
        f"$2b$16${'a' * 21}u{'a' * 31}",
        f"$2b$31${'a' * 21}u{'a' * 31}",
        f"$6$rounds=999999999$salt${'a' * 86}",
        f"$6$rounds={'9' * 400}$salt${'a' * 86}",
        f"$5$rounds=1000001$salt${'a' * 43}",
        f"$y$jET$salt${'a' * 43}",
        f"$y$jFT$salt${'a' * 43}",
        f"$y$jzz$salt${'a' * 43}",
    ],
)
def test_a_hash_above_the_caps_is_refused_and_never_computed(text: str) -> None:
    assert code_of(text, accept_weak=True) == "password_hash_too_costly"
    assert not Hasher(CHEAPEST).verify(text, PASSWORD)


@pytest.mark.parametrize(
    ("enough", "too_little"),
    [
        ("$argon2id$v=19$m=7168,t=5,p=1$S$T", "$argon2id$v=19$m=7168,t=4,p=1$S$T"),
        ("$argon2id$v=19$m=35840,t=1,p=1$S$T", "$argon2id$v=19$m=7167,t=6,p=1$S$T"),
        ("$scrypt$ln=14,r=8,p=1$S$T", "$scrypt$ln=13,r=8,p=5$S$T"),
        ("$pbkdf2-sha256$i=10000$S$T", "$pbkdf2-sha256$i=9999$S$T"),
        ("$pbkdf2$20000$S$T", "$pbkdf2$19999$S$T"),
        (f"$2y$10${'a' * 21}u{'a' * 31}", f"$2y$09${'a' * 21}u{'a' * 31}"),
        (f"$6$salt${'a' * 86}", f"$6$rounds=4999$salt${'a' * 86}"),
        (f"$5$rounds=5000$salt${'a' * 43}", f"$5$rounds=1000$salt${'a' * 43}"),
        (f"$y$j9T$salt${'a' * 43}", f"$y$j8T$salt${'a' * 43}"),
    ],
)
def test_a_hash_below_the_floor_of_its_scheme_is_weak(enough: str, too_little: str) -> None:
    enough, too_little = (text.replace("$S$T", f"${_SALT}${_TAG}") for text in (enough, too_little))
    assert not code_of(enough)
    assert code_of(too_little) == "password_hash_weak"
    assert not code_of(too_little, accept_weak=True)


@pytest.mark.parametrize(
    "text",
    [
        f"$argon2id$v=19$m=19456,t=2,p=1${_SALT}$YWJjZGVmZ2hpamts",  # 12 octets
        f"$argon2id$v=19$m=019456,t=2,p=1${_SALT}${_TAG}",
        f"$argon2id$v=18$m=19456,t=2,p=1${_SALT}${_TAG}",
        f"$scrypt$ln=20000,r=8,p=1${_SALT}${_TAG}",
        f"$pbkdf2-sha256$i=100000,l=31${_SALT}${_TAG}",
        f"$2b$03${'a' * 21}u{'a' * 31}",
        f"$2b$12${'a' * 21}u{'a' * 30}",
        f"$6$rounds=999$salt${'a' * 86}",
        f"$y$j9T$salt${'a' * 42}",
        "pbkdf2_sha256$390000$seasalt",
        "bcrypt$$6$salt$hash",
        "x" * 1_025,
        "{SSHA}é",
        "",
    ],
)
def test_a_damaged_hash_is_refused(text: str) -> None:
    assert code_of(text, accept_weak=True) in ("password_hash_invalid", "password_hash_unknown")


@pytest.mark.parametrize(
    "text",
    [
        f"$argon2id$v=19$m=19456,t=2,p=1$${_TAG}",
        f"$argon2id$v=19$m=19456,t=2,p=1${_SALT}$",
        f"$scrypt$ln=14,r=8,p=1$${_TAG}",
        f"$scrypt$ln=14,r=8,p=1${_SALT}$",
        "scrypt$16384$salt$8$1$",
        f"$pbkdf2-sha256$100000$${_TAG}",
        f"$pbkdf2-sha256$100000${_SALT}$",
        "pbkdf2_sha256$600000$salt$",
        "{SSHA}",
        "md5$salt$",
        "$sha256$",
    ],
)
def test_no_part_of_a_hash_may_be_empty(text: str) -> None:
    with pytest.raises(RefusedHash) as refused:
        parse(text)
    assert refused.value.code in ("password_hash_invalid", "password_hash_unknown")


def test_scrypt_may_use_256_mebibytes_and_no_octet_more() -> None:
    assert not code_of(f"$scrypt$ln=18,r=8,p=1${_SALT}${_TAG}")
    assert code_of(f"$scrypt$ln=18,r=9,p=1${_SALT}${_TAG}") == "password_hash_too_costly"


@pytest.mark.parametrize("text", [f"$2x$12${'a' * 53}", "ab1Hv2Lg7ltQo", "$gy$j9T$salt$hash", "!"])
def test_a_scheme_that_nobody_should_use_is_unknown(text: str) -> None:
    assert code_of(text, accept_weak=True) == "password_hash_unknown"


@given(st.text(), st.sampled_from([text for _, text, _ in VECTORS["kratos"]]), st.integers(0, 90))
def test_any_text_is_read_or_refused(text: str, vector: str, at: int) -> None:
    for one in (text, vector[:at] + text, vector[:at] + text + vector[at + 1 :]):
        try:
            parsed = parse(one)
        except RefusedHash:
            continue
        assert isinstance(parsed, ParsedHash)
        assert parsed.scheme in SCHEMES
        assert parsed.milliseconds <= 5_000
        assert one not in repr(parsed)


# What this system verifies


def test_debians_library_knows_every_scheme() -> None:
    assert verified_schemes() == SCHEMES


def test_a_system_whose_library_lacks_a_scheme_refuses_its_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verified, "supported_schemes", lambda: frozenset({"sha512-crypt"}))
    with pytest.raises(RefusedHash, match="yescrypt") as refused:
        judge(f"$y$j9T$salt${'a' * 43}", verified_schemes())
    assert refused.value.code == "password_hash_unsupported"
    judge(f"$6$salt${'a' * 86}", verified_schemes())


def test_a_system_without_the_library_verifies_the_schemes_of_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libcrypt, "_LIBRARIES", ("libnone.so.1",))
    monkeypatch.setattr(libcrypt, "_library", libcrypt._library.__wrapped__)
    monkeypatch.setattr(verified, "supported_schemes", libcrypt.supported_schemes.__wrapped__)
    assert verified_schemes() == ("argon2", "scrypt", "pbkdf2", "digest")


# Passwords


def test_only_the_first_72_octets_count_of_a_bcrypt_hash(hasher: Hasher) -> None:
    long = "x" * 72
    made = run_unpacked("usr/bin/mkpasswd", "-s", "-m", "bcrypt", "-R", "5", text=long).strip()
    assert hasher.verify(made, long)
    assert hasher.verify(made, f"{long}, of which bcrypt has never seen the rest")


@pytest.mark.parametrize("password", [f"{PASSWORD}\0", f"{PASSWORD}\0x", "x" * 512, "x" * 100_000])
def test_a_password_that_crypt_would_cut_is_wrong(hasher: Hasher, password: str) -> None:
    made = passlib.hash.sha512_crypt.using(rounds=1000).hash(PASSWORD)
    assert not hasher.verify(made, password)
    assert not hasher.verify(hasher.wrap([made])[0], password)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_password_is_right_in_the_form_of_unicode_that_was_hashed(
    hasher: Hasher, form: str
) -> None:
    text = unicodedata.normalize(form, "Zoë's café")  # type: ignore[arg-type]  # typeshed wants a literal
    made = passlib.hash.pbkdf2_sha256.using(rounds=2).hash(text)
    assert hasher.verify(made, text)


# Wrapped hashes


#: each with the password `lètmein`, but for the last one
WEAK = {
    "md5": "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3",
    "unsalted": "88a434c88cca4e900f7874cd98123f43",
    "ldap": passlib.hash.ldap_salted_sha1.hash("lètmein"),
    "md5-crypt": passlib.hash.md5_crypt.hash("lètmein"),
    "sha256-crypt": passlib.hash.sha256_crypt.using(rounds=1000).hash("lètmein"),
    "pbkdf2": passlib.hash.pbkdf2_sha512.using(rounds=3).hash("lètmein"),
    "scrypt": passlib.hash.scrypt.using(rounds=4).hash("lètmein"),
    "argon2": "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
}


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK)
def test_a_weak_hash_is_wrapped_and_its_digest_is_not_kept(hasher: Hasher, weak: str) -> None:
    (text,) = hasher.wrap([weak])
    is_right = hasher.verify(weak, "lètmein")
    assert hasher.verify(text, "lètmein") is is_right
    assert not hasher.verify(text, "wrong")
    assert hasher.needs_rehash(text)
    stored = wrapped.parse_wrapped(text)
    assert stored.inner.tag == bytes(len(parse(weak).tag))
    assert parse(weak).tag not in (stored.outer.tag, stored.outer.salt)


@given(st.text())
def test_no_text_is_taken_for_a_wrapped_hash(text: str) -> None:
    for one in (f"$wrapped${text}", f"$wrapped${text}$argon2id$v=19$m=8,t=1,p=1${_SALT}${_TAG}"):
        assert not Hasher(CHEAPEST).verify(one, PASSWORD)
