"""`anyscale batch`: list the batches of a control plane, show, drop or undo one."""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "drop": (
        "list_show_drop:drop_batch",
        "Drop an unfinished batch: nobody is created, and its emails are free again.",
    ),
    "list": ("list_show_drop:list_batches", "List batches, the latest first."),
    "show": (
        "list_show_drop:show_batch",
        "Show one batch: its state, its counts, who opened it and when.",
    ),
    "undo": ("undo:undo", "Delete the accounts that a batch created."),
}

group: Final = LazyGroup(
    "batch",
    __name__,
    _COMMANDS,
    page="docs/large-batches.md",
    pages={"undo": "docs/undo.md"},
    help="List batches, show one, drop an unfinished one, undo one.\n\n"
    "`anyscale user batch-create` creates them.",
)
