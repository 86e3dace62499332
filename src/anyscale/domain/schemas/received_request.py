"""A request as the server received it, for `anyscale server check`."""

from msgspec import Struct

#: The path where a server describes a request to `anyscale server check`, and the header with
#: the proof that the request is from this command.
RECEIVED_REQUEST_PATH = "/received-request"

#: The path, among those for which a proxy has to let large bodies pass, at which a server counts
#: the octets of a body that the command sends, and their number.
RECEIVED_BODY_PATH = "/v1/batches/check"
RECEIVED_BODY_OCTETS = 2 << 20

PROOF = "Musterroll-Proof"

#: a header that the server returns to the command as it received it
ECHO = "Musterroll-Echo"


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


class ReceivedBody(Struct, frozen=True):
    """How much of a body the server received, through the proxy in front of it."""

    octets: int
