"""The calls of applications: an id that does not exist."""

import pytest

from anyscale.errors import NotFound
from anyscale.transport.base import Transport


@pytest.mark.parametrize(
    ("client_id", "shown"), [("app_none", "app_none"), ("", "''"), ("../users", "../users")]
)
def test_a_text_that_names_no_application_is_answered_with_their_list(
    client_id: str, shown: str, transport: Transport
) -> None:
    with pytest.raises(NotFound) as caught:
        transport.applications.get(client_id)
    message = f"there is no application {shown}: `anyscale application list` shows them"
    assert str(caught.value) == message
