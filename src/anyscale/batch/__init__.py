"""Batches: list them, show one, drop an unfinished one, undo one.

The package holds the run of an undo (`undo_batch.py`) and the SDK's calls (`sdk.py`), which are
imported on first use. `__init__.pyi` declares the calls for type checkers and editors.
`anyscale.batch_run` creates batches, and `anyscale.domain.models` has the record of one.
"""

from anyscale.public_package import show_only_public_names

__all__ = ["drop", "list", "show", "undo"]

show_only_public_names(__name__)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in __all__:
        return getattr(import_module("anyscale.batch.sdk").default_calls, name)
    # With `name` and `obj`, Python suggests the name that was probably meant.
    text = f"module 'anyscale.batch' has no attribute {name!r}"
    raise AttributeError(text, name=name, obj=import_module(__name__))


def __dir__() -> list[str]:
    """Return the public names, without the modules that were imported since."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
