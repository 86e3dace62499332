"""Users: create them in batches, list them, get one, manage their accounts.

The package holds the client side: the models, the rules for a user (`validation.py`, `emails.py`,
`passwords.py`, which the server uses too), the readers of users files (`files/`), the run of a
batch (`batch_run.py`) and the calls of the SDK (`sdk.py`). The calls are imported on first use, so
that importing `anyscale.user.models` is cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscale.user.sdk import default_calls

    admin_batch_create = default_calls.admin_batch_create
    delete = default_calls.delete
    get = default_calls.get
    list = default_calls.list  # noqa: A001 - the contract's name
    restore = default_calls.restore
    set_password_link = default_calls.set_password_link
    set_role = default_calls.set_role
    suspend = default_calls.suspend

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
    from anyscale.user.sdk import default_calls

    return getattr(default_calls, name)
