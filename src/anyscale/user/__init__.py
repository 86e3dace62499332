"""Users: create them in batches, list them, get one.

The calls load on first use, so that `anyscale.user.models` alone stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscale.user.calls import here

    admin_batch_create = here.admin_batch_create
    get = here.get
    list = here.list  # noqa: A001 - the contract's name

__all__ = ["admin_batch_create", "get", "list"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'anyscale.user' has no attribute {name!r}")
    from anyscale.user.calls import here

    return getattr(here, name)
