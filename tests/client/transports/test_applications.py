"""The calls of applications: an id that does not exist, and fields that are wrong."""

import pytest

from anyscale.domain.models.applications import NewApplication
from anyscale.errors import ConfigError, NotFound
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


def test_each_wrong_field_has_a_message_of_its_own(transport: Transport) -> None:
    with pytest.raises(ConfigError) as caught:
        transport.applications.create(NewApplication(name=" ", redirect_uris=[]))
    name, uris = caught.value.args
    assert name.startswith("the name of an application has 1 to ")
    assert name.endswith("without blanks around it")
    assert uris.startswith("an application needs a redirect URI")
