"""Name the keyword that a positional argument of the SDK needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from anyscale.domain.models.users import AdminCreateUser
from anyscale.frames import forget_frames

Method = TypeVar("Method", bound=Callable[..., Any])


def keyword_hints(method: Method) -> Method:
    """Decorate a call of the SDK, so that a `TypeError` says how to write it.

    For a positional argument too many it names the keyword: `write get(email=...)`. Users go into a
    list. Other messages, which Python writes, have only the name of the call.
    """
    name, code = method.__name__, method.__code__
    method.__qualname__ = name
    taken = code.co_argcount  # with `self`
    keywords = code.co_varnames[taken : taken + code.co_kwonlyargcount]

    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) > taken and isinstance(args[taken], AdminCreateUser):
            raise TypeError(f"put the users in a list: {name}([...])")
        if len(args) > taken:
            hints = ["..."] * (taken - 1)
            hints += [f"{keyword}=..." for keyword in keywords[: len(args) - taken]]
            raise TypeError(f"a positional argument too many: write {name}({', '.join(hints)})")
        try:
            return method(*args, **kwargs)
        except TypeError as error:
            del args, kwargs  # dicts in place of users show their passwords
            forget_frames(error)
            raise

    return cast("Method", checked)
