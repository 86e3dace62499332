"""`anyscale audit`: read the audit log of a control plane, and check its hash chain."""

from anyscale.cli.lazy_group import LazyGroup

__all__ = ["group"]

group = LazyGroup(
    "audit",
    help="Read and check the audit log.",
    lazy_commands={
        "list": (
            "anyscale.cli.audit.list_verify:list_entries",
            "List the entries of the audit log, in their order.",
        ),
        "verify": (
            "anyscale.cli.audit.list_verify:verify",
            "Check that no entry of the audit log was changed, removed or inserted.",
        ),
    },
)
