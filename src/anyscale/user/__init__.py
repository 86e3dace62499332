"""Users: create them in batches, list them, get one, manage their accounts.

The package has the client side: the public module of the models, lists as a source of users
(`list_source.py`), and the calls of the SDK (`sdk.py`).
The calls are imported on first use, so that importing `anyscale.user.models` is cheap.
`__init__.pyi` declares them for type checkers and editors.
"""

from anyscale.public_package import show_only_public_names

__all__ = [
    "admin_batch_create",
    "delete",
    "get",
    "list",
    "models",
    "reset_second_factor",
    "restore",
    "set_password_link",
    "set_role",
    "suspend",
    "sync",
    "update",
    "users_file",
    "verify",
]

show_only_public_names(__name__)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "models":
        return import_module("anyscale.user.models")
    if name in __all__:
        return getattr(import_module("anyscale.user.sdk").default_calls, name)
    # With `name` and `obj`, Python suggests the name that was probably meant.
    text = f"module 'anyscale.user' has no attribute {name!r}"
    raise AttributeError(text, name=name, obj=import_module(__name__))


def __dir__() -> list[str]:
    """Return the public names, without the modules that were imported since."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
