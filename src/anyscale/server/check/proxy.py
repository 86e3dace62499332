"""The proxy in front of the server: what it passes on, and what it blocks."""

from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from anyscale.domain.schemas.protocol import DECODE_ERRORS, IDENTITY
from anyscale.domain.schemas.received_request import (
    ECHO,
    PROOF,
    RECEIVED_BODY_OCTETS,
    RECEIVED_BODY_PATH,
    RECEIVED_REQUEST_PATH,
    ReceivedBody,
    ReceivedRequest,
)
from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import FORGED_ADDRESS, SENT_HEADERS, Installation
from anyscale.server.check.network import NoResponse, announce_body, get, send_body

#: octets of the largest body that the server accepts
_MAX_BODY = 64 << 20

#: Octets of a header that the server sends while a user signs in for an application: a cookie has
#: the application's request, and the response has other headers too.
_LONG_HEADER = 5_000

#: Of large bodies: the server refuses POST without a proof there, or redirects it without a
#: session, before it reads the body.
_LARGE_BODY_PATHS = (RECEIVED_BODY_PATH, "/console/batches/check")

_NGINX = "in nginx `proxy_set_header"


def check_host(installation: Installation) -> Finding:
    """Check that the proxy passes on `Host`, which tells the server its own pages."""
    url, received = installation.proxied_url, _received(installation)
    expected = urlsplit(url).netloc.removesuffix(":443")
    if received.host == expected:
        return ok("the header Host", f"the server received {received.host}")
    found = f"the server received {received.host or 'none'} in place of {expected}"
    return fail("the header Host", found, f"pass it on unchanged: {_NGINX} Host $http_host;`")


def check_client_address(installation: Installation) -> Finding:
    """Check that the proxy sets `X-Forwarded-For`, which limits failed sign-ins."""
    name = "the header X-Forwarded-For"
    value = _received(installation).forwarded_for
    fix = f"set it in place of the client's: {_NGINX} X-Forwarded-For $remote_addr;`"
    if value is None:
        found = "the server received none: all users have the address of the proxy"
        return fail(name, found, fix)
    if FORGED_ADDRESS in value:
        found = f"the server received {value}: a client can choose its address"
        return fail(name, found, fix)
    return ok(name, f"the server received {value}, and not what the client had sent")


def check_scheme(installation: Installation) -> Finding:
    """Check that the proxy sets `X-Forwarded-Proto`."""
    name = "the header X-Forwarded-Proto"
    value = _received(installation).forwarded_proto
    if value == "https":
        return ok(name, "the server received https, and not what the client had sent")
    found = f"the server received {value or 'none'} in place of https"
    fix = f"set it in place of the client's: {_NGINX} X-Forwarded-Proto $scheme;`"
    return fail(name, found, fix)


def check_trusted_proxy(installation: Installation) -> Finding:
    """Check that the server trusts the headers of the proxy, and not those of every client."""
    name = "FORWARDED_ALLOW_IPS"
    received = _received(installation)
    if received.forwarded_proto != "https":
        raise NotTried("the proxy does not set X-Forwarded-Proto")
    # The proxy speaks plain HTTP: only a header that is trusted makes it https.
    if received.scheme != "https":
        found = f"the server does not trust the proxy, whose address is {received.peer}"
        return fail(name, found, f"set {name}={received.peer}, and restart the server")
    if installation.settings.trusted_proxies.strip() == "*":
        found = "it is *: a client that reaches the server without the proxy chooses its address"
        return warn(name, found, f"set {name}={received.peer}")
    return ok(name, f"the server trusts the proxy, and takes {received.client} for this client")


def check_headers(installation: Installation) -> Finding:
    """Check that the proxy passes on the other headers that the server needs."""
    names = set(_received(installation).names)
    missing = [name for name in SENT_HEADERS if name.lower() not in names]
    if missing:
        found = f"the server did not receive {', '.join(missing)}"
        return fail("other headers", found, "let the proxy pass them on")
    return ok("other headers", f"the server received {', '.join(SENT_HEADERS)}")


