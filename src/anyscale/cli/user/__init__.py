"""`anyscale user`: create users from a file, list and get them, manage their accounts."""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "batch-create": (
        "batch_create:batch_create",
        "Batch create, as an admin, users without email verification.",
    ),
    "delete": ("lifecycle:delete", "Delete an account and erase all data of its user."),
    "export": (
        "export:export",
        "Write all accounts to a new file, to leave, or to create them elsewhere.",
    ),
    "get": ("list_get:get_user", "Get one user by email, by name or by id."),
    "list": ("list_get:list_users", "List users, in the order of their creation."),
    "reset-second-factor": (
        "reset_second_factor:reset_second_factor",
        "Remove the second factors of a user who has lost them; the sessions are revoked.",
    ),
    "restore": ("suspend_restore:restore", "Let suspended accounts sign in again."),
    "set-password-link": (
        "set_password_link:set_password_link",
        "Create links for users to set their passwords: each works once, and expires.",
    ),
    "set-role": (
        "lifecycle:set_role",
        "Make an account an owner or a collaborator; its sessions are revoked.",
    ),
    "suspend": (
        "suspend_restore:suspend",
        "Suspend accounts: they cannot sign in, their sessions end and their tokens stop.",
    ),
    "sync": ("sync:sync", "Bring the accounts up to date with a file of all users."),
    "update": ("update:update_user", "Correct fields of an account, also its email."),
    "verify": (
        "verify:verify",
        "Compare a users file with the accounts; passwords are neither sent nor compared.",
    ),
}

group: Final = LazyGroup(
    "user",
    __name__,
    _COMMANDS,
    page="docs/operations/accounts.md",
    pages={
        "batch-create": "docs/getting-started.md",
        "export": "docs/operations/leaving.md",
        "get": "docs/operations/find-users.md",
        "list": "docs/operations/find-users.md",
        "reset-second-factor": "docs/operations/second-factors.md",
        "set-password-link": "docs/operations/set-password-links.md",
        "suspend": "docs/operations/sync.md",
        "sync": "docs/operations/sync.md",
        "verify": "docs/operations/sync.md",
    },
    help="Create users, list them, and manage their accounts.",
)
