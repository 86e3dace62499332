"""Name the keyword that a positional argument of the SDK needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["keyword_hints"]

Method = TypeVar("Method", bound=Callable[..., Any])


def keyword_hints(method: Method) -> Method:
    """Decorate a method with keyword-only parameters.

    The `TypeError` for a positional argument then names its keyword: `write get(email=...)`.
    """
    name, code = method.__name__, method.__code__
    taken = code.co_argcount  # with `self`
    keywords = code.co_varnames[taken : taken + code.co_kwonlyargcount]

    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) > taken:
            hints = ["..."] * (taken - 1)
            hints += [f"{keyword}=..." for keyword in keywords[: len(args) - taken]]
            raise TypeError(f"a positional argument too many: write {name}({', '.join(hints)})")
        return method(*args, **kwargs)

    return cast("Method", checked)