def check_header_limit(installation: Installation) -> Finding:
    """Check that a long header passes in both directions, as that of a sign-in does."""
    looked_at = f"{installation.proxied_url}, a header of {_LONG_HEADER:,} octets"
    _received(installation)
    proof, _ = installation.new_proofs() or ("", "")
    sent = "0" * _LONG_HEADER
    response = get(installation.proxied_url + RECEIVED_REQUEST_PATH, {PROOF: proof, ECHO: sent})
    if response.headers.get(ECHO.lower()) != sent:
        found = f"it does not come back ({response.status}): some sign-ins at applications fail"
        fix = (
            "let the proxy pass on headers of 6 KiB: in nginx `proxy_buffer_size 8k;` and"
            " `large_client_header_buffers 4 8k;`"
        )
        return warn(looked_at, found, fix)
    return ok(looked_at, "it came back whole")


def check_body_limit(installation: Installation) -> Finding:
    """Check that bodies of 64 MiB pass, which are only announced, and that one of 2 MiB arrives."""
    url = installation.proxied_url
    installation.require_control_plane()
    findings = [_check_body_limit(url, path) for path in _LARGE_BODY_PATHS]
    # Another server would refuse the proof: see public_url.server.
    if installation.received and (proofs := installation.new_proofs()):
        findings.append(_check_arrival(url + RECEIVED_BODY_PATH, proofs[0]))
    return min(findings, key=lambda finding: ("fail", "warn", "ok").index(finding.status))


def _check_body_limit(url: str, path: str) -> Finding:
    looked_at = f"{url}, a body of 64 MiB for {path.rpartition('/')[0]}"
    try:
        response = announce_body(url + path, _MAX_BODY)
    except NoResponse as error:
        return _unclear(looked_at, f"the proxy does not say whether it accepts it: {error}")
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        fix = "raise the limit of the proxy, such as `client_max_body_size 64m;` of nginx"
        return fail(looked_at, "the proxy refuses it (413)", fix)
    # Or the server itself responds: then the announcement has passed the proxy.
    if response.status == HTTPStatus.CONTINUE or IDENTITY.lower() in response.headers:
        return ok(looked_at, "the proxy has not refused it before the body was sent")
    return _unclear(looked_at, f"before it has the body, the proxy responds with {response.status}")


def _check_arrival(url: str, proof: str) -> Finding:
    looked_at = f"{url}, a body of {RECEIVED_BODY_OCTETS >> 20} MiB"
    fix = "let the proxy pass bodies on whole: its log says why it does not"
    try:
        response = send_body(url, RECEIVED_BODY_OCTETS, {PROOF: proof})
    except NoResponse as error:
        return fail(looked_at, f"it does not arrive: {error}", fix)
    if response.status != HTTPStatus.OK or IDENTITY.lower() not in response.headers:
        return fail(looked_at, f"it does not arrive: the response is {response.status}", fix)
    try:
        octets = msgspec.json.decode(response.body, type=ReceivedBody).octets
    except DECODE_ERRORS:
        return fail(looked_at, "it does not arrive: another program responds", fix)
    if octets != RECEIVED_BODY_OCTETS:
        return fail(looked_at, f"the server received {octets} octets of it", fix)
    return ok(looked_at, "the server received it whole")


def _unclear(looked_at: str, found: str) -> Finding:
    return warn(looked_at, found, "check that the proxy accepts bodies of 64 MiB")


def check_metrics(installation: Installation) -> Finding:
    """Check that the proxy blocks `/metrics`."""
    url = f"{installation.proxied_url}/metrics"
    installation.require_control_plane()
    response = get(url)
    if response.status == HTTPStatus.OK and IDENTITY.lower() in response.headers:
        fix = "let the proxy answer /metrics with 404, at least for other machines"
        return fail(url, "machines that reach the proxy as this one does can read it", fix)
    if response.status == HTTPStatus.BAD_REQUEST:
        raise NotTried("the server refuses the request (400), perhaps for its Host: see proxy.host")
    return ok(url, f"the proxy blocks it ({response.status})")


def _received(installation: Installation) -> ReceivedRequest:
    _ = installation.proxied_url
    received = installation.received
    if received is None:
        raise NotTried("another server responds: see public_url.server")
    return received
