"""The sentences of the audit log: one for each event, which says no more than the entry."""

from typing import Any

import pytest
from msgspec import json

from anyscale.domain.audit_chain import AuditEntry
from anyscale.server.core.audit.names import EntryNames, NamedBatch, NamedUser
from anyscale.server.core.audit.runs import Run
from anyscale.server.http.console.audit.entries import ShownEntry, shown_entry, shown_run
from anyscale.server.http.console.audit.sentences import SENTENCES

UWE, ANN, EVE, NOBODY = (f"usr_{digit * 32}" for digit in "abcd")
STAFF, UNNAMED, PURGED = (f"bat_{digit * 24}" for digit in "abc")
GRAFANA, GONE = (f"app_{digit * 24}" for digit in "ab")

NAMES = EntryNames(
    users={
        UWE: NamedUser("Uwe Lang", "uwe@example.com"),
        ANN: NamedUser("ann könig", "ann@example.com"),
    },
    former_emails={EVE: "eve@example.com"},
    batches={STAFF: NamedBatch("staff.csv", 0), UNNAMED: NamedBatch(None, 1_800_000_000_000)},
    applications={GRAFANA: "Grafana"},
)

BY_UWE = f"user:{UWE}"
BY_ANN = f"user:{ANN}"
AT = 1_800_000_000_000


def shown(event: str, actor: str, subject: str = "", **details: Any) -> ShownEntry:
    data = json.encode(details).decode()
    return shown_entry(AuditEntry(7, AT, actor, event, subject, data, "0f" * 32), NAMES)


def words(entry: ShownEntry) -> str:
    texts = [part.text + (f" {part.at:%Y-%m-%d %H:%M}" if part.at else "") for part in entry.words]
    return "".join(texts).replace("  ", " ")


