"""A users file that counts its users, and keeps the first ones to be shown, without passwords."""

from array import array
from collections.abc import Collection, Iterator

from msgspec import structs

from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.server.background.uploads import Upload
from anyscale.users_file import UsersFile
from anyscale.users_file.entry_collector import EntryCollector, Place

__all__ = ["CountedFile"]

#: users that a page shows
_FIRST = 20


class CountedFile(UsersFile):
    """A file of a browser, read by the readers of the command.

    Raises:
        ConfigError: see `Upload.columns`.
    """

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.content, upload.name, upload.format, columns=upload.columns)
        self._start()

    def _start(self) -> None:
        self.users_read: int = 0
        self.with_password: int = 0
        self.by_sso: int = 0
        self.first: list[CheckedUser] = []
        #: positions of the users who could not sign in
        self.without: array[int] = array("I")

    def users(self, entries: EntryCollector) -> Iterator[CheckedUser]:
        """Read the file as `UsersFile.users` does, and count its users."""
        self._start()
        for user in super().users(entries):
            if len(self.first) < _FIRST:
                self.first.append(structs.replace(user, password_hash=None))
            if user.has_password:
                self.with_password += 1
            elif not user.is_sso_user:
                self.without.append(entries.count - 1)
            self.by_sso += user.is_sso_user
            self.users_read += 1
            yield user

    @property
    def columns_to_leave_out(self) -> dict[Place, str]:
        """The columns that stand for no field, and that a line of the form can name."""
        return {
            place: header
            for place, header in self.unknown_columns.items()
            if len(header.splitlines()) == 1
        }

    def people_at(self, positions: Collection[int], policy: Policy) -> dict[int, tuple[str, str]]:
        """Read the file again for the names and emails at some positions; wrong ones are empty."""
        entries = self.collector(policy, frozenset(positions), verify=False)
        names = entries.refused_names
        for user in super().users(entries):
            entries.passwords.clear()
            if (position := entries.count - 1) in positions:
                names[position] = full_name(user.name, user.lastname)
        return {
            position: (names.get(position, ""), entries.kept.get(position, ("", ""))[0])
            for position in positions
        }
