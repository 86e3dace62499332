"""Files that other systems have exported: LDIF by slapd, JSON by Django, and of Keycloak."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.directory import PACKAGES, run_unpacked
from tests.support.users import PASSWORD

from anyscale.domain.validation import CheckedUser, Policy
from anyscale.server.core.hashing.argon2id import CHEAPEST, Hasher
from anyscale.users_file import FileReading, UsersFile
from anyscale.users_file.entry_collector import Place
from anyscale.users_file.keycloak_reader import _Credential, _map_user
from anyscale.users_file.ldif_reader import _Value


def read(
    text: str | bytes, file_format: str, *, verify: bool = False, weak: bool = True
) -> tuple[UsersFile, FileReading, list[CheckedUser]]:
    data = text if isinstance(text, bytes) else text.encode()
    file = UsersFile(io.BytesIO(data), f"export.{file_format}", file_format)
    reading = file.reading(Policy(accept_weak_hashes=weak), verify=verify)
    return file, reading, list(reading)


def found(users: list[CheckedUser]) -> list[tuple[Any, ...]]:
    return [(u.name, u.lastname, u.email, u.external_id, u.suspended) for u in users]


# LDIF

CONFIGURATION = """\
include {packages}/etc/ldap/schema/core.schema
include {packages}/etc/ldap/schema/cosine.schema
include {packages}/etc/ldap/schema/inetorgperson.schema
modulepath {packages}/usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
database mdb
maxsize 10485760
suffix dc=example,dc=com
directory {folder}
"""

ENTRIES = """\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=staff,dc=example,dc=com
objectClass: groupOfNames
cn: staff
member: uid=ann,dc=example,dc=com

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Ärmel
givenName: Ann
sn: Ärmel
mail: ann@example.com
mail: second@example.com
title: Engineer, with a title that is so long that slapcat has to fold the line of it in two
employeeNumber: 0042
userPassword: {yescrypt}

dn: uid=ben,dc=example,dc=com
objectClass: inetOrgPerson
uid: ben
cn: Ben
sn: Berg
mail: ben@example.com
userPassword: {{CRYPT}}!$6$salt$locked

dn: uid=cy,dc=example,dc=com
objectClass: inetOrgPerson
uid: cy
cn: Cy
sn: Poe
mail: cy@example.com
userPassword: {ssha}

