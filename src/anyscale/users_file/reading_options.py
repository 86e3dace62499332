"""How to read a users file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.domain.validation import Policy
from anyscale.users_file.formats import FORMATS, Format

if TYPE_CHECKING:
    from anyscale.users_file.tables.columns import ColumnChoices

REQUIRED = ("name", "email")


class ReadingOptions(Struct, frozen=True):
    """How to read a users file.

    Attributes:
        file: its name, for messages.
        format: of the file.
        policy: of the control plane.
        columns: see `UsersFile`.
        sheet: see `UsersFile`.
        column_choices: see `UsersFile`.
        verify: see `UserSource.reading`.
    """

    file: str
    policy: Policy
    format: Format = FORMATS["yaml"]
    columns: Mapping[str, str] = {}
    sheet: str | None = None
    column_choices: "ColumnChoices | None" = None
    verify: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every entry has: a comparison needs only an email."""
        return ("email",) if self.verify else REQUIRED
