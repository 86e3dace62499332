"""The rules of mails: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import structs
from tests.store.contract.steps import StoreSteps, user_id_of
from tests.support.databases.locks import wait_until_blocked
from tests.support.waiting import wait_until

from anyscale.server.store.records.mail import (
    FORGOTTEN,
    MANY,
    RANKS,
    SINGLE,
    MailingRecord,
    MailRecord,
    QueuedMails,
)
from anyscale.server.store.records.password_resets import PasswordResetRecord
from anyscale.server.store.transaction import Store


def mail_row(number: int, user_id: str, **fields: Any) -> MailRecord:
    """Return a mail to insert, which is due."""
    values: dict[str, Any] = {
        "mail_id": f"eml_{number}",
        "kind": "set_password_link",
        "user_id": user_id,
        "address": "",
        "mailing_id": "",
        "rank": SINGLE,
        "requested_by": "local:jane",
        "created_at": 1_000,
        "next_at": 1_000 + number,
    }
    return MailRecord(**(values | fields))


def mailing_row(number: int, batch_id: str = "", **fields: Any) -> MailingRecord:
    """Return a mailing to insert."""
    values: dict[str, Any] = {
        "mailing_id": f"mlg_{number}",
        "batch_id": batch_id,
        "kind": "set_password_link",
        "total": 3,
        "requested_by": "local:jane",
        "created_at": 1_000,
        "touched_at": 1_000,
    }
    return MailingRecord(**(values | fields))


class OutboxRules(StoreSteps):
    """A mail is due until it is leased, sent, has failed or is deleted."""

    def test_the_mail_that_is_due_first_comes_first_and_those_of_many_come_last(
        self, store: Store
    ) -> None:
        many, later, first = (
            mail_row(1, "usr_a", rank=MANY),
            mail_row(3, "usr_b"),
            mail_row(2, "usr_c"),
        )
        self._add_mails(store, many, later, first)
        with store.write() as tx:
            for expected in (first, later, many):
                assert tx.outbox.find_due(RANKS, 2_000) == expected
                assert tx.outbox.lease(expected, 9_000)
            assert tx.outbox.find_due(RANKS, 2_000) is None
            assert tx.outbox.find_due(RANKS, 9_000)

    def test_a_mail_is_not_due_before_its_time(self, store: Store) -> None:
        self._add_mails(store, mail_row(5, "usr_a"))
        with store.read() as tx:
            assert tx.outbox.find_due(RANKS, 1_004) is None
            assert tx.outbox.find_due(RANKS, 1_005)

    def test_only_one_lease_of_a_mail_is_given_and_only_it_counts(self, store: Store) -> None:
        mail = mail_row(1, "usr_a")
        self._add_mails(store, mail)
        with store.write() as tx:
            leased = tx.outbox.lease(mail, 5_000)
            assert leased == structs.replace(mail, next_at=5_000, attempts=1)
            assert tx.outbox.lease(mail, 5_000) is None
            again = tx.outbox.lease(leased, 6_000)
            assert again
            for change in (
                tx.outbox.remove(leased),
                tx.outbox.set_failed(leased, "no"),
                tx.outbox.put_back(leased, 1, "no"),
            ):
                assert not change
            assert tx.outbox.put_back(again, 7_000, "451 later")
            assert tx.outbox.remove(again)
            assert tx.outbox.list("due", "", 10) == []

    def test_a_failed_mail_is_kept_with_its_reason_until_it_is_purged(self, store: Store) -> None:
        mail = mail_row(1, "usr_a")
        self._add_mails(store, mail)
        with store.write() as tx:
            assert tx.outbox.set_failed(mail, "550 no")
            assert tx.outbox.find_due(RANKS, 9_000) is None
            [failed] = tx.outbox.list("failed", "", 10)
            assert failed.last_error == "550 no"
            tx.outbox.purge(1_000)
            assert tx.outbox.list("failed", "", 10) == [failed]
            tx.outbox.purge(1_001)
            assert tx.outbox.list("failed", "", 10) == []

    def test_an_account_has_one_mail_of_a_kind_to_an_address(self, store: Store) -> None:
        mails = [
            mail_row(1, "usr_a"),
            mail_row(2, "usr_a", address="old@example.com"),
            mail_row(3, "usr_a", kind="password_changed"),
            mail_row(4, "usr_a", attempts=0, next_at=5),
        ]
        self._add_mails(store, *mails)
        with store.write() as tx:
            assert tx.outbox.list("due", "", 10) == mails[1:]
            tx.outbox.add_many([mail_row(5, "usr_a", rank=MANY), mail_row(6, "usr_b", rank=MANY)])
            assert [mail.mail_id for mail in tx.outbox.list("due", "", 10)] == [
                *("eml_2", "eml_3", "eml_5", "eml_6")
            ]

    def test_the_mails_to_an_account_and_those_of_an_actor_are_deleted(self, store: Store) -> None:
        self._add_mails(
            store,
            mail_row(1, "usr_a"),
            mail_row(2, "usr_b", requested_by="user:usr_a"),
            mail_row(3, "usr_a", kind="password_changed"),
            mail_row(4, "usr_c"),
        )
        with store.write() as tx:
            tx.outbox.delete(user_id="usr_a", by="user:usr_a", kinds=["set_password_link"])
            assert [mail.mail_id for mail in tx.outbox.list("due", "", 10)] == ["eml_3", "eml_4"]
            tx.outbox.delete(user_id="usr_a")
            assert [mail.mail_id for mail in tx.outbox.list("due", "", 10)] == ["eml_4"]

    def test_deleting_an_account_deletes_its_mails(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        first, second = (user_id_of(batch, position) for position in range(2))
        self._add_mails(store, mail_row(1, first), mail_row(2, second))
        with store.write() as tx:
            tx.accounts.delete(first)
            assert [mail.user_id for mail in tx.outbox.list("due", "", 10)] == [second]

    def test_the_queue_is_measured_without_what_has_failed(self, store: Store) -> None:
        with store.read() as tx:
            assert tx.outbox.queued() == QueuedMails(0, 0)
        self._add_mails(
            store,
            mail_row(1, "usr_a", created_at=5),
            mail_row(2, "usr_b", created_at=7),
            mail_row(3, "usr_c", created_at=1, state="failed"),
        )
        with store.read() as tx:
            assert tx.outbox.queued() == QueuedMails(2, 5)

    def test_requests_are_counted_until_they_are_looked_up(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.password_resets.queued() == QueuedMails(0, 0)
            for number, created_at in (1, 7), (2, 5), (3, 9):
                tx.password_resets.add(
                    PasswordResetRecord(
                        f"pwr_{number}",
                        f"{number}@x.org",
                        bytes([number]),
                        "192.0.2.1",
                        "192.0.2.1",
                        created_at,
                        due_at=created_at,
                    )
                )
            assert tx.password_resets.queued() == QueuedMails(3, 5)
            assert tx.password_resets.take_due(now=5)
            assert tx.password_resets.queued() == QueuedMails(2, 7)

    def test_each_share_of_the_rate_is_one_row(self, store: Store) -> None:
        with store.write() as tx:
            assert (tx.outbox.lock_rate(1)[0], tx.outbox.lock_rate(2)[0]) == (0, 0)
            tx.outbox.set_rate(1, 12)
        with store.write() as tx:
            assert (tx.outbox.lock_rate(1)[0], tx.outbox.lock_rate(2)[0]) == (12, 0)

    def test_another_attempt_of_a_forgotten_password_is_a_mail_by_itself(
        self, store: Store
    ) -> None:
        self._add_mails(store, mail_row(1, "usr_a", rank=FORGOTTEN))
        with store.write() as tx:
            mail = tx.outbox.find_due([FORGOTTEN], 2_000)
            assert mail
            leased = tx.outbox.lease(mail, 9_000)
            assert leased
            assert (leased.rank, tx.outbox.find_due([FORGOTTEN], 9_000)) == (SINGLE, None)
            assert tx.outbox.find_due([SINGLE], 9_000) == leased

    def test_the_time_of_the_rate_is_read_once_it_is_locked(self, store: Store) -> None:
        def lock() -> int:
            with store.write() as tx:
                return tx.outbox.lock_rate(1)[1]

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                tx.outbox.lock_rate(1)
                second = pool.submit(lock)
                wait_until_blocked(store, tx)
                blocked = tx.now()
                wait_until(lambda: tx.now() > blocked)
            assert second.result(30) > blocked

    def _add_mails(self, store: Store, *mails: MailRecord) -> None:
        with store.write() as tx:
            for mail in mails:
                tx.outbox.add(mail)


class MailingRules(StoreSteps):
    """A mailing is open until all of its mails are created, or somebody stops it."""

    def test_the_oldest_open_mailing_comes_first(self, store: Store) -> None:
        with store.write() as tx:
            for row in (mailing_row(2), mailing_row(1), mailing_row(0, state="created")):
                tx.mailings.add(row)
            assert tx.mailings.find_open() == mailing_row(1)
            tx.mailings.set_state("mlg_1", "created")
            assert tx.mailings.find_open() == mailing_row(2)

    def test_what_is_sent_and_created_adds_up(self, store: Store) -> None:
        with store.write() as tx:
            tx.mailings.add(mailing_row(1))
            tx.mailings.advance("mlg_1", "usr_a", 2, 5_000)
            tx.mailings.count("mlg_1", sent=1)
            tx.mailings.count("mlg_1", sent=1, failed=2)
            mailing = tx.mailings.get("mlg_1")
        assert mailing == mailing_row(
            1, position="usr_a", created=2, sent=2, failed=2, touched_at=5_000
        )

    def test_a_stopped_mailing_stays_so(self, store: Store) -> None:
        with store.write() as tx:
            tx.mailings.add(mailing_row(1, "bat_1"))
            tx.mailings.add(mailing_row(2, "bat_2", requested_by="user:usr_a"))
            assert [one.mailing_id for one in tx.mailings.lock_running(batch_id="bat_1")] == [
                "mlg_1"
            ]
            tx.mailings.set_state("mlg_1", "stopped")
            tx.mailings.set_state("mlg_1", "created")
            assert tx.mailings.lock_running(batch_id="bat_1") == []
            assert tx.mailings.lock_running(mailing_id="mlg_1") == []
            assert tx.mailings.lock_running() == []
            [other] = tx.mailings.lock_running(by="user:usr_a")
            assert other.mailing_id == "mlg_2"

    def test_they_are_listed_the_latest_first(self, store: Store) -> None:
        with store.write() as tx:
            for number in range(3):
                tx.mailings.add(mailing_row(number, "bat_1" if number else ""))
            ids = [one.mailing_id for one in tx.mailings.list("", 10)]
            assert ids == ["mlg_2", "mlg_1", "mlg_0"]
            assert [one.mailing_id for one in tx.mailings.list("mlg_2", 1)] == ["mlg_1"]
            assert [one.mailing_id for one in tx.mailings.list("", 10, "")] == ["mlg_0"]
            tx.mailings.set_state("mlg_0", "created")
            tx.mailings.purge(9_000)
            assert [one.mailing_id for one in tx.mailings.list("", 10)] == ["mlg_2", "mlg_1"]

    def test_only_its_own_mails_that_are_due_are_deleted_with_it(self, store: Store) -> None:
        with store.write() as tx:
            for number, (mailing, state) in enumerate(
                [("mlg_1", "due"), ("mlg_1", "failed"), ("mlg_2", "due")]
            ):
                tx.outbox.add(mail_row(number, f"usr_{number}", mailing_id=mailing, state=state))
            counts = tx.outbox.count_of("mlg_1")
            assert (counts.due, counts.failed) == (1, 1)
            assert tx.outbox.due_by_mailing() == {"mlg_1": 1, "mlg_2": 1}
            assert tx.outbox.delete_due_of("mlg_1") == 1
            assert [mail.mailing_id for mail in tx.outbox.list("due", "", 10)] == ["mlg_2"]


class MailRules(OutboxRules, MailingRules):
    """All rules of mails."""
