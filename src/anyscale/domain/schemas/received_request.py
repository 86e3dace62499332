"""A request as the server received it, for `anyscale server check`."""

from msgspec import Struct

__all__ = ["PROOF", "RECEIVED_REQUEST_PATH", "ReceivedRequest"]

#: The path at which a server describes a request to `anyscale server check`, and the header with
#: the proof that the request is from this command.
RECEIVED_REQUEST_PATH = "/received-request"


PROOF = "Musterroll-Proof"


class ReceivedRequest(Struct, frozen=True, kw_only=True):
    """A request as the server received it, through the proxy in front of it."""

    #: that the server has the same database as the command
    proof: str
    #: of the program that the server runs
    version: str
    #: the names of all headers, in lower case
    names: list[str]
    #: values of headers; None without the header
    host: str | None
    forwarded_for: str | None
    forwarded_proto: str | None
    #: the scheme and the client's address that the server derives from them
    scheme: str
    client: str | None
    #: the address of the proxy
    peer: str | None
