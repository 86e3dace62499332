"""The public URL: whether it leads to this server, its certificate and its clock."""

import time
from http import HTTPStatus

import msgspec
from msgspec import Struct

from anyscale import __version__
from anyscale.domain.schemas.protocol import DECODE_ERRORS, IDENTITY
from anyscale.server.check.findings import Finding, fail, judge_clock, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.check.network import (
    NoResponse,
    TlsFailed,
    get,
    get_certificate_end,
    skew_of,
)

_DAY_SECONDS = 86_400
#: before a certificate expires, one that is renewed by itself has been renewed
_CERTIFICATE_DAYS = 14


class _Metadata(Struct, frozen=True):
    """Of the OpenID provider (OpenID Connect Discovery 1.0, 3)."""

    issuer: str


def check_reachable(installation: Installation) -> Finding:
    """Check that a control plane responds at the public URL."""
    url = installation.public_url
    try:
        response = installation.get_health()
    except TlsFailed as error:
        return fail(url, str(error), "see public_url.certificate")
    except NoResponse as error:
        return fail(url, str(error), "start the server and the proxy, or correct the address")
    if response.status != HTTPStatus.OK:
        fix = "start the server, and let the proxy pass requests on to it"
        return fail(url, f"a program in front of the server responds with {response.status}", fix)
    if IDENTITY.lower() not in response.headers:
        found = f"another program responds, or the proxy removes the header {IDENTITY}"
        return fail(url, found, "correct the address or the proxy")
    return ok(url, "a control plane responds")


def check_certificate(installation: Installation) -> Finding:
    """Check the certificate of the public URL."""
    url = installation.proxied_url
    try:
        seconds = get_certificate_end(url) - time.time()
    except TlsFailed as error:
        fix = f"{error.advice} ({installation.environment_file} has the settings)"
        return fail(f"the certificate of {url}", str(error), fix)
    days = int(seconds // _DAY_SECONDS)
    found = f"it is trusted, and expires in {days} {'day' if days == 1 else 'days'}"
    if days < _CERTIFICATE_DAYS:
        return warn(f"the certificate of {url}", found, "renew it, and let the proxy read it again")
    return ok(f"the certificate of {url}", found)


def check_server(installation: Installation) -> Finding:
    """Check that the server at the public URL has this database and this program."""
    url = installation.public_url
    received = installation.received
    if received is None:
        found = "the control plane that responds has another database"
        fix = "restart it with these settings, or correct ANYSCALE_PUBLIC_URL"
        return fail(url, found, fix)
    if received.version != __version__:
        found = f"the server runs version {received.version}, and this command is {__version__}"
        return warn(url, found, "restart the server")
    return ok(url, f"the server has this database, and runs version {received.version}")


def check_clock(installation: Installation) -> Finding:
    """Compare the clock of what responds at the public URL with this machine's."""
    looked_at = f"the clock of {installation.public_url}"
    response = installation.require_control_plane()
    skew = skew_of(response.headers.get("date"))
    if skew is None:
        return warn(looked_at, "it sends no valid header Date", "let the proxy pass it on")
    return judge_clock(looked_at, skew)


def check_issuer(installation: Installation) -> Finding:
    """Check that the metadata at the public URL name it as the issuer."""
    issuer = installation.public_url
    installation.require_control_plane()
    url = f"{issuer}/.well-known/openid-configuration"
    try:
        metadata = _metadata_at(url)
    except (NoResponse, *DECODE_ERRORS) as error:
        fix = "see proxy.host, openid.keys and the server's log"
        return warn(url, f"the metadata cannot be read ({error})", fix)
    if metadata.issuer != issuer:
        return fail(url, f"the issuer is {metadata.issuer}", "start the server with this setting")
    return ok(url, "applications can read the metadata")


def _metadata_at(url: str) -> _Metadata:
    response = get(url)
    if response.status != HTTPStatus.OK:
        raise NoResponse(f"the status is {response.status}")
    return msgspec.json.decode(response.body, type=_Metadata)