dn: uid=backup,dc=example,dc=com
objectClass: inetOrgPerson
uid: backup
cn: Backup
sn: Backup
"""


@pytest.fixture
def slapcat(tmp_path: Path) -> str:
    """What slapcat writes of a directory that slapadd has filled."""
    settings, entries = tmp_path / "slapd.conf", tmp_path / "entries.ldif"
    folder = tmp_path / "data"
    folder.mkdir()
    settings.write_text(CONFIGURATION.format(packages=PACKAGES, folder=folder), "utf-8")
    yescrypt = run_unpacked("usr/bin/mkpasswd", "-s", "-m", "yescrypt", text=PASSWORD).strip()
    ssha = run_unpacked("usr/sbin/slappasswd", "-h", "{SSHA}", "-s", PASSWORD).strip()
    text = ENTRIES.format(yescrypt=f"{{CRYPT}}{yescrypt}", ssha=ssha)
    entries.write_text(text, "utf-8")
    run_unpacked("usr/sbin/slapadd", "-f", settings, "-l", entries)
    return run_unpacked("usr/sbin/slapcat", "-f", settings)


def test_people_of_a_directory_arrive_with_their_passwords(slapcat: str) -> None:
    assert "\n " in slapcat  # it has folded a line
    assert "userPassword:: " in slapcat

    file, reading, users = read(slapcat, "ldif")

    assert reading.problems == []
    assert found(users) == [
        ("Ann", "Ärmel", "ann@example.com", "0042", False),
        ("Ben", "Berg", "ben@example.com", None, True),
        ("Cy", "Poe", "cy@example.com", None, False),
    ]
    assert (users[0].title or "").endswith("in two")
    assert Hasher(CHEAPEST).verify(users[0].password_hash, PASSWORD)
    ((position, weak),) = reading.take_passwords()
    assert position == 2
    assert Hasher(CHEAPEST).verify(weak, PASSWORD)
    passed_over, suspended = file.notes.lines
    assert passed_over == (
        "Passed over as entries: entries that are not people (1), groups (1), "
        "people without an email (1)."
    )
    assert suspended == "Users who are suspended in export.ldif, and arrive so: 1."


def test_a_weak_hash_in_ldif_is_refused_at_its_line_and_column(slapcat: str) -> None:
    _, reading, _ = read(slapcat, "ldif", weak=False)
    (problem,) = reading.problems
    assert (problem.field, problem.code) == ("password_hash", "password_hash_weak")
    line = slapcat.splitlines()[(problem.line or 0) - 1]
    assert line[: (problem.column or 0) - 1] == "userPassword:: "
    assert read(slapcat, "ldif", weak=False, verify=True)[1].problems == []


def test_a_password_that_another_system_verifies_is_passed_over_and_counted() -> None:
    text = "dn: x\nobjectClass: person\ncn: A\nmail: a@b.org\nuserPassword: {SASL}a@B.ORG\n\n"
    text += "dn: y\nobjectClass: person\ncn: B\nmail: b@b.org\nuserPassword: {Kerberos}b@B.ORG\n"
    file, reading, users = read(text, "ldif")
    assert (reading.problems, [user.password_hash for user in users]) == ([], [None, None])
    assert file.notes.lines == [
        "Passed over, since they do not arrive: passwords that SASL or Kerberos verifies (2)."
    ]


@pytest.mark.parametrize("text", ["{CRYPT}ab1Hv2Lg7ltQo", "{CLEARTEXT}secret", "{x-secret}"])
def test_a_hash_of_another_scheme_says_what_to_do(text: str) -> None:
    _, reading, _ = read(f"dn: x\n{PERSON}userPassword: {text}\n", "ldif")
    (problem,) = reading.problems
    assert (problem.code, problem.line) == ("password_hash_unknown", 5)
    assert problem.detail.endswith(": leave it out, and send the user a link to set a password")
    assert "secret" not in problem.detail


def test_what_ldapsearch_writes_around_the_entries_is_passed_over() -> None:
    """As it does without `-LLL`, with a comment in the last line."""
    text = f"# extended LDIF\n#\n# LDAPv3\n#\n\n# x\ndn: x\n{PERSON}\n# search result\n"
    text += "search: 2\nresult: 0 Success\n\n# numResponses: 2\n# numEntries: 1\n"
    for end in (text, text.rstrip("\n")):
        _, reading, users = read(end, "ldif")
        assert (reading.problems, found(users)) == ([], [("A", None, "a@b.org", None, False)])


PERSON = "objectClass: person\ncn: A\nmail: a@b.org\n"


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("", (1, 1), "empty"),
        ("dn: x\nnothing\n", (2, 1), "syntax"),
        ("dn: x\nmail:: ?\n", (2, 8), "syntax"),
        ("dn: x\nmail:< file:///etc/passwd\n", (2, 8), "syntax"),
        ("dn: x\nchangetype: modify\n", (2, 1), "syntax"),
        # Each would lose a person without a word.
        (f"dn: x\n{PERSON}dn: y\n{PERSON}", (5, 1), "syntax"),
        (f"dn: x\n{PERSON} \ndn: y\n{PERSON}", (6, 1), "syntax"),
        (f"dn: x\n\n{PERSON}", (3, 1), "syntax"),
        (f"dn: x\n{PERSON}".replace("\n", "\r"), (1, 6), "syntax"),
        ("dn: x\nobjectClass: person\ncn: A\nmail: no\n", (4, 7), "email_invalid"),
        (
            "# a\n#\n  b\ndn: x\nobjectClass: person\nmail: a@\n b@c.org\ncn: A\n",
            (6, 7),
            "email_invalid",
        ),
        (
            "dn: x\nobjectClass: person\ncn: A\nmail: a@b.org\nuserPassword: secret\n",
            (5, 15),
            "password_hash_unknown",
        ),
    ],
)
def test_a_problem_of_ldif_has_line_and_column(
    text: str, place: tuple[int, int], code: str
) -> None:
    _, reading, users = read(text, "ldif")
    (problem,) = reading.problems
    assert ((problem.line, problem.column), problem.code, users) == (place, code, [])
    assert "secret" not in problem.detail


@pytest.mark.parametrize(
    "lock",
    ["pwdAccountLockedTime: 000001010000Z", "nsAccountLock: TRUE", "userAccountControl: 514"],
)
def test_a_locked_account_arrives_suspended(lock: str) -> None:
    text = "dn: x\r\nobjectClass: person\r\ncn: A\r\nmail: a@b.org\r\n"
    for more, is_suspended in ((f"{lock}\r\n", True), ("userAccountControl: 512\r\n", False)):
        _, reading, (user,) = read(text + more, "ldif")
        assert (reading.problems, user.suspended) == ([], is_suspended)


@pytest.mark.parametrize(
    ("times", "many"),
    [
        (["000001010000Z"], "1."),
        (
            ["000001010000Z", "20200101000000Z"],
            "2; 1 of them was locked out after wrong passwords, and that may be over.",
        ),
    ],
)
def test_a_reading_says_how_many_arrive_suspended(times: list[str], many: str) -> None:
    text = "dn: x\nobjectClass: person\ncn: A\nmail: a@b.org\n\n"
    for at, lock in enumerate(times):
        text += f"dn: y\nobjectClass: person\ncn: B\nmail: b{at}@b.org\n"
        text += f"pwdAccountLockedTime: {lock}\n\n"
    note = f"Users who are suspended in export.ldif, and arrive so: {many}"
    assert read(text, "ldif")[0].notes.lines == [note]
    assert read(text, "ldif", verify=True)[0].notes.lines == []


@pytest.mark.parametrize("reset", ["TRUE", "FALSE"])
def test_a_password_that_has_to_be_changed_arrives_as_an_initial_one(reset: str) -> None:
    text = f"dn: x\n{PERSON}pwdReset: {reset}\n"

    _, _, (user,) = read(f"{text}userPassword: {{CRYPT}}$6$s${'a' * 86}\n", "ldif")
    _, _, (without,) = read(text, "ldif")

    assert (user.password_initial, without.password_initial) == (reset == "TRUE", False)


def test_an_export_of_active_directory_is_read() -> None:
    person = "dn: CN=A,DC=b,DC=org\r\nchangetype: add\r\n" + PERSON.replace("\n", "\r\n")
    _, reading, users = read(person, "ldif")  # as ldifde writes it
    assert (reading.problems, found(users)) == ([], [("A", None, "a@b.org", None, False)])


@given(st.text(), st.sampled_from(["ldif", "keycloak", "django"]))
def test_any_text_is_read_or_refused(text: str, file_format: str) -> None:
    data = text.encode(errors="surrogatepass")
    _, reading, users = read(data, file_format)
    assert reading.problems or users or not text.strip("[]{} \n")


def test_a_value_on_many_lines_takes_time_in_proportion_to_its_length() -> None:
    photo = "jpegPhoto:: QUFB\n" + f" {'A' * 75}\n" * 10_000
    people = (
        f"dn: x\nobjectClass: person\ncn: A\nmail: a{at}@b.org\n{photo}\n" for at in range(10)
    )
    started = time.process_time()
    _, reading, users = read("".join(people), "ldif")
    # A copy of the value for each of its lines took twenty times as long.
    assert time.process_time() - started < 0.5
    assert (len(users), reading.problems) == (10, [])


# Django

SETTINGS = """\
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
USE_TZ = True
"""

FILL = """\
import django, sys
django.setup()
from django.contrib.auth.models import Group, User
from django.core.management import call_command
call_command("migrate", verbosity=0)
Group.objects.create(name="staff")
names = {"first_name": "Ann", "last_name": "Roe"}
User.objects.create_superuser("root", "root@example.com", sys.argv[1], **names)
User.objects.create_user("ben", "ben@example.com", None)
User.objects.create_user("cy", "cy@example.com", None, is_active=False)
User.objects.create_user("robot", "", None)
call_command("dumpdata", "auth.user", "auth.group")
"""


@pytest.fixture
def dumpdata(tmp_path: Path) -> str:
    """What `django-admin dumpdata` writes."""
    (tmp_path / "site_settings.py").write_text(SETTINGS, "utf-8")
    environment = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-c", FILL, PASSWORD],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def test_users_of_django_arrive_with_their_passwords(dumpdata: str) -> None:
    file, reading, users = read(dumpdata, "django")
    assert reading.problems == []
    assert found(users) == [
        ("Ann", "Roe", "root@example.com", None, False),
        ("ben", None, "ben@example.com", None, False),
        ("cy", None, "cy@example.com", None, True),
    ]
    assert Hasher(CHEAPEST).verify(users[0].password_hash, PASSWORD)
    assert [user.has_password for user in users] == [True, False, False]
    assert file.notes.lines == [
        "Passed over as entries: users without an email (1), groups (1).",
        "Administrators of the other system, who arrive as collaborators: 1.",
        "Users who are suspended in export.django, and arrive so: 1.",
    ]


# Keycloak: the shape of its public migration realms (testsuite, migration-realm-*.json). The old
# one is that of 1.9.8, the others are those of 24.0.4, and of the hashes since 25.


def keycloak_user(name: str, *credentials: object, **fields: Any) -> dict[str, Any]:
    values = {"username": name, "email": f"{name}@example.com", "enabled": True, "totp": False}
    return values | {"credentials": list(credentials), "groups": ["/staff"]} | fields


def credential(secret: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    texts = {"secretData": json.dumps(secret), "credentialData": json.dumps(data)}
    return {"type": "password", "createdDate": 1_716_808_035_239} | texts


def realm(*users: dict[str, Any]) -> str:
    others = {"realm": "demo", "notBefore": 0, "groups": [{"name": "staff", "subGroups": []}]}
    return json.dumps(others | {"users": list(users), "clients": [{"clientId": "x" * 600_000}] * 3})


def test_users_of_keycloak_arrive_with_their_passwords() -> None:
    salt = b"sixteen octets!!"
    encoded = base64.b64encode(salt).decode()
    tag = base64.b64encode(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 27_500, 64))
    old = base64.b64encode(hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), salt, 20_000, 64))
    by_argon2 = base64.b64encode(
        argon2.low_level.hash_secret_raw(PASSWORD.encode(), salt, 5, 7168, 1, 32, argon2.Type.ID)
    )
    costs = {"hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"]}
    ann = keycloak_user(
        "ann",
        credential(
            {"value": tag.decode(), "salt": encoded, "additionalParameters": {}},
            {"hashIterations": 27_500, "algorithm": "pbkdf2-sha256"},
        ),
        {"type": "otp", "secretData": "{}", "credentialData": "{}"},
        {"type": "password-history", "secretData": "{}", "credentialData": "{}"},
        firstName="Ann",
        lastName="Roe",
        realmRoles=["default-roles-demo"],
        clientRoles={"realm-management": ["realm-admin"]},
        federatedIdentities=[{"identityProvider": "github", "userId": "1"}],
    )
    ben = keycloak_user(
        "ben",
        credential(
            {"value": by_argon2.decode(), "salt": encoded},
            {
                "hashIterations": 5,
                "algorithm": "argon2",
                "additionalParameters": costs | {"parallelism": ["1"]},
            },
        ),
        enabled=False,
    )
    cy = keycloak_user(
        "cy",
        {
            "type": "password",
            "hashedSaltedValue": old.decode(),
            "salt": encoded,
            "hashIterations": 20_000,
            "algorithm": "pbkdf2",
        },
        requiredActions=["CONFIGURE_TOTP", "UPDATE_PASSWORD"],
    )
    dan = keycloak_user("dan", requiredActions=["UPDATE_PASSWORD"])
    robot = keycloak_user("service-account-x", email=None, serviceAccountClientId="x")

    file, reading, users = read(realm(ann, ben, cy, dan, robot), "keycloak")

    assert reading.problems == []
    assert found(users) == [
        ("Ann", "Roe", "ann@example.com", None, False),
        ("ben", None, "ben@example.com", None, True),
        ("cy", None, "cy@example.com", None, False),
        ("dan", None, "dan@example.com", None, False),
    ]
    assert all(Hasher(CHEAPEST).verify(user.password_hash, PASSWORD) for user in users[:3])
    assert [user.password_initial for user in users] == [False, False, True, False]
    assert file.notes.lines == [
        "Passed over as entries: service accounts (1).",
        "Passed over, since they do not arrive: groups (1), second factors (1), identities (1).",
        "Administrators of the other system, who arrive as collaborators: 1.",
        "Users who are suspended in export.keycloak, and arrive so: 1.",
    ]


@pytest.mark.parametrize(
    "open_email",
    [
        {"emailVerified": False},
        {"requiredActions": ["VERIFY_EMAIL"]},
        {"emailVerified": True, "requiredActions": ["UPDATE_EMAIL"]},
    ],
)
def test_a_user_of_keycloak_whose_email_nobody_has_verified_is_passed_over_and_counted(
    open_email: dict[str, Any],
) -> None:
    verified = keycloak_user("ann", firstName="Ann", emailVerified=True)
    others = keycloak_user("boss", firstName="Boss") | open_email
    file, reading, users = read(realm(verified, others), "keycloak")
    assert not reading.problems
    assert [user.name for user in users] == ["Ann"]
    assert "Passed over as entries: users whose email is not verified (1)." in file.notes.lines


def test_one_bad_user_of_keycloak_refuses_the_file() -> None:
    wrong = credential({"value": "AAAA", "salt": "AAAA"}, {"algorithm": "unknown-plugin"})
    _, reading, _ = read(realm(keycloak_user("ann"), keycloak_user("ben", wrong)), "keycloak")
    (problem,) = reading.problems
    assert (problem.index, problem.field, problem.code) == (
        1,
        "password_hash",
        "password_hash_unknown",
    )
    assert problem.line == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


#: of a user of Keycloak
FIELDS = (
    *("username", "email", "firstName", "lastName", "enabled", "credentials"),
    *("realmRoles", "clientRoles", "federatedIdentities", "serviceAccountClientId"),
    "requiredActions",
)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_of_a_field_of_keycloak_is_read_or_refused(field: str, value: object) -> None:
    text = json.dumps({"users": [keycloak_user("ann") | {field: value}]})
    file, reading, users = read(text, "keycloak")
    assert reading.problems or users or file.notes.lines


@given(st.sampled_from(["credentialData", "secretData", "type", "value", "algorithm"]), JSON)
def test_any_value_of_a_credential_of_keycloak_is_read_or_refused(
    field: str, value: object
) -> None:
    changed = credential({"value": "AAAA"}, {"algorithm": "argon2"}) | {field: value}
    file, reading, users = read(json.dumps({"users": [keycloak_user("ann", changed)]}), "keycloak")
    assert reading.problems or users or file.notes.lines


@given(st.sampled_from(["email", "password", "first_name", "is_active", "is_superuser"]), JSON)
def test_any_value_of_a_field_of_django_is_read_or_refused(field: str, value: object) -> None:
    fields = {"email": "a@x.org", "password": "!x", "first_name": "A", "last_login": None}
    text = json.dumps([{"model": "auth.user", "pk": 1, "fields": fields | {field: value}}])
    file, reading, users = read(text, "django")
    assert reading.problems or users or file.notes.lines


@pytest.mark.parametrize("file_format", ["keycloak", "django"])
def test_a_second_export_in_a_file_is_refused_and_not_passed_over(file_format: str) -> None:
    fields = {"email": "a@x.org", "password": "!x", "first_name": "A", "last_login": None}
    dump = json.dumps([{"model": "auth.user", "pk": 1, "fields": fields}])
    export = {"keycloak": realm(keycloak_user("ann")), "django": dump}[file_format]

    (problem,) = read(f"{export}\n{export}\n", file_format)[1].problems

    assert (problem.code, problem.line, problem.column) == ("documents", 2, 1)
    assert read(f"{export} \n", file_format)[1].problems == []


def test_json_lines_of_django_are_refused_with_the_way_to_export_json() -> None:
    fields = {"email": "a@x.org", "password": "!x", "first_name": "A", "last_login": None}
    line = json.dumps({"model": "auth.user", "pk": 1, "fields": fields})

    (problem,) = read(f"{line}\n{line}\n", "django")[1].problems
    assert (problem.code, problem.line, problem.column) == ("documents", 2, 1)
    assert problem.detail == (
        "the file has an object in each line (JSON Lines): export it as JSON, of Django by "
        "`dumpdata` without --format jsonl"
    )
    (problem,) = read(f"{line}\n", "django")[1].problems
    assert problem.code == "empty"
    assert problem.detail == (
        "the file has no users: it needs a list of them, or a map with the list 'users'"
    )


MALFORMED = {
    "a credential that is not a map": ("keycloak", realm(keycloak_user("ann", "x"))),
    "a text that is not JSON": (
        "keycloak",
        realm(keycloak_user("ann", {"type": "password", "secretData": "{oops"})),
    ),
    "roles that are maps": ("keycloak", realm(keycloak_user("ann", realmRoles=[{"name": "x"}]))),
    "an email that is a number": ("keycloak", realm(keycloak_user("ann", email=5))),
    "a list of realms": ("keycloak", f"[{json.dumps({'realm': 'a', 'users': [{}]})}]"),
    "a password that is a number": (
        "django",
        '[{"model": "x.user", "fields": {"email": "a@x.org", "password": 5, "last_login": 0}}]',
    ),
}


@pytest.mark.parametrize(("file_format", "text"), MALFORMED.values(), ids=MALFORMED)
def test_an_entry_that_no_such_system_writes_is_refused_at_its_place(
    file_format: str, text: str
) -> None:
    _, reading, users = read(text, file_format)
    assert users == []
    (problem,) = reading.problems
    assert (problem.index, problem.code, problem.line) == (0, "type", 1)
    assert "oops" not in problem.detail


def test_what_a_reader_keeps_of_an_entry_shows_no_hash() -> None:
    mapped = _map_user(keycloak_user("ann", {"type": "password", "value": "aHVudGVyMg=="}))
    assert mapped.values
    for one in (mapped, _Credential(value="aHVudGVyMg=="), _Value("aHVudGVyMg==", Place(1, 1))):
        assert "aHVudGVyMg" not in repr(one)


@pytest.mark.parametrize("file_format", ["keycloak", "django"])
@pytest.mark.parametrize("text", ["[]", "{}", '{"users": []}', '{"groups": []}'])
def test_an_export_without_users_is_refused(text: str, file_format: str) -> None:
    _, reading, users = read(text, file_format)
    assert ([problem.code for problem in reading.problems], users) == (["empty"], [])
