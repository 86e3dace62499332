"""Create user accounts from a file: whole or nothing, at any size, through any crash.

    import anyscale
    anyscale.user.admin_batch_create([...])

Nothing heavy is imported here: `anyscale.user` and `anyscale.Anyscale` load on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscale import user
    from anyscale.user.sdk import Anyscale

__all__ = ["Anyscale", "__version__", "user"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "user":
        return import_module("anyscale.user")
    if name == "Anyscale":
        return import_module("anyscale.user.sdk").Anyscale
    raise AttributeError(f"module 'anyscale' has no attribute {name!r}")
