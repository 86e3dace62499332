"""Parameters that several calls of owners have."""

from typing import Annotated

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from anyscale.domain.schemas.batches import IDEMPOTENCY_KEY

__all__ = ["AfterUser", "BatchId", "IdempotencyKey", "PageOfUsers", "UserId"]

BatchId = Annotated[str, PathParameter(max_length=64, description="`bat_...`")]
UserId = Annotated[str, PathParameter(max_length=64, description="`usr_...`")]

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=f"^{IDEMPOTENCY_KEY}$",
        description="1 to 200 visible ASCII characters. A repeated call with the same key returns "
        "the same response.",
    ),
]

AfterUser = Annotated[
    str, QueryParameter(max_length=64, description="The last `user_id` of the previous page.")
]
PageOfUsers = Annotated[int, QueryParameter(ge=1, le=10_000, description="Users in a page.")]