#: event -> entries about it, each with its sentence
SAID: dict[str, list[tuple[str, str, dict[str, Any], str]]] = {
    "account.created": [
        (BY_UWE, ANN, {}, "Uwe Lang created the account of ann könig"),
        ("local:root", ANN, {}, "An operator on the server created the account of ann könig"),
    ],
    "account.updated": [
        (
            BY_UWE,
            ANN,
            {"fields": ["lastname", "title"]},
            "Uwe Lang changed the last name and the title of ann könig",
        ),
        (
            BY_UWE,
            ANN,
            {"fields": ["is_sso_user"], "is_sso_user": True},
            "Uwe Lang turned single sign-on on for ann könig",
        ),
        (
            BY_UWE,
            ANN,
            {"fields": ["external_id", "is_sso_user", "name"], "is_sso_user": False},
            (
                "Uwe Lang changed the personnel number and the first name of ann könig and turned "
                "single sign-on off for this user"
            ),
        ),
    ],
    "account.email_changed": [
        (
            BY_UWE,
            EVE,
            {"old_email": "e@example.com", "new_email": "eve@example.com"},
            "Uwe Lang changed the email of eve@example.com from e@example.com to eve@example.com",
        )
    ],
    "account.role_set": [
        (BY_UWE, ANN, {"role": "owner"}, "Uwe Lang made ann könig an owner"),
        (BY_UWE, ANN, {"role": "collaborator"}, "Uwe Lang made ann könig a member"),
    ],
    "account.suspended": [
        (BY_UWE, ANN, {}, "Uwe Lang suspended ann könig"),
        (
            "token:hr",
            EVE,
            {"by_sync": True},
            "The token hr suspended eve@example.com, by an update from a file",
        ),
    ],
    "account.restored": [(BY_UWE, ANN, {}, "Uwe Lang restored ann könig")],
    "account.deleted": [(BY_UWE, NOBODY, {}, "Uwe Lang deleted the account of a user")],
    "batch.published": [
        (
            BY_UWE,
            STAFF,
            {"users": 1_057, "skipped": 3},
            "Uwe Lang created 1,057 accounts by the import staff.csv; 3 users had an account",
        ),
        (
            BY_UWE,
            UNNAMED,
            {"users": 1, "skipped": 0},
            "Uwe Lang created 1 account by the import of 2027-01-15 08:00",
        ),
    ],
    "batch.dropped": [(BY_UWE, STAFF, {}, "Uwe Lang cancelled the import staff.csv")],
    "batch.expired": [
        (
            "system",
            PURGED,
            {},
            "The server ended an import, which nobody continued; it created no account",
        )
    ],
    "batch.accounts_deleted": [
        (
            BY_UWE,
            STAFF,
            {"removed": 500, "positions": "0-499"},
            "Uwe Lang deleted 500 accounts of the import staff.csv",
        ),
        (
            BY_UWE,
            STAFF,
            {"removed": 9, "positions": "0-8", "links_ended": 2},
            "Uwe Lang deleted 9 accounts of the import staff.csv, and ended 2 unused links by them",
        ),
    ],
    "batch.undone": [(BY_UWE, STAFF, {}, "Uwe Lang completed the undo of the import staff.csv")],
    "links.created": [(BY_UWE, ANN, {}, "Uwe Lang created a link for ann könig")],
    "links.mail_requested": [
        (BY_UWE, ANN, {}, "Uwe Lang requested a mail with a link for ann könig")
    ],
    "mailing.requested": [
        (
            BY_UWE,
            STAFF,
            {"accounts": 57},
            (
                "Uwe Lang requested mails with links to 57 users of the import staff.csv who could "
                "not sign in"
            ),
        ),
        (
            BY_UWE,
            "",
            {"accounts": 1},
            "Uwe Lang requested mails with links to 1 user who could not sign in",
        ),
    ],
    "mailing.stopped": [
        (
            "system",
            STAFF,
            {"sent": 12, "failed": 1},
            (
                "The server stopped the mails with links to users of the import staff.csv: 12 had "
                "been sent, and 1 had failed"
            ),
        ),
        (
            BY_UWE,
            "",
            {"sent": 12, "failed": 0},
            (
                "Uwe Lang stopped the mails with links to users who could not sign in: 12 had been "
                "sent"
            ),
        ),
    ],
    "password.reset_requested": [
        ("anonymous", ANN, {}, "Somebody requested a link for a forgotten password of ann könig")
    ],
    "password.changed": [(BY_UWE, UWE, {}, "Uwe Lang changed their password")],
    "password.set_by_link": [(BY_UWE, UWE, {}, "Uwe Lang set a password by a link")],
    "session.created": [
        (BY_ANN, "ses_1", {"auth_method": "password"}, "ann könig signed in by password"),
        (BY_ANN, "ses_1", {"auth_method": "sso"}, "ann könig signed in by single sign-on"),
        (BY_ANN, "ses_1", {"auth_method": "new"}, "ann könig signed in"),
    ],
    "session.renewed": [
        (BY_ANN, "ses_1", {"auth_method": "passkey"}, "ann könig signed in again by a passkey")
    ],
    "session.revoked": [(BY_ANN, "ses_1", {}, "A session of ann könig ended")],
    "session.expired": [(BY_ANN, "ses_1", {}, "A session of ann könig had expired")],
    "sessions.revoked": [
        (BY_UWE, ANN, {"count": 1}, "Uwe Lang ended 1 session of ann könig"),
        (BY_UWE, UWE, {"count": 2}, "Uwe Lang signed out of 2 other sessions"),
    ],
    "authorization.created": [
        (BY_UWE, "gra_1", {"client_id": GRAFANA}, "Uwe Lang signed in to the application Grafana")
    ],
    "authorization.revoked": [
        (
            BY_UWE,
            UWE,
            {"client_id": GRAFANA, "reason": "user"},
            "Uwe Lang ended the sign-in at the application Grafana",
        ),
        (
            BY_UWE,
            "gra_1",
            {"client_id": GONE, "reason": "application"},
            "An application ended the sign-in of Uwe Lang",
        ),
        (
            BY_UWE,
            "gra_1",
            {"client_id": GRAFANA, "reason": "code_refused"},
            (
                "The sign-in of Uwe Lang at the application Grafana ended, since its code was used "
                "again"
            ),
        ),
        (
            BY_UWE,
            "gra_1",
            {"client_id": GRAFANA, "reason": "new"},
            "The sign-in of Uwe Lang at the application Grafana ended",
        ),
    ],
    "identity.linked": [
        (
            BY_UWE,
            UWE,
            {"issuer": "https://sso.example.com"},
            "The account of Uwe Lang was linked to an identity of https://sso.example.com",
        )
    ],
    "factor.added": [(BY_UWE, UWE, {"kind": "passkey"}, "Uwe Lang added a passkey to sign in")],
    "factor.removed": [
        (BY_UWE, UWE, {"factor_id": "fac_1"}, "Uwe Lang removed a second factor"),
        (
            BY_UWE,
            ANN,
            {"kinds": ["passkey", "totp"], "reason": "lost {actor}", "sessions": 1},
            (
                "Uwe Lang removed the second factors of ann könig (a passkey and an authenticator "
                "app): lost {actor}"
            ),
        ),
    ],
    "factor.wrong_codes": [
        (
            BY_ANN,
            ANN,
            {"in_a_row": 10},
            "Somebody typed 10 wrong one-time codes in a row for ann könig",
        )
    ],
    "factor.codes_off": [
        (
            BY_ANN,
            ANN,
            {"in_a_row": 100},
            "One-time codes of ann könig were turned off, after 100 wrong ones in a row",
        )
    ],
    "recovery_code.used": [
        (BY_UWE, UWE, {"left": 1}, "Uwe Lang signed in by a recovery code; 1 code left")
    ],
    "recovery_codes.created": [(BY_UWE, UWE, {"count": 10}, "Uwe Lang created 10 recovery codes")],
    "token.created": [
        (BY_UWE, "tok_1", {"name": "hr {x}"}, "Uwe Lang created the token hr {x}"),
        (BY_UWE, "tok_1", {"user_id": UWE}, "Uwe Lang created a personal token"),
    ],
    "token.revoked": [
        (BY_UWE, "tok_1", {"user_id": ANN}, "Uwe Lang revoked a token of ann könig"),
        (BY_UWE, "tok_1", {}, "Uwe Lang revoked a personal token"),
    ],
    "application.created": [(BY_UWE, GRAFANA, {}, "Uwe Lang created the application Grafana")],
    "application.updated": [
        (
            BY_UWE,
            GRAFANA,
            {"fields": ["audience", "name", "new_one"]},
            "Uwe Lang changed the application Grafana: who may sign in, the name and new_one",
        )
    ],
    "application.secret_rotated": [
        (
            BY_UWE,
            GRAFANA,
            {"now": False},
            "Uwe Lang replaced the secret of the application Grafana",
        ),
        (
            BY_UWE,
            GRAFANA,
            {"now": True},
            (
                "Uwe Lang replaced the secret of the application Grafana, and the one before "
                "stopped at once"
            ),
        ),
    ],
    "application.deleted": [(BY_UWE, GONE, {}, "Uwe Lang deleted an application")],
    "access.denied": [
        (
            BY_ANN,
            "",
            {"reason": "invalid_credentials", "times": 1},
            "A sign-in as ann könig was refused",
        ),
        (
            "anonymous",
            "",
            {"reason": "invalid_credentials", "times": 12},
            "A sign-in was refused, 12 times",
        ),
        (
            "anonymous",
            "",
            {"reason": "not_authenticated", "times": 1},
            "A request without a valid sign-in or token was refused",
        ),
        ("token:hr", "", {"reason": "other"}, "A request of the token hr was refused"),
    ],
    "users.exported": [
        (
            BY_UWE,
            "",
            {"format": "csv", "filtered": True},
            "Uwe Lang downloaded a part of the list of users",
        ),
        (
            "local:root",
            "",
            {"users": 2_000, "password_hashes": 1},
            "An operator on the server exported 2,000 users, with 1 hashed password",
        ),
    ],
    "audit.exported": [(BY_UWE, "", {"filtered": False}, "Uwe Lang downloaded the audit log")],
    "audit.forgotten": [
        (
            "system",
            "9",
            {"before": AT},
            "The server removed the entries from before 2027-01-15 08:00",
        )
    ],
    "database.copied": [
        (
            "local:root",
            "",
            {"to": "PostgreSQL"},
            "An operator on the server copied the whole database to PostgreSQL",
        )
    ],
    "signing_key.created": [
        ("local:root", "kid", {}, "An operator on the server created a signing key")
    ],
    "signing_key.revoked": [
        ("local:root", "kid", {}, "An operator on the server revoked a signing key")
    ],
    "server_keys.replaced": [
        (
            "local:root",
            "",
            {"names": ["sso_cookie"]},
            "An operator on the server replaced the keys that the database has",
        )
    ],
    "second_factor_key.created": [
        ("system", "b2dc", {}, "The server created a key for second factors")
    ],
}


