"""`Anyscale`: the SDK on a control plane that arguments name."""

from anyscale.batch.sdk import BatchCalls
from anyscale.config import resolve
from anyscale.domain.models.base import check_type
from anyscale.user.sdk import UserCalls


class Anyscale:
    """The SDK on a control plane that arguments name; they go before the environment.

    `user` and `batch` have the same calls as `anyscale.user` and `anyscale.batch`.

    Args:
        host: `https://...`, or `embedded` for a database of your own.
        token: of an administrator.

    Raises:
        TypeError: an argument has a wrong type.
        ConfigError: the host or the token is missing or wrong.
    """

    def __init__(self, host: str | None = None, token: str | None = None) -> None:
        check_type("host", host, str, type(None))
        check_type("token", token, str, type(None))
        target = resolve(host, token)
        self.user: UserCalls = UserCalls(lambda: target)
        self.batch: BatchCalls = BatchCalls(lambda: target)

    def __repr__(self) -> str:
        return "Anyscale(...)"
