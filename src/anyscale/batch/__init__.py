"""Batches: list them, show one, drop an unfinished one, undo one.

The package holds the run of an undo (`undo_batch.py`), the SDK's calls (`sdk.py`), which are
imported on first use, and two parts of the run in `anyscale.user.batch_run`, which creates batches:
the sending of passwords (`password_upload.py`) and the result (`outcome.py`). `__init__.pyi`
declares the calls for type checkers and editors. `anyscale.user.models` has the record of a batch.
"""

__all__ = ["drop", "list", "show", "undo"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in __all__:
        return getattr(import_module("anyscale.batch.sdk").default_calls, name)
    raise AttributeError(f"module 'anyscale.batch' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, without the modules that were imported meanwhile."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
