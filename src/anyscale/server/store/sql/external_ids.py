"""Changes of the external ids of accounts."""

from anyscale.server.store.records.batches import EmailHolder
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.sql.emails import PLACEHOLDER_COLUMNS, delete_obsolete, placeholder
from anyscale.server.store.sql.users import HOLDERS_OF_EXTERNAL_IDS

_DELETE_OBSOLETE = delete_obsolete("external_id")


class ExternalIds(Table):
    """The external ids that accounts are to get."""

    def reserve(self, user_id: str, external_id: str) -> EmailHolder | None:
        """Reserve an external id for a locked account, or return the other row that has it.

        It is reserved until the transaction ends; `accounts.set_details` then stores it.
        """
        ids = self._connection.texts([external_id])
        self._connection.execute(_DELETE_OBSOLETE, ids)
        own = f"new_external_id_{user_id}"
        self._connection.insert_missing(
            "users", PLACEHOLDER_COLUMNS, [placeholder(own, own, external_id)]
        )
        # Also a deleted row of this transaction lets others wait.
        self._connection.execute("delete from users where user_id = ?", own)
        holders = self._connection.all(EmailHolder, HOLDERS_OF_EXTERNAL_IDS, ids)
        return next((holder for holder in holders if holder.user_id != user_id), None)
