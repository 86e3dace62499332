"""`anyscale application`: the programs that sign users in by OpenID Connect."""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "create": (
        "commands:create",
        "Create an application, and print its client id and its secret: once.",
    ),
    "list": ("commands:list_applications", "List the applications, the oldest first."),
    "show": ("commands:show", "Show one application, without its secret."),
    "update": ("commands:update", "Change fields of an application."),
    "rotate-secret": ("commands:rotate_secret", "Replace the secret of an application."),
    "delete": (
        "commands:delete",
        "Delete an application: it signs nobody in, and all sign-ins there end.",
    ),
}

group: Final = LazyGroup(
    "application",
    __name__,
    _COMMANDS,
    page="docs/operations/applications.md",
    help="Create and manage the applications that sign users in.",
)
