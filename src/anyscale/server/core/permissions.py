"""What each kind of caller may do: one table.

A role without a row may do nothing, such as one that a later version has stored. The operator has
no row: a system user of the server's machine can write to the database anyway, and may do anything.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Permission(Enum):
    """What a call needs. Each route, and each transaction that writes for a caller, names one.

    The value is for messages: "... may not change accounts".
    """

    #: list, look up and compare accounts and batches; export accounts without hashes
    READ_ACCOUNTS = "read accounts and batches"
    READ_APPLICATIONS = "read applications"
    READ_AUDIT_LOG = "read the audit log"
    #: also from a list: open, fill, publish and drop batches
    CREATE_ACCOUNTS = "create accounts"
    #: also many at once: update, suspend, restore and delete them, and undo a batch
    CHANGE_ACCOUNTS = "change accounts"
    CHANGE_ROLES = "change roles"
    #: create, mail and revoke links; see and stop mails; end sessions; remove second factors
    MANAGE_SIGN_IN = "manage how users sign in"
    MANAGE_APPLICATIONS = "manage applications"
    #: create one's own, and revoke those of anybody
    MANAGE_TOKENS = "manage tokens"
    USE_CONSOLE = "use the console"
    #: what only the operator does: create tokens that belong to no user, copy the database
    OPERATE = "operate the control plane"


#: role -> what a caller with it may do
Roles = Mapping[str, frozenset[Permission]]

_OWNER: Final = frozenset(Permission) - {Permission.OPERATE}

#: of the sessions and the own tokens of a user
USER_ROLES: Final[Roles] = {"owner": _OWNER, "collaborator": frozenset()}

#: of tokens that belong to no user
TOKEN_ROLES: Final[Roles] = {
    "owner": _OWNER,
    "reader": frozenset(
        {Permission.READ_ACCOUNTS, Permission.READ_APPLICATIONS, Permission.READ_AUDIT_LOG}
    ),
}
