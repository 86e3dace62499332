"""What the services write into the outbox, in the transaction that causes the mail."""

from collections.abc import Collection, Sequence
from typing import Final

from anyscale.errors import LinkRefused, MailUnavailable
from anyscale.server.core.audit.entries import Entry
from anyscale.server.core.ids import new_id
from anyscale.server.core.mail.kinds import KINDS, LINK
from anyscale.server.store.records.mail import MANY, SINGLE, MailingRecord, MailRecord
from anyscale.server.store.transaction import Transaction

_WITH_LINK: Final = [name for name, kind in KINDS.items() if kind.link]

#: why there are no links
NO_PASSWORDS: Final = "everybody here signs in by SSO: there are no passwords to set"

_NO_SERVER = (
    "mail needs a server: the embedded control plane has none that could send it. Without mail, "
    "`anyscale user set-password-link` writes the links"
)
_NO_RELAY = (
    "no mail relay is set where the control plane runs: set ANYSCALE_SMTP_HOST and "
    "ANYSCALE_MAIL_FROM there, and restart it"
)


class Outbox:
    """Writes mails that are to be sent. Without a relay it writes none.

    Args:
        has_relay: whether there is a relay that takes them.
        served: whether this is the control plane of a server.
        sso_only: whether SSO is the only sign-in method, so that there are no links.
    """

    def __init__(self, *, has_relay: bool, served: bool, sso_only: bool) -> None:
        self.has_relay: Final = has_relay
        self._served: Final = served
        self._sso_only: Final = sso_only

    def require_links(self) -> None:
        """Raise `LinkRefused` if nobody has a password here, `MailUnavailable` without a relay."""
        if self._sso_only:
            raise LinkRefused(NO_PASSWORDS)
        self.require_relay()

    def require_relay(self) -> None:
        """Raise `MailUnavailable` if no mail can be sent."""
        if not self.has_relay:
            raise MailUnavailable(_NO_RELAY if self._served else _NO_SERVER)

    def add_notice(
        self,
        tx: Transaction,
        kind: str,
        user_id: str,
        actor: str,
        address: str = "",
        *,
        is_one_of_many: bool = False,
    ) -> None:
        """Add a mail that tells a user about a change, if there is a relay.

        Args:
            tx: of the change.
            kind: see `kinds`.
            user_id: of a locked account.
            actor: who made the change.
            address: that gets the mail; empty for the email of the account when it is sent.
            is_one_of_many: whether it is sent after the mails by themselves: a sync may add
                thousands.
        """
        if self.has_relay:
            rank = MANY if is_one_of_many else SINGLE
            (mail,) = new_mails(tx.now(), kind, [user_id], actor, address=address, rank=rank)
            tx.outbox.add(mail)

    def add_links(self, tx: Transaction, user_ids: Sequence[str], actor: str) -> None:
        """Add a mail with a set-password link for each of some locked accounts.

        Raises:
            LinkRefused, MailUnavailable: see `require_links`.
        """
        self.require_links()
        rank = MANY if len(user_ids) > 1 else SINGLE
        tx.outbox.add_many(new_mails(tx.now(), LINK, user_ids, actor, rank=rank))

    def add_mailing(
        self, tx: Transaction, batch_id: str, total: int, actor: str
    ) -> tuple[MailingRecord, Entry]:
        """Add one row, from which all accounts of a batch without credentials get links by mail.

        Args:
            tx: that has locked the batch, or publishes it.
            batch_id: of the batch; empty for all accounts without credentials.
            total: how many these are.
            actor: who requests it.

        Returns:
            The row, and its entry in the audit log, which the caller appends.

        Raises:
            LinkRefused, MailUnavailable: see `require_links`.
        """
        self.require_links()
        now = tx.now()
        mailing = MailingRecord(
            mailing_id=new_id("mlg_", now),
            batch_id=batch_id,
            kind=LINK,
            total=total,
            requested_by=actor,
            created_at=now,
            touched_at=now,
        )
        tx.mailings.add(mailing)
        data = {"mailing_id": mailing.mailing_id, "accounts": total}
        return mailing, Entry(actor, "mailing.requested", batch_id, data)

    def find_running(
        self, tx: Transaction, batch_id: str, seen: str | None = None
    ) -> MailingRecord | None:
        """Return the mailing to the accounts of a batch of which mails are due.

        Or the latest one, if `seen` is the id of an earlier one, or empty.
        """
        mailing = next(iter(tx.mailings.list("", 1, batch_id)), None)
        if mailing is None:
            return None
        is_due = mailing.state == "open" or tx.outbox.count_of(mailing.mailing_id).due
        is_new = seen is not None and mailing.mailing_id != seen
        return mailing if is_due or is_new else None


def new_mails(
    now: int,
    kind: str,
    user_ids: Collection[str],
    actor: str,
    *,
    address: str = "",
    mailing_id: str = "",
    rank: int = SINGLE,
) -> list[MailRecord]:
    """Return a mail for each of some accounts, which is due now."""
    return [
        MailRecord(
            mail_id=new_id("eml_", now),
            kind=kind,
            user_id=user_id,
            address=address,
            mailing_id=mailing_id,
            rank=rank,
            requested_by=actor,
            created_at=now,
            next_at=now,
        )
        for user_id in user_ids
    ]


def end_links(tx: Transaction, *, user_id: str = "", by: str = "") -> None:
    """Delete the links of a locked account, and those that an actor created; either may be empty.

    Those that are to be mailed are not sent, and mailings of the actor are stopped.
    """
    if by:
        stop_mailings(tx, by=by)
    tx.outbox.delete(user_id=user_id, by=by, kinds=_WITH_LINK)
    # After the mails: a sender that has taken one up is waited for, and its link is there then.
    tx.links.delete(user_id=user_id, by=by)


def stop_mailings(
    tx: Transaction, *, mailing_id: str = "", batch_id: str = "", by: str = ""
) -> Sequence[MailingRecord]:
    """Stop one mailing, those of a batch, or those that an actor requested; return them."""
    running = tx.mailings.lock_running(mailing_id=mailing_id, batch_id=batch_id, by=by)
    for mailing in running:
        tx.mailings.set_state(mailing.mailing_id, "stopped")
        tx.outbox.delete_due_of(mailing.mailing_id)
    return running


def stop_entries(stopped: Sequence[MailingRecord], actor: str) -> list[Entry]:
    """Return the entries of the audit log for mailings that were stopped by themselves."""
    return [
        Entry(
            actor,
            "mailing.stopped",
            one.batch_id,
            {"mailing_id": one.mailing_id, "sent": one.sent, "failed": one.failed},
        )
        for one in stopped
    ]
