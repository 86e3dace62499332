"""`anyscale user`: create users from a file, list and get them, manage their accounts."""

from typing import Final

from anyscale.cli.lazy_group import JSON_HINT, LazyGroup

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

_FIND = "`anyscale user list --search TEXT`, or `anyscale user get EMAIL` for one user"

# options that people expect
_SKIP = ("--force", "--skip", "--skip-existing", "--ignore-existing")
_FILE = ("--file", "--input", "--users")
_SEARCHED = ("--lastname", "--last-name", "--surname", "--user-id", "--filter", "--query", "--find")
_OWNERS = ("--owner", "--owners", "--admin", "--admins")
_LIMITS = ("--limit", "--max", "--count", "--top", "-n")
_ORDERS = ("--sort", "--order", "--order-by", "--reverse", "--latest")
_SSO = {"--is-sso-user": "Use --sso"}
_SET_ROLE = {"--role": "Use `anyscale user set-role EMAIL owner`"}
_NOT_UPDATED = (
    _SSO
    | _SET_ROLE
    | {
        "--password": "Users set it themselves: use `anyscale user set-password-link EMAIL`",
    }
)

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
    hints={"find": _FIND, "search": _FIND},
    option_hints={
        "batch-create": dict.fromkeys(_SKIP, "Use --if-exists skip")
        | dict.fromkeys(_FILE, "Use -f FILE")
        | JSON_HINT,
        "get": JSON_HINT,
        "list": dict.fromkeys(_SEARCHED, "Use --search TEXT")
        | dict.fromkeys(_OWNERS, "Use --role owner")
        | dict.fromkeys(_LIMITS, "Use --max-items N")
        | dict.fromkeys(_ORDERS, "Use --newest-first")
        | _SSO
        | JSON_HINT,
        "restore": dict.fromkeys(_FILE, "Use -f FILE") | JSON_HINT,
        "suspend": dict.fromkeys(_FILE, "Use -f FILE") | JSON_HINT,
        "set-role": _SET_ROLE,
        "update": _NOT_UPDATED,
        "sync": dict.fromkeys(_FILE, "Use -f FILE") | JSON_HINT,
        "verify": dict.fromkeys(_FILE, "Use -f FILE") | JSON_HINT,
    },
    help="Create users, list them, and manage their accounts.",
)
