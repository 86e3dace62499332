"""Log why a request of an application was refused, for the person who connects the application.

It has no secret: of the addresses no user, query and fragment, and no text that could be a secret
in the wrong field.
"""

import logging
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_CLIENT_ID = re.compile(r"app_[0-9a-f]{24}")

_ADDRESSES = ("redirect_uri", "post_logout_redirect_uri")

#: characters of an address
_MOST = 300

_log = logging.getLogger("anyscale.server")


def log_refusal(
    code: str, detail: str = "", sent: Iterable[tuple[str, str]] = (), *, address: str = ""
) -> None:
    """Log why a request was refused.

    Args:
        code: of the specification, such as `invalid_grant`.
        detail: a sentence that repeats no value of the request.
        sent: the parameters of the request.
        address: where its response goes; by default the one that was sent.
    """
    values = dict(sent)
    client_id = values.get("client_id", "")
    uri = address or next((values[name] for name in _ADDRESSES if name in values), "")
    fields = {
        "code": code,
        "detail": detail,
        "client_id": client_id if _CLIENT_ID.fullmatch(client_id) else None,
        "redirect_uri": origin_and_path(uri) or None,
    }
    _log.warning("request of an application refused", extra=fields)


def origin_and_path(uri: str) -> str:
    """Return an address without user, query and fragment; empty if it is not one."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"
    return f"{origin}{parts.path}"[:_MOST] if parts.scheme and host else ""
