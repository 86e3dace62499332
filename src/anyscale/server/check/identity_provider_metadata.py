"""The metadata of an identity provider, with what only checks need."""

from http import HTTPStatus
from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from anyscale.errors import ProviderUnavailable
from anyscale.server.check.network import within_time
from anyscale.server.core.sso.http_client import HttpResponse, get
from anyscale.server.core.sso.settings import ProviderSettings

Body = TypeVar("Body")


class ProviderMetadata(Struct, frozen=True):
    """The provider's metadata (OpenID Connect Discovery 1.0, 3), as far as checks need them."""

    issuer: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[str] | None = None
    scopes_supported: list[str] | None = None
    claims_supported: list[str] | None = None
    acr_values_supported: list[str] | None = None
    #: of the response
    date: str = ""


def fetch_metadata(settings: ProviderSettings) -> ProviderMetadata:
    """Fetch the metadata of a provider.

    Raises:
        ProviderUnavailable, TimeoutError: they cannot be fetched, or are not metadata.
    """
    url = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
    response = within_time(lambda: get(url))
    metadata = decode(response, ProviderMetadata)
    return structs.replace(metadata, date=response.date)


def decode(response: HttpResponse, kind: type[Body]) -> Body:
    """Decode the JSON of a response, or raise `ProviderUnavailable`."""
    if response.status != HTTPStatus.OK:
        raise ProviderUnavailable(f"it responds with HTTP {response.status}")
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ProviderUnavailable("the response is not the JSON of the specification") from None
