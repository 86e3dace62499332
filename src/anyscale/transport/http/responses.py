"""Turn HTTP responses, and failures to get one, into results and errors."""

import ssl
from http import HTTPStatus
from http.client import BadStatusLine, RemoteDisconnected
from typing import NamedTuple, TypeVar

from msgspec import json
from urllib3 import BaseHTTPResponse, HTTPHeaderDict
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from anyscale import errors
from anyscale.certificates import certificate_advice
from anyscale.domain.schemas.protocol import API, DECODE_ERRORS, IDENTITY, ProblemDocument
from anyscale.domain.urls import is_on_loopback
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    FeatureUnavailable,
    NotAControlPlane,
    Overloaded,
    ServerFault,
    ServerUnreachable,
    Unavailable,
    VersionMismatch,
)

Kind = TypeVar("Kind")

#: octets of a body, unpacked. The largest ones are pages of 10,000 users.
_MAX_BODY = 64 << 20

#: code -> the error class that has it, of those that take only a message
_BY_CODE: dict[str, type[AnyscaleError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, AnyscaleError)
    and kind not in (BatchRefused, FeatureUnavailable, errors.UserAmbiguous)
}


class Response(NamedTuple):
    """A response that was read to its end."""

    status: int
    headers: HTTPHeaderDict
    data: bytes


def read_response(host: str, response: BaseHTTPResponse) -> Response:
    """Read a body to its end.

    Raises:
        HTTPError: the connection failed.
        NotAControlPlane: the body is larger than any of a control plane.
    """
    try:
        data = response.read(_MAX_BODY + 1, decode_content=True)
        if len(data) > _MAX_BODY:
            raise NotAControlPlane(
                f"{host} answers with more than {_MAX_BODY >> 20} MiB, which no control plane does"
            )
        if response.status != HTTPStatus.NO_CONTENT and not _has_length(response):
            _require_whole(response, data)
        return Response(response.status, response.headers, data)
    finally:
        response.release_conn() if response.closed else response.close()


def _require_whole(response: BaseHTTPResponse, data: bytes) -> None:
    """Raise `ProtocolError` if a body without a length was cut off: the connection ends it."""
    if not data:
        # Python takes the end of a connection inside the headers for the end of the headers.
        raise ProtocolError("the response ends inside its headers")
    if IDENTITY in response.headers:
        try:
            json.decode(data)
        except DECODE_ERRORS:
            raise ProtocolError("the response ends inside its body") from None


def _has_length(response: BaseHTTPResponse) -> bool:
    return not {"content-length", "transfer-encoding"}.isdisjoint(map(str.lower, response.headers))


def decoded(host: str, response: Response, kind: type[Kind]) -> Kind:
    """Decode the body of a successful response.

    Raises:
        NotAControlPlane: another program has responded.
        VersionMismatch: the control plane has another version of the interface.
    """
    _check_identity(host, response)
    try:
        if kind is type(None):
            return kind()
        return json.decode(response.data, type=kind)
    except DECODE_ERRORS as error:
        raise VersionMismatch(
            f"the response of {host} is not understood ({error}): "
            "use the same version of musterroll on both sides"
        ) from None


def error_of(host: str, response: Response, *, outcome_unknown: bool) -> AnyscaleError:
    """Return the error for a response with an HTTP status of 300 or more.

    `outcome_unknown` tells whether the call may have changed something if it failed half-way.
    """
    if IDENTITY not in response.headers:
        return _proxy_error(host, response, outcome_unknown=outcome_unknown)
    try:
        _check_identity(host, response)
        document = json.decode(response.data, type=ProblemDocument)
    except VersionMismatch as mismatch:
        return mismatch
    except DECODE_ERRORS:
        return ServerFault(
            f"{host} answers with HTTP {response.status} and no reason",
            outcome_unknown=outcome_unknown,
        )
    return _document_error(document, outcome_unknown=outcome_unknown)


def _document_error(document: ProblemDocument, *, outcome_unknown: bool) -> AnyscaleError:
    if document.problems:
        return BatchRefused(document.problems)
    if document.code == FeatureUnavailable.code:
        return FeatureUnavailable()
    if document.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return VersionMismatch(
            "the control plane does not know this call: "
            "use the same version of musterroll on both sides"
        )
    kind = _BY_CODE.get(document.code, ServerFault)
    if kind is BatchUnfinished:
        return BatchUnfinished(document.detail, document.batch_id)
    *others, detail = (kind is ConfigError and document.details) or [document.detail]
    if document.request_id and document.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
        detail += f" (request {document.request_id})"
    if issubclass(kind, Unavailable):
        return kind(detail, outcome_unknown=outcome_unknown)
    return kind(*others, detail)


