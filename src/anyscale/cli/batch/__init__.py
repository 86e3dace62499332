"""`anyscale batch`: list the batches of a control plane, show one, drop an unfinished one."""

from anyscale.cli.lazy_group import LazyGroup

__all__ = ["group"]

group = LazyGroup(
    "batch",
    help="List batches, show one, drop an unfinished one.",
    lazy_commands={
        "drop": (
            "anyscale.cli.batch.list_show_drop:drop_batch",
            "Drop an unfinished batch: nobody is created, and its emails are free again.",
        ),
        "list": (
            "anyscale.cli.batch.list_show_drop:list_batches",
            "List batches, the latest first.",
        ),
        "show": (
            "anyscale.cli.batch.list_show_drop:show_batch",
            "Show one batch: its state, its counts, who opened it and when.",
        ),
    },
)
