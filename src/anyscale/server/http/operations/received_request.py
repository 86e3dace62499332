"""What the server receives of requests that go through a proxy, for `anyscale server check`."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException

from anyscale import __version__
from anyscale.domain.schemas.received_request import (
    ECHO,
    PROOF,
    RECEIVED_BODY_OCTETS,
    RECEIVED_BODY_PATH,
    RECEIVED_REQUEST_PATH,
    ReceivedBody,
    ReceivedRequest,
)
from anyscale.server.core.operator_proof import OperatorProofs
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools


@get(RECEIVED_REQUEST_PATH, pool="auth", include_in_schema=False)
def describe_request(
    request: AnyRequest, operator_proofs: NamedDependency[OperatorProofs]
) -> Response[ReceivedRequest]:
    """Describe the request to the operator's command; for other callers there is no such path."""
    described = _described(request, _respond(request, operator_proofs))
    echo = request.headers.get(ECHO)
    return Response(described, headers={ECHO: echo} if echo else {})


@post(
    RECEIVED_BODY_PATH,
    status_code=200,
    include_in_schema=False,
    request_max_body_size=RECEIVED_BODY_OCTETS,
)
async def count_body(
    request: AnyRequest,
    operator_proofs: NamedDependency[OperatorProofs],
    pools: NamedDependency[ThreadPools],
) -> ReceivedBody:
    """Count the octets of a body of the operator's command. Those of other callers are not read."""
    await pools.auth.run(_respond, request, operator_proofs)
    return ReceivedBody(len(await request.body()))


def _respond(request: AnyRequest, operator_proofs: OperatorProofs) -> str:
    """Return the proof of this server, or raise `NotFoundException` without one of the command."""
    proof = request.headers.get(PROOF)
    response = operator_proofs.respond(proof) if proof else None
    if response is None:
        raise NotFoundException
    return response


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


HANDLERS = [describe_request, count_body]
