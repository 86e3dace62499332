"""Parameters that several calls of owners have."""

from typing import Annotated, Any

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from anyscale.domain.schemas.batches import IDEMPOTENCY_KEY

BatchId = Annotated[str, PathParameter(max_length=64, description="`bat_...`")]
MailingId = Annotated[str, PathParameter(max_length=64, description="`mlg_...` or `bat_...`")]
UserId = Annotated[str, PathParameter(max_length=64, description="`usr_...`")]


def _key_header(effect: str) -> Any:
    characters = "1 to 200 visible ASCII characters. "
    pattern = f"^{IDEMPOTENCY_KEY}$"
    return HeaderParameter(name="Idempotency-Key", pattern=pattern, description=characters + effect)


CreationKey = Annotated[
    str | None,
    _key_header(
        "A repeated call with the same key returns the same response; without a key, each "
        "call is another batch."
    ),
]
OpeningKey = Annotated[str, _key_header("A call with the key of an open batch returns that batch.")]
KeyOfBatch = Annotated[str | None, _key_header("Only the open or published batch with this key.")]

AfterUser = Annotated[
    str, QueryParameter(max_length=64, description="The last `user_id` of the previous page.")
]
PageOfUsers = Annotated[int, QueryParameter(ge=1, le=10_000, description="Users in a page.")]
