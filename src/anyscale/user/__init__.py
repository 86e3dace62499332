"""Users: create them in batches, list them, get one, and change what becomes of their accounts.

The calls load on first use, so that `anyscale.user.models` alone stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscale.user.sdk import here

    admin_batch_create = here.admin_batch_create
    delete = here.delete
    get = here.get
    list = here.list  # noqa: A001 - the contract's name
    restore = here.restore
    set_password_link = here.set_password_link
    set_role = here.set_role
    suspend = here.suspend

__all__ = [
    "admin_batch_create",
    "delete",
    "get",
    "list",
    "restore",
    "set_password_link",
    "set_role",
    "suspend",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'anyscale.user' has no attribute {name!r}")
    from anyscale.user.sdk import here

    return getattr(here, name)
