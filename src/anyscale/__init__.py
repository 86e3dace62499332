"""A self-hosted account service: create accounts from a file, and let their users sign in.

    import anyscale
    anyscale.user.admin_batch_create([...])

`Anyscale`, `batch`, `errors` and `user` are imported on first use. `__init__.pyi` declares them for
type checkers and editors.

The client (`user`, `batch`, `transport`, `cli`, `config`) and the server (`server`) share `domain`,
the models, rules and wire types, and `errors`.
"""

__all__ = ["Anyscale", "__version__", "batch", "errors", "user"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "Anyscale":
        return import_module("anyscale.sdk").Anyscale
    if name in __all__:
        return import_module(f"anyscale.{name}")
    # With `name` and `obj`, Python suggests the name that was probably meant.
    text = f"module 'anyscale' has no attribute {name!r}"
    raise AttributeError(text, name=name, obj=import_module(__name__))


def __dir__() -> list[str]:
    """Return the public names, without the modules that were imported since."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
