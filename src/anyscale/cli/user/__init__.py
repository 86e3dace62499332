"""`anyscale user`: create users from a file, list and get them, manage their accounts."""

from anyscale.cli.lazy_group import LazyGroup

__all__ = ["group"]

group = LazyGroup(
    "user",
    help="Create users, list them, and manage their accounts.",
    lazy_commands={
        "batch-create": (
            "anyscale.cli.user.batch_create:batch_create",
            "Batch create, as an admin, users without email verification.",
        ),
        "delete": (
            "anyscale.cli.user.lifecycle:delete",
            "Delete an account and erase all data of its user.",
        ),
        "get": (
            "anyscale.cli.user.list_get:get_user",
            "Get one user by email or by name.",
        ),
        "list": (
            "anyscale.cli.user.list_get:list_users",
            "List users, in the order of their creation.",
        ),
        "restore": (
            "anyscale.cli.user.lifecycle:restore",
            "Let a suspended account sign in again.",
        ),
        "set-password-link": (
            "anyscale.cli.user.set_password_link:set_password_link",
            "Create links by which users set their passwords: each works once, and expires.",
        ),
        "set-role": (
            "anyscale.cli.user.lifecycle:set_role",
            "Make an account an owner or a collaborator; its sessions are revoked.",
        ),
        "suspend": (
            "anyscale.cli.user.lifecycle:suspend",
            "Suspend an account: no sign-in, and its sessions and personal tokens are revoked.",
        ),
    },
)
