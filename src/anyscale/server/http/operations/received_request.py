"""What the server receives of a request that went through a proxy, for `anyscale server check`."""

from typing import Any

from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException

from anyscale import __version__
from anyscale.domain.schemas.received_request import PROOF, RECEIVED_REQUEST_PATH, ReceivedRequest
from anyscale.server.core.operator_proof import OperatorProofs
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.route_handlers import get

__all__ = ["HANDLERS"]


@get(RECEIVED_REQUEST_PATH, pool="auth", include_in_schema=False)
def describe_request(
    request: AnyRequest, operator_proofs: NamedDependency[OperatorProofs]
) -> ReceivedRequest:
    """Describe the request to the operator's command; for other callers there is no such path."""
    proof = request.headers.get(PROOF)
    response = operator_proofs.respond(proof) if proof else None
    if response is None:
        raise NotFoundException
    return _described(request, response)


def _described(request: AnyRequest, proof: str) -> ReceivedRequest:
    # Only the values that the command has to know: a proxy may add secrets of its own.
    headers, scope = request.headers, request.scope
    peer: Any = scope.get("peer")

    def value(name: str) -> str | None:
        return ", ".join(headers.getall(name, [])) or None

    return ReceivedRequest(
        proof=proof,
        version=__version__,
        names=sorted(set(headers)),
        host=value("host"),
        forwarded_for=value("x-forwarded-for"),
        forwarded_proto=value("x-forwarded-proto"),
        scheme=scope["scheme"],
        client=request.client.host if request.client else None,
        peer=peer[0] if peer else None,
    )


HANDLERS = [describe_request]
