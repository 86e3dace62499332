"""`anyscale audit`: read the audit log of a control plane, and check its hash chain."""

from typing import Final

from anyscale.cli.lazy_group import LazyGroup

_COMMANDS = {
    "list": ("list_verify:list_entries", "List the entries of the audit log, in their order."),
    "verify": (
        "list_verify:verify",
        "Check that no entry of the audit log was changed, removed or inserted.",
    ),
}

group: Final = LazyGroup(
    "audit",
    __name__,
    _COMMANDS,
    page="docs/operations/logs.md",
    help="Read and check the audit log.",
)
