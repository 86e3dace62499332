"""`anyscale mail`: the mails of a server, what is due, sent and failed."""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "list": ("list_stop:list_mails", "List what is due and sent, or what has failed."),
    "stop": ("list_stop:stop", "Stop the mails to the accounts of a batch."),
}

group: Final = LazyGroup(
    "mail",
    __name__,
    _COMMANDS,
    page="docs/operations/mail.md",
    help="Show the mails that are due, sent and failed, and stop them.\n\n"
    "`anyscale user set-password-link --mail` and `user batch-create --mail-links` send links.",
)
