"""A self-hosted account service: create accounts from a file, and let their users sign in.

    import anyscale
    anyscale.user.admin_batch_create([...])

`anyscale.user` and `anyscale.Anyscale` are imported on first use.

The client (`user`, `transport`, `cli`, `config`) and the server (`server`) share the models and the
rules of `user`, the errors (`errors`), the bodies of requests (`api_schemas`) and the hash chain of
the audit log (`audit_log`).
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