def _check_identity(host: str, response: Response) -> None:
    version = response.headers.get(IDENTITY)
    if version is None:
        raise NotAControlPlane(
            f"{host} answers, but it is not an anyscale control plane: is the address right?"
        )
    if version != API:
        raise VersionMismatch(
            f"{host} speaks version {version} of the interface, and this command version {API}: "
            "use the same version of musterroll on both sides"
        )


def _proxy_error(host: str, response: Response, *, outcome_unknown: bool) -> AnyscaleError:
    """Return the error for a response of a proxy, or of another program at the host."""
    status = response.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Overloaded(f"a proxy in front of {host} is too busy (HTTP 429)")
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return ServerUnreachable(
            f"a proxy in front of {host} did not get the whole request in time (HTTP 408)",
            outcome_unknown=outcome_unknown,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerUnreachable(
            f"a proxy in front of {host} answers with HTTP {status}: the control plane behind it "
            "is down or too slow",
            outcome_unknown=outcome_unknown,
        )
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return NotAControlPlane(
            f"a proxy in front of {host} refuses a request of this size (HTTP 413): allow "
            "bodies of 64 MiB"
        )
    if where := response.headers.get("location"):
        return NotAControlPlane(f"{host} points to {where}: use the address of the control plane")
    return NotAControlPlane(
        f"{host} answers with HTTP {status}, but it is not an anyscale control plane: is the"
        " address right?"
    )


def unreachable(
    host: str, error: HTTPError, *, outcome_unknown: bool, has_responded: bool = False
) -> ServerUnreachable:
    """Return the error for a request without a response.

    `outcome_unknown` tells whether the call may have changed something if it arrived, and
    `has_responded` whether anything at the address has responded by HTTP.
    """
    reason = error.original_error if isinstance(error, ProxyError) else error
    if "Tunnel connection failed" in str(reason):
        return ServerUnreachable(f"the proxy for {host} does not let it through: {reason}")
    where = f"the proxy for {host}" if isinstance(error, ProxyError) else host
    text, may_have_arrived = _explained(reason, where)
    if where.startswith("http://") and not has_responded and _may_be_of_tls(reason):
        text += f"; if it has TLS, use https://{where.removeprefix('http://')}"
    return ServerUnreachable(text, outcome_unknown=outcome_unknown and may_have_arrived)


def _explained(error: Exception, where: str) -> tuple[str, bool]:
    """Return what to tell the user, and whether the request may have arrived."""
    if isinstance(error, NameResolutionError):
        return f"the host name of {where} cannot be resolved: check it", False
    if isinstance(error, SSLError):
        return f"no secure connection to {where}: {_tls(error, where)}", _after_handshake(error)
    if isinstance(error, NewConnectionError):
        return f"nothing listens at {where}: is the control plane running?", False
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        text = f"{where} does not answer: is it up, and may this machine reach it?"
        return text, isinstance(error, ReadTimeoutError)
    return f"the connection to {where} was cut before the answer came", True


def _may_be_of_tls(error: Exception) -> bool:
    """Return whether a server with TLS may have closed a connection that began without TLS.

    Such a server sends nothing, or an alert (RFC 8446, 6).
    """
    if not isinstance(error, ProtocolError):
        return False
    cause = error.args[-1]
    if isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected):
        return str(cause).startswith("\x15\x03")
    return True


def _after_handshake(error: SSLError) -> bool:
    """Return whether TLS may have worked before the error, so that the request was sent."""
    cause = error.args[0] if error.args else None
    early = ("WRONG_VERSION", "RECORD_LAYER", "HANDSHAKE", "UNKNOWN_PROTOCOL", "ALERT", "EOF")
    is_early = any(word in str(cause).upper() for word in early)
    return not (isinstance(cause, ssl.SSLCertVerificationError) or is_early)


def _tls(error: SSLError, where: str) -> str:
    cause = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message}); {certificate_advice(cause)}"
        )
    # Only these errors are those of an answer that is not TLS. A server that refuses the handshake
    # speaks TLS, and must not be tried without it. `where` may also be "the proxy for ...".
    is_plain = any(word in str(cause).upper() for word in ("WRONG_VERSION", "RECORD_LAYER"))
    if is_plain and where.startswith("https://"):
        if is_on_loopback(where):
            return f"it answers without TLS: try http://{where.removeprefix('https://')}"
        # Not http://, which is refused beyond this machine, as passwords travel.
        return (
            "it answers without TLS: is the port right, and does it have TLS? "
            "See docs/operations/tls.md"
        )
    return "it does not speak TLS as expected: is it https?"