@pytest.mark.parametrize("event", SENTENCES)
def test_each_event_has_a_sentence(event: str) -> None:
    for actor, subject, details, sentence in SAID[event]:
        assert words(shown(event, actor, subject, **details)) == sentence


#: event -> actor, and the sentence of 1,057 entries in a row
IN_A_ROW = {
    "account.created": (BY_UWE, "Uwe Lang created 1,057 accounts"),
    "account.updated": (BY_UWE, "Uwe Lang made 1,057 edits of accounts"),
    "account.email_changed": (BY_UWE, "Uwe Lang changed 1,057 emails"),
    "account.role_set": (BY_UWE, "Uwe Lang changed 1,057 roles"),
    "account.suspended": ("token:hr", "The token hr suspended 1,057 accounts"),
    "account.restored": (BY_ANN, "ann könig restored 1,057 accounts"),
    "account.deleted": (BY_UWE, "Uwe Lang deleted 1,057 accounts"),
    "batch.accounts_deleted": (BY_UWE, "Uwe Lang deleted accounts of imports in 1,057 steps"),
    "links.created": (BY_UWE, "Uwe Lang created 1,057 links"),
    "links.mail_requested": (BY_UWE, "Uwe Lang requested 1,057 mails with links"),
    "session.created": (BY_ANN, "ann könig signed in 1,057 times"),
    "access.denied": ("anonymous", "1,057 entries of somebody: Refused"),
    "group.joined": ("system", "1,057 entries of the server: group.joined"),
}


