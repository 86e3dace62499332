"""What each event of the audit log says: a subject, a verb and an object, in the past tense.

A sentence says no more than its entry. `{actor}` and `{subject}` stand for those of the entry, with
their names, and another word in braces for the detail of this name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from anyscale.domain.phrases import listed, quantity
from anyscale.server.core.callers import user_actor


class Facts(NamedTuple):
    """What an entry says."""

    actor: str
    event: str
    subject: str
    details: Mapping[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether a user did it to the own account."""
        return self.actor == user_actor(self.subject)


Words = str | Callable[[Facts], str]


#: the words of many entries whose event has none
_MANY = "{count} entries of {actor}: {label}"

#: in milliseconds
_MINUTE = 60_000


class Sentence(NamedTuple):
    """The words of an event."""

    #: in a list of events
    label: str
    words: Words
    #: of many entries in a row; it has the number of entries, and not what they are about
    many: str = _MANY


def sentence_of(facts: Facts) -> str:
    """Return the sentence of an entry, with words in braces."""
    known = SENTENCES.get(facts.event)
    if known is None:  # of another version
        return "{actor}: {event}" + (", {subject}" if facts.subject else "")
    return known.words if isinstance(known.words, str) else known.words(facts)


def sentence_of_run(facts: Facts) -> str:
    """Return the sentence of many entries in a row of one actor and event, with words in braces."""
    known = SENTENCES.get(facts.event)
    many = known.many if known else _MANY
    first, last = (facts.details[name] // _MINUTE for name in ("first_at", "last_at"))
    return many if first == last else many + ", from {first_at} to {last_at}"


def label_of(event: str) -> str:
    """Return an event in the words of a list of events."""
    return SENTENCES[event].label if event in SENTENCES else event


def _list(words: list[str]) -> str:
    return listed(words) if words else "nothing"


def _published(facts: Facts) -> str:
    skipped = facts.details.get("skipped", 0)
    left_out = f"; {quantity(skipped, 'user')} had an account" if skipped else ""
    users = quantity(facts.details["users"], "account")
    return f"{{actor}} created {users} by {{subject}}{left_out}"


def _accounts_deleted(facts: Facts) -> str:
    text = f"{{actor}} deleted {quantity(facts.details['removed'], 'account')} of {{subject}}"
    if count := facts.details.get("links_ended", 0):
        text += f", and ended {quantity(count, 'unused link')} by them"
    return text


def _token(verb: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        if "name" in facts.details:
            return f"{{actor}} {verb} the token {{name}}"
        owner = facts.details.get("user_id", "")
        of_another = owner and user_actor(owner) != facts.actor
        return f"{{actor}} {verb} a " + ("token of {user_id}" if of_another else "personal token")

    return words


def _links_of(facts: Facts) -> str:
    """Return what became of the links that an owner had created for others."""
    for detail, verb in (("links_ended", "ended"), ("links_kept", "kept")):
        if count := facts.details.get(detail, 0):
            return f", and {verb} {quantity(count, 'unused link')} by this owner"
    return ""


def _deleted(facts: Facts) -> str:
    return f"{{actor}} deleted the account of {{subject}}{_links_of(facts)}"


def _by_sync(verb: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        by = ", by an update from a file" if "by_sync" in facts.details else ""
        return f"{{actor}} {verb} {{subject}}{by}{_links_of(facts)}"

    return words


_ROLES = {"owner": "an owner", "collaborator": "a member"}


def _role(facts: Facts) -> str:
    role = str(facts.details["role"])
    return f"{{actor}} made {{subject}} {_ROLES.get(role, role)}{_links_of(facts)}"


_ACCOUNT_FIELDS = {
    "external_id": "the personnel number",
    "is_sso_user": "single sign-on",
    "lastname": "the last name",
    "name": "the first name",
    "title": "the title",
}


def _updated(facts: Facts) -> str:
    fields = [one for one in facts.details["fields"] if one != "is_sso_user"]
    changed = _list([_ACCOUNT_FIELDS.get(one, one) for one in fields])
    done = [f"changed {changed} of {{subject}}"] if fields else []
    if "is_sso_user" in facts.details:
        state = "on" if facts.details["is_sso_user"] else "off"
        done.append(f"turned single sign-on {state} for {'this user' if fields else '{subject}'}")
    return f"{{actor}} {_list(done)}"


def _mailing(facts: Facts) -> str:
    users = quantity(facts.details["accounts"], "user")
    batch = " of {subject}" if facts.subject else ""
    return f"{{actor}} requested mails with links to {users}{batch} who could not sign in"


def _mailing_stopped(facts: Facts) -> str:
    users = "users of {subject}" if facts.subject else "users who could not sign in"
    sent, failed = facts.details.get("sent", 0), facts.details.get("failed", 0)
    also = f", and {failed:,} had failed" if failed else ""
    return f"{{actor}} stopped the mails with links to {users}: {sent:,} had been sent{also}"


def _users_exported(facts: Facts) -> str:
    details = facts.details
    if "users" in details:
        hashes = quantity(details.get("password_hashes", 0), "hashed password")
        return f"{{actor}} exported {quantity(details['users'], 'user')}, with {hashes}"
    part = "a part of " if details.get("filtered") else ""
    return f"{{actor}} downloaded {part}the list of users"


def _audit_exported(facts: Facts) -> str:
    part = "a part of " if facts.details.get("filtered") else ""
    return f"{{actor}} downloaded {part}the audit log"


_APPLICATION_FIELDS = {
    "name": "the name",
    "redirect_uris": "the addresses to return to",
    "post_logout_redirect_uris": "the addresses to return to after signing out",
    "refresh_tokens": "how long sign-ins last",
    "requires_pkce": "whether PKCE is required",
    "requires_second_factor": "whether a second factor is required",
    "audience": "who may sign in",
    "address": "the address",
}


def _application_updated(facts: Facts) -> str:
    fields = [_APPLICATION_FIELDS.get(one, one) for one in facts.details["fields"]]
    return f"{{actor}} changed {{subject}}: {_list(fields)}"


def _rotated(facts: Facts) -> str:
    at_once = ", and the one before stopped at once" if facts.details.get("now") else ""
    return f"{{actor}} replaced the secret of {{subject}}{at_once}"


_ENDS = {
    "user": "{actor} ended the sign-in at {client_id}",
    "application": "{client_id} ended the sign-in of {actor}",
    "code_refused": "The sign-in of {actor} at {client_id} ended, since its code was used again",
    "refresh_token_refused": "The sign-in of {actor} at {client_id} ended, since a refresh token "
    "was used again",
}


def _authorization_revoked(facts: Facts) -> str:
    other = "The sign-in of {actor} at {client_id} ended"
    return _ENDS.get(str(facts.details.get("reason")), other)


_METHODS = {
    "password": " by password",
    "link": " by a link",
    "sso": " by single sign-on",
    "passkey": " by a passkey",
}


def _signed_in(again: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        details = facts.details
        return f"{{actor}} signed in{again}{_METHODS.get(details.get('auth_method', ''), '')}"

    return words


def _sessions_revoked(facts: Facts) -> str:
    sessions = facts.details.get("count", 0)
    if facts.is_own:
        return f"{{actor}} signed out of {quantity(sessions, 'other session')}"
    return f"{{actor}} ended {quantity(sessions, 'session')} of {{subject}}"


_FACTORS = {"totp": "an authenticator app", "passkey": "a passkey"}


def _factor_added(facts: Facts) -> str:
    kind = _FACTORS.get(str(facts.details.get("kind")), "a second factor")
    return f"{{actor}} added {kind} to sign in"


def _factor_removed(facts: Facts) -> str:
    if "kinds" not in facts.details:
        return "{actor} removed a second factor"
    kinds = _list([_FACTORS.get(one, one) for one in facts.details["kinds"]])
    return f"{{actor}} removed the second factors of {{subject}} ({kinds}): {{reason}}"


def _recovery_code(facts: Facts) -> str:
    left = quantity(facts.details.get("left", 0), "code")
    return f"{{actor}} signed in by a recovery code; {left} left"


def _recovery_codes(facts: Facts) -> str:
    return f"{{actor}} created {quantity(facts.details.get('count', 0), 'recovery code')}"


def _wrong_codes(facts: Facts) -> str:
    codes = quantity(facts.details.get("in_a_row", 0), "wrong one-time code")
    return f"Somebody typed {codes} in a row for {{subject}}"


def _codes_off(facts: Facts) -> str:
    codes = quantity(facts.details.get("in_a_row", 0), "wrong one")
    return f"One-time codes of {{subject}} were turned off, after {codes} in a row"


# Nobody knows who typed a wrong password or code: the actor is the account with the email.
_DENIALS = {
    "invalid_credentials": "A sign-in as {actor} was refused",
    "password_expired": "A sign-in as {actor} was refused: the initial password had expired",
    "code_refused": "A sign-in as {actor} was refused: the code was wrong",
    "not_authenticated": "A request of {actor} without a valid sign-in or token was refused",
    "not_permitted": "A request of {actor} was refused: it was not permitted",
    "csrf_rejected": "A request of {actor} from a page of another site was refused",
}


def _denied(facts: Facts) -> str:
    words = _DENIALS.get(str(facts.details.get("reason")), "A request of {actor} was refused")
    if facts.actor == "anonymous":
        words = words.replace(" of {actor}", "").replace(" as {actor}", "")
    times = facts.details.get("times", 1)
    return words + (f", {times:,} times" if times > 1 else "")


#: event -> its words
SENTENCES: Mapping[str, Sentence] = {
    "account.created": Sentence(
        "User created",
        "{actor} created the account of {subject}",
        "{actor} created {count} accounts",
    ),
    "account.updated": Sentence("User edited", _updated, "{actor} made {count} edits of accounts"),
    "account.email_changed": Sentence(
        "Email changed",
        "{actor} changed the email of {subject} from {old_email} to {new_email}",
        "{actor} changed {count} emails",
    ),
    "account.role_set": Sentence("Role changed", _role, "{actor} changed {count} roles"),
    "account.suspended": Sentence(
        "User suspended", _by_sync("suspended"), "{actor} suspended {count} accounts"
    ),
    "account.restored": Sentence(
        "User restored", _by_sync("restored"), "{actor} restored {count} accounts"
    ),
    "account.deleted": Sentence(
        "User deleted",
        _deleted,
        "{actor} deleted {count} accounts",
    ),
    "batch.published": Sentence("Users imported", _published),
    "batch.dropped": Sentence("Import cancelled", "{actor} cancelled {subject}"),
    "batch.expired": Sentence(
        "Import expired", "{actor} ended {subject}, which nobody continued; it created no account"
    ),
    "batch.accounts_deleted": Sentence(
        "Users of an import deleted",
        _accounts_deleted,
        "{actor} deleted accounts of imports in {count} steps",
    ),
    "batch.undone": Sentence("Import undone", "{actor} completed the undo of {subject}"),
    "links.created": Sentence(
        "Link created", "{actor} created a link for {subject}", "{actor} created {count} links"
    ),
    "links.mail_requested": Sentence(
        "Link by mail requested",
        "{actor} requested a mail with a link for {subject}",
        "{actor} requested {count} mails with links",
    ),
    "mailing.requested": Sentence("Mails with links requested", _mailing),
    "mailing.stopped": Sentence("Mails with links stopped", _mailing_stopped),
    "password.reset_requested": Sentence(
        "Forgotten password", "Somebody requested a link for a forgotten password of {subject}"
    ),
    "password.changed": Sentence("Password changed", "{actor} changed their password"),
    "password.set_by_link": Sentence("Password set by a link", "{actor} set a password by a link"),
    "session.created": Sentence("Signed in", _signed_in(""), "{actor} signed in {count} times"),
    "session.renewed": Sentence("Signed in again", _signed_in(" again")),
    "session.revoked": Sentence("Session ended", "A session of {actor} ended"),
    "sessions.revoked": Sentence("Sessions ended", _sessions_revoked),
    "session.expired": Sentence("Session expired", "A session of {actor} had expired"),
    "authorization.created": Sentence(
        "Signed in to an application", "{actor} signed in to {client_id}"
    ),
    "authorization.revoked": Sentence("Sign-in at an application ended", _authorization_revoked),
    "identity.linked": Sentence(
        "Linked to the identity provider",
        "The account of {subject} was linked to an identity of {issuer}",
    ),
    "factor.added": Sentence("Second factor added", _factor_added),
    "factor.removed": Sentence("Second factor removed", _factor_removed),
    "factor.wrong_codes": Sentence("Wrong one-time codes", _wrong_codes),
    "factor.codes_off": Sentence("One-time codes turned off", _codes_off),
    "recovery_code.used": Sentence("Recovery code used", _recovery_code),
    "recovery_codes.created": Sentence("Recovery codes created", _recovery_codes),
    "token.created": Sentence("Token created", _token("created")),
    "token.revoked": Sentence("Token revoked", _token("revoked")),
    "application.created": Sentence("Application created", "{actor} created {subject}"),
    "application.updated": Sentence("Application changed", _application_updated),
    "application.secret_rotated": Sentence("Secret of an application replaced", _rotated),
    "application.deleted": Sentence("Application deleted", "{actor} deleted {subject}"),
    "access.denied": Sentence("Refused", _denied),
    "users.exported": Sentence("Users downloaded", _users_exported),
    "audit.exported": Sentence("Audit log downloaded", _audit_exported),
    "audit.forgotten": Sentence(
        "Old entries removed", "{actor} removed the entries from before {before}"
    ),
    "database.copied": Sentence("Database copied", "{actor} copied the whole database to {to}"),
    "signing_key.created": Sentence("Signing key created", "{actor} created a signing key"),
    "signing_key.revoked": Sentence("Signing key revoked", "{actor} revoked a signing key"),
    "server_keys.replaced": Sentence(
        "Keys of the database replaced", "{actor} replaced the keys that the database has"
    ),
    "second_factor_key.created": Sentence(
        "Second factor key created", "{actor} created a key for second factors"
    ),
}
