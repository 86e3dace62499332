"""`anyscale audit`: read the audit log of a control plane, and check its hash chain."""

from typing import Final

from anyscale.cli.lazy_group import JSON_HINT, LazyGroup

_COMMANDS = {
    "list": ("list_verify:list_entries", "List the entries of the audit log, in their order."),
    "verify": (
        "list_verify:verify",
        "Check that no entry of the audit log was changed, removed or inserted.",
    ),
}

# options that people expect
_LIMITS = ("--limit", "--max", "-n")
_BEGINNINGS = ("--since", "--start", "--start-date")
_ENDS = ("--to", "--end", "--end-date")
_ORDERS = ("--tail", "--reverse", "--latest")

group: Final = LazyGroup(
    "audit",
    __name__,
    _COMMANDS,
    page="docs/operations/logs.md",
    option_hints={
        "list": dict.fromkeys(_LIMITS, "Use --max-items N")
        | dict.fromkeys(_ORDERS, "Use --newest-first")
        | dict.fromkeys(_BEGINNINGS, "Use --from DATE")
        | dict.fromkeys(_ENDS, "Use --until DATE")
        | JSON_HINT,
        "verify": JSON_HINT,
    },
    help="Read and check the audit log.",
)
