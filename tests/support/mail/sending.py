"""Steps of tests that send mail in this process."""

from tests.support.databases.stored_data import execute_sql

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.mail.sender import MailSender
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.store.records.mail import MailRecord

#: for tests in which no mail is sent
UNUSED_RELAY = MailSettings(host="127.0.0.1", port=1, tls="none", sender="accounts@example.com")


def sender_of(control_plane: ControlPlane) -> MailSender:
    """Return the sender of all mails but those to users who forgot their password."""
    return control_plane.mail_senders[0]


def close_senders(control_plane: ControlPlane) -> None:
    """Close the connections to the relay."""
    for sender in control_plane.mail_senders:
        sender.close()


def make_requests_due(control_plane: ControlPlane) -> None:
    """Let the requests of users who forgot their password be looked up at once."""
    with control_plane.store.write() as tx:
        execute_sql(tx, "update password_resets set due_at = created_at")


def send_all(control_plane: ControlPlane, most: int = 1_000) -> None:
    """Send the mails that are due by now, as the threads of a server do.

    The requests of users who forgot their password are due at once.
    """
    make_requests_due(control_plane)
    # Those of users who forgot their password come first: another attempt is of the other sender.
    for sender in reversed(control_plane.mail_senders):
        for _ in range(most):
            if sender.send_next() == 1.0:  # it has found nothing to do
                break
        else:
            raise AssertionError("mails are still due")


def mails(control_plane: ControlPlane, state: str = "due") -> list[MailRecord]:
    """Return the mails of the outbox in a state."""
    with control_plane.store.read() as tx:
        return list(tx.outbox.list(state, "", 10_000))


def pass_time(control_plane: ControlPlane, milliseconds: int) -> None:
    """Let time pass for the mails, the links and the requests for them."""
    with control_plane.store.write() as tx:
        changes = (
            ("outbox", "created_at"),
            ("outbox", "next_at"),
            ("mailings", "touched_at"),
            ("password_resets", "created_at"),
            ("password_resets", "due_at"),
            ("links", "expires_at"),
            ("mail_rate", "free_at"),
        )
        for table, column in changes:
            execute_sql(tx, f"update {table} set {column} = {column} - {milliseconds}")
