"""How clients recognize a control plane, its problem documents, and what is not JSON of it."""

from msgspec import DecodeError, Struct

from anyscale.errors import Problem

#: The header that identifies a control plane; its value is the version of the API.
IDENTITY = "Musterroll-Api"


API = "1"

#: what msgspec raises for a body that it cannot decode
DECODE_ERRORS = (DecodeError, UnicodeDecodeError, RecursionError)


class ProblemDocument(Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    detail: str
    #: the code that scripts may rely on
    code: str
    type: str = "about:blank"
    #: identifies the request in the server's log
    request_id: str = ""
    #: with `config_invalid`: each thing that is wrong, if there are several
    details: list[str] = []
    #: the problems of a refused batch
    problems: list[Problem] = []
    #: the batch that is left open
    batch_id: str | None = None
    #: what a user can show next: `passkey`, `totp`, `recovery_code`
    factors: list[str] = []
