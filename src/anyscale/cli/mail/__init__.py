"""`anyscale mail`: the mails of a server, what is due, sent and failed."""

from typing import Final

from anyscale.cli.lazy_group import JSON_HINT, LazyGroup

_COMMANDS = {
    "list": ("list_stop:list_mails", "List what is due and sent, or what has failed."),
    "stop": ("list_stop:stop", "Stop the mails to the accounts of a batch."),
}

_SEND = "`anyscale user set-password-link EMAIL --mail`"

group: Final = LazyGroup(
    "mail",
    __name__,
    _COMMANDS,
    page="docs/operations/mail.md",
    hints=dict.fromkeys(("send", "create", "add"), _SEND),
    option_hints={
        "list": JSON_HINT | dict.fromkeys(("--limit", "--max", "-n"), "Use --max-items N")
    },
    help="Show the mails that are due, sent and failed, and stop them.",
)