@pytest.mark.parametrize("event", IN_A_ROW)
def test_many_entries_in_a_row_have_one_sentence(event: str) -> None:
    actor, sentence = IN_A_ROW[event]
    for seconds, times in {
        59: "",
        90: ", from 2027-01-15 08:00 to 2027-01-15 08:01",
    }.items():
        ends = (
            AuditEntry(number, at, actor, event, ANN, "{}", "0f" * 32)
            for number, at in ((1_063, AT + seconds * 1000), (7, AT))
        )
        assert words(shown_run(Run(*ends), NAMES)) == sentence + times


def test_an_event_of_another_version_is_shown_by_its_name() -> None:
    assert words(shown("group.joined", BY_UWE, ANN)) == "Uwe Lang: group.joined, ann könig"


def test_names_are_filters_and_lead_to_the_pages_that_exist() -> None:
    actor, _, subject = shown("account.suspended", BY_UWE, ANN).words
    assert (actor.filter, actor.href) == (("account", UWE), f"/console/users/{UWE}")
    assert (subject.filter, subject.href) == (("account", ANN), f"/console/users/{ANN}")
    for id_, event in {
        EVE: "account.restored",
        PURGED: "batch.undone",
        GONE: "application.deleted",
    }.items():
        assert shown(event, BY_UWE, id_).words[-1].href == ""


def test_ids_hashes_and_emails_are_in_the_details() -> None:
    entry = shown(
        "links.created", BY_UWE, ANN, expires_at=AT, is_new=True, before=None, many=["a", "b"]
    )
    assert entry.actor == f"user:{UWE} (uwe@example.com)"
    assert entry.subject == f"{ANN} (ann@example.com)"
    assert entry.hash == "0f" * 32
    assert entry.details == [
        ("Expires at", "2027-01-15 08:00:00 UTC"),
        ("Is new", "yes"),
        ("Before", "none"),
        ("Many", "a, b"),
    ]
