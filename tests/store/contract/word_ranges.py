"""The rules of reading words: see `interface.Transaction`."""

from collections.abc import Sequence

from tests.store.contract.steps import rows_of, user_id_of, user_row
from tests.store.contract.words import WordSteps

from anyscale.server.store.records.search import FoundUserRecord, FoundWord, IndexPlace
from anyscale.server.store.transaction import Store, Transaction
from anyscale.server.store.words import LEADING, OF_EMAIL

_EVERYWHERE = IndexPlace(99, 0)


class RangeRules(WordSteps):
    """Ranges of words are read in blocks, with the accounts up to a watermark."""

    def test_a_range_has_the_words_of_one_kind_in_order(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        assert self._range(store, "jan", "jao") == [
            ("jan", 0),
            ("jane", 1),
            ("jane", 5),
            ("janet", 2),
        ]
        assert self._range(store, "jane", None) == [
            ("jane", 1),
            ("jane", 5),
            ("janet", 2),
            ("jo", 3),
        ]
        assert self._range(store, "jp", None) == []
        assert self._range(store, "org", "org\x01", kind=OF_EMAIL) == [
            ("org", at) for at in range(6)
        ]

    def test_blocks_of_a_range_have_each_row_once(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        with store.read() as tx:
            found: list[FoundWord] = []
            after = None
            while block := self._block(tx, "a", None, after=after, limit=2):
                assert len(block) <= 2
                found += block
                after = (block[-1].word, block[-1].publication, block[-1].position)
        assert [(row.word, row.position) for row in found] == self._range(store, "a", None)
        assert len(found) == 6

    def test_the_rows_of_a_range_are_counted_up_to_a_limit(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        with store.read() as tx:
            for first, end, limit, count in [
                ("jan", "jao", 9, 4),
                ("jan", "jao", 4, 4),
                ("jan", "jao", 3, 3),
                ("jane", "jane\x01", 9, 2),
                ("jane", None, 9, 4),
                ("jp", None, 9, 0),
            ]:
                found = tx.words.count(kind=LEADING, first=first, end=end, limit=limit)
                assert found == count
            assert tx.words.count(kind=OF_EMAIL, first="org", end="orh", limit=9) == 6

    def test_the_accounts_with_a_word_have_an_order(self, store: Store) -> None:
        self._publish_names(store, ["Jane", "Janet", "Jo", "Jane"])
        with store.read() as tx:
            for word, kind, number, position in [
                ("jane", LEADING, 0, 0),
                ("jane", LEADING, 1, 3),
                ("jane", LEADING, 2, None),
                ("jan", LEADING, 0, None),
                ("org", OF_EMAIL, 2, 2),
            ]:
                place = tx.words.find_place(word, kind=kind, number=number)
                assert (place and place.position) == position

    def test_words_sort_by_their_characters_in_every_database(self, store: Store) -> None:
        names = ["z", "é", "ß", "a", "山", "\U0001d6c2", "e\u0301e", "Z", "\uff41"]
        self._publish_names(store, names)
        words = [word for word, _ in self._range(store, "a", None)]
        assert words == sorted(words)
        assert len(words) == len(names) + len(["e", "ee"])  # the plain forms

    def test_each_row_has_its_account(self, store: Store) -> None:
        fields = {"lastname": "Doe", "title": "CTO", "is_sso_user": True, "external_id": None}
        batch = self.publish(store, 1, "A@x.org", "b@x.org", **fields)
        with store.write() as tx:
            tx.accounts.set_password(user_id_of(batch, 1), "hash", None)
            tx.accounts.set_role(user_id_of(batch, 1), "owner")
            tx.accounts.set_suspended(user_id_of(batch, 1), 7)
        self.index(store)
        with store.read() as tx:
            first, second = (row.user for row in self._block(tx, "jane", "janf"))
        assert first == FoundUserRecord(
            user_id=user_id_of(batch, 0),
            email="A@x.org",
            name="Jane",
            created_at=5_000,
            permission_level="collaborator",
            suspended_at=None,
            lastname="Doe",
            title="CTO",
            is_sso_user=True,
            external_id=None,
            suspended_by_sync=False,
            last_sign_in=None,
            email_key="a@x.org",
            publication=1,
            without_credentials=True,
            without_second_factor=True,
            sign_in="none",
        )
        assert second
        assert (first.place, second.place) == (IndexPlace(1, 0), IndexPlace(1, 1))
        assert (second.without_credentials, second.permission_level, second.suspended_at) == (
            False,
            "owner",
            7,
        )

    def test_accounts_beyond_the_watermark_of_a_search_are_left_out(self, store: Store) -> None:
        for number in (1, 2):
            self.publish(store, number, *(f"u{at}@{number}.org" for at in range(3)))
        self.index(store)
        with store.read() as tx:
            rows = self._block(tx, "jane", None, watermark=IndexPlace(2, 1))
        assert [(row.publication, row.position) for row in rows] == [
            (number, at) for number in (1, 2) for at in range(3)
        ]
        assert [row.user.email if row.user else None for row in rows] == [
            *("u0@1.org", "u1@1.org", "u2@1.org"),
            *("u0@2.org", "u1@2.org", None),
        ]

    def _publish_names(self, store: Store, names: Sequence[str]) -> None:
        batch = self.add(store, 1)
        users = [user_row(batch, at, f"u{at}@x.org", name=name) for at, name in enumerate(names)]
        with store.write() as tx:
            assert tx.users.insert(batch.id, rows_of(users)) == []
        self.end(store, batch, "published")
        self.index(store)

    def _range(
        self, store: Store, first: str, end: str | None, *, kind: int = LEADING
    ) -> list[tuple[str, int]]:
        with store.read() as tx:
            rows = self._block(tx, first, end, kind=kind)
        return [(row.word, row.position) for row in rows]

    def _block(
        self,
        tx: Transaction,
        first: str,
        end: str | None,
        *,
        kind: int = LEADING,
        after: tuple[str, int, int] | None = None,
        watermark: IndexPlace = _EVERYWHERE,
        limit: int = 100,
    ) -> list[FoundWord]:
        return tx.words.range(
            kind=kind,
            first=first,
            end=end,
            after=after,
            watermark=watermark,
            limit=limit,
        )
