"""What an answer over HTTP, or the lack of one, means."""

import ssl
from http import HTTPStatus
from typing import TypeVar

from msgspec import DecodeError, ValidationError, json
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from anyscale import errors
from anyscale.api_schemas import API, IDENTITY, ProblemDocument
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    NotAControlPlane,
    Overloaded,
    ServerFault,
    ServerUnreachable,
    Unavailable,
    VersionMismatch,
)

__all__ = ["decoded", "error_of", "unreachable"]

Kind = TypeVar("Kind")

#: code -> the error that has it, of those that are made of a text alone
_BY_CODE: dict[str, type[AnyscaleError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, AnyscaleError)
    and kind not in (BatchRefused, FeatureUnavailable, errors.UserAmbiguous)
}


def decoded(host: str, answer: BaseHTTPResponse, kind: type[Kind]) -> Kind:
    """Read the body of a good answer.

    Raises:
        NotAControlPlane: it is no control plane's.
        VersionMismatch: it is another version's.
    """
    _check_identity(host, answer)
    try:
        if kind is type(None):
            return kind()
        return json.decode(answer.data, type=kind)
    except (DecodeError, ValidationError) as error:
        raise VersionMismatch(
            f"the answer of {host} is not understood ({error}): "
            "use the same version of musterroll on both sides"
        ) from None


def error_of(host: str, answer: BaseHTTPResponse, *, begun: bool) -> AnyscaleError:
    """Give the error that an answer tells of.

    Args:
        host: that was asked.
        answer: not a good one.
        begun: whether the call may have changed something.
    """
    if IDENTITY not in answer.headers:
        return _of_another(host, answer, begun=begun)
    try:
        _check_identity(host, answer)
        document = json.decode(answer.data, type=ProblemDocument)
    except VersionMismatch as mismatch:
        return mismatch
    except (DecodeError, ValidationError):
        return ServerFault(f"{host} answers with HTTP {answer.status} and no reason", begun=begun)
    return _told(document, begun=begun)


def _told(document: ProblemDocument, *, begun: bool) -> AnyscaleError:
    if document.problems:
        return BatchRefused(document.problems)
    if document.code == FeatureUnavailable.code:
        return FeatureUnavailable()
    detail = document.detail
    if document.request_id and document.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
        detail += f" (request {document.request_id})"
    kind = _BY_CODE.get(document.code, ServerFault)
    if issubclass(kind, Unavailable):
        return kind(detail, begun=begun)
    if kind is BatchUnfinished:
        return BatchUnfinished(document.detail, document.batch_id)
    return kind(detail)


def _check_identity(host: str, answer: BaseHTTPResponse) -> None:
    spoken = answer.headers.get(IDENTITY)
    if spoken is None:
        raise NotAControlPlane(
            f"{host} answers, but it is no anyscale control plane: is the address right?"
        )
    if spoken != API:
        raise VersionMismatch(
            f"{host} speaks version {spoken} of the interface, and this command version {API}: "
            "use the same version of musterroll on both sides"
        )


def _of_another(host: str, answer: BaseHTTPResponse, *, begun: bool) -> AnyscaleError:
    """Give the error for an answer of something in between, or instead of a control plane."""
    status = answer.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Overloaded(f"what is in front of {host} has too much to do (HTTP 429)")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerUnreachable(
            f"what is in front of {host} answers with HTTP {status}: the control plane behind it "
            "is down or too slow",
            begun=begun,
        )
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return NotAControlPlane(
            f"a proxy in front of {host} refuses a request of this size (HTTP 413): let it take "
            "64 MiB"
        )
    if where := answer.headers.get("location"):
        return NotAControlPlane(f"{host} points to {where}: use the address of the control plane")
    return NotAControlPlane(
        f"{host} answers with HTTP {status}, but it is no anyscale control plane: is the address "
        "right?"
    )


def unreachable(host: str, error: HTTPError, *, begun: bool) -> ServerUnreachable:
    """Give the error for an answer that did not come.

    Args:
        host: that was asked.
        error: what urllib3 says.
        begun: whether the call may have changed something, had it arrived.
    """
    reason = error.original_error if isinstance(error, ProxyError) else error
    via = "the proxy for " if isinstance(error, ProxyError) else ""
    if "Tunnel connection failed" in str(reason):
        text, arrived = f"{via or 'the proxy for '}{host} does not let it through: {reason}", False
    elif isinstance(reason, NameResolutionError):
        text, arrived = f"there is no host of the name in {via}{host}: is it right?", False
    elif isinstance(reason, SSLError):
        text, arrived = f"no secure connection to {via}{host}: {_tls(reason)}", _is_late(reason)
    elif isinstance(reason, NewConnectionError):
        text, arrived = f"nothing listens at {via}{host}: is the control plane running?", False
    elif isinstance(reason, ConnectTimeoutError):
        text, arrived = (
            f"{via}{host} does not answer: is it up, and may this machine reach it?",
            False,
        )
    else:
        text, arrived = f"the connection to {via}{host} was cut before the answer came", True
    return ServerUnreachable(text, begun=begun and arrived)


def _is_late(error: SSLError) -> bool:
    """Say whether the connection may have been secure before: the request may have gone then."""
    cause = error.args[0] if error.args else None
    early = ("WRONG_VERSION", "RECORD_LAYER", "HANDSHAKE", "UNKNOWN_PROTOCOL", "ALERT", "EOF")
    is_early = any(word in str(cause).upper() for word in early)
    return not (isinstance(cause, ssl.SSLCertVerificationError) or is_early)


def _tls(error: SSLError) -> str:
    cause = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message}); name your authority's file "
            "in SSL_CERT_FILE"
        )
    return "it does not speak TLS as expected: is it https?"
