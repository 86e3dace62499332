"""`anyscale server`: what an operator does on the control plane's own machine.

These commands work on the database itself, without a token. Only this package and
`transport/embedded.py` import `anyscale.server`.
"""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "check": (
        "check:check",
        "Check settings, files, database, proxy, identity provider and mail; change nothing.",
    ),
    "copy": (
        "copy:copy",
        "Copy the whole control plane into an empty database, of SQLite or of PostgreSQL.",
    ),
    "create-owner": (
        "owners:create_owner",
        "Create an owner, or make an account an owner; print a link to set its password.",
    ),
    "create-second-factor-key": (
        "second_factor_keys:create_second_factor_key",
        "Create the next key that encrypts seeds of one-time codes.",
    ),
    "create-signing-key": (
        "signing_keys:create_signing_key",
        "Create the next key that signs ID tokens for applications, in ANYSCALE_SIGNING_KEYS.",
    ),
    "create-token": (
        "tokens:create_token",
        "Create a token and print it; it is shown once, since only its hash is stored.",
    ),
    "list-tokens": (
        "tokens:list_tokens",
        "List the tokens: names, roles, when they expire and when they were used.",
    ),
    "migrate": (
        "start_migrate:migrate",
        "Upgrade the schema of the database to this version, as `server start` does.",
    ),
    "replace-server-keys": (
        "server_keys:replace_server_keys",
        "Replace the random keys that the database has, after a copy of it was stolen.",
    ),
    "reset-second-factor": (
        "reset_second_factor:reset_second_factor",
        "Remove the second factors of a user who has lost them, also those of an owner.",
    ),
    "revoke-token": (
        "tokens:revoke_token",
        "Revoke a token, by its name or its id; the next request with it is refused.",
    ),
    "start": (
        "start_migrate:start",
        "Start the server; a signal stops it, after the requests in progress.",
    ),
}

group: Final = LazyGroup(
    "server",
    __name__,
    _COMMANDS,
    page="docs/operations/serving.md",
    pages={
        "check": "docs/operations/check.md",
        "copy": "docs/operations/move-database.md",
        "create-owner": "docs/operations/accounts.md",
        "create-second-factor-key": "docs/operations/second-factor-keys.md",
        "create-signing-key": "docs/operations/signing-keys.md",
        "migrate": "docs/operations/upgrade.md",
        "replace-server-keys": "docs/operations/second-factor-keys.md",
        "reset-second-factor": "docs/operations/second-factors.md",
    }
    | dict.fromkeys(("create-token", "list-tokens", "revoke-token"), "docs/operations/tokens.md"),
    help="Host a control plane: start it, create its tokens and owners.",
)
