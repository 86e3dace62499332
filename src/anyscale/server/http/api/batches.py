"""/v1/batches: open, list, publish, drop and undo batches. `chunks` has the calls that fill one.

Each call is short, and can be repeated.
"""

from typing import Annotated

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter, RawBody

from anyscale.domain.models.batches import Batch
from anyscale.domain.schemas.batches import (
    BatchOpen,
    BatchPage,
    BatchPublish,
    BatchUndo,
    BatchUsers,
    Conflicts,
    UndoPart,
)
from anyscale.domain.schemas.users import UserList
from anyscale.server.core.batches.service import MAX_POSITION, BatchService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.permissions import Permission
from anyscale.server.http.api.parameters import (
    AfterUser,
    BatchId,
    KeyOfBatch,
    OpeningKey,
    PageOfUsers,
)
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get, post


@post(
    "/",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="openBatch",
    summary="Open a batch, or return the open one with this key.",
    status_code=200,
    responses=error_responses(409, 413),
)
def open_batch(
    request: TokenRequest,
    body: RawBody,
    batches: NamedDependency[BatchService],
    key: OpeningKey,
) -> Batch:
    options = decode(body, BatchOpen)
    return batches.open(request.user, key, options.if_exists, options.label)


@get(
    "/",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="listBatches",
    summary="List batches, the latest first; with a key only the open or published one with it.",
    responses=error_responses(409),
)
def list_batches(
    batches: NamedDependency[BatchService],
    open_only: Annotated[
        bool, QueryParameter(description="Only those that are `open` or `undoing`.")
    ] = False,
    before: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    key: KeyOfBatch = None,
) -> BatchPage:
    if key:
        batch = batches.find(key)
        return BatchPage([batch] if batch else [])
    return BatchPage(batches.page(open_only=open_only, before=before, limit=limit))


@get(
    "/{batch_id:str}",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="showBatch",
    summary="Get a batch: its state and its counts.",
    responses=error_responses(404),
)
def show_batch(
    request: TokenRequest, batch_id: BatchId, batches: NamedDependency[BatchService]
) -> Batch:
    return batches.show(request.user, batch_id)


@post(
    "/{batch_id:str}/publish",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="publishBatch",
    summary="Publish a batch: all of its users become accounts at once.",
    status_code=200,
    responses=error_responses(404, 409, 413),
)
def publish_batch(
    request: TokenRequest,
    body: RawBody,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
) -> Batch:
    sent = decode(body, BatchPublish)
    return batches.publish(request.user, batch_id, sent.entries, mail_links=sent.mail_links)


@post(
    "/{batch_id:str}/release",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="releaseBatch",
    summary="Release the reserved emails to another batch; the batch stays open.",
    status_code=204,
    responses=error_responses(404, 409),
)
def release_batch(
    request: TokenRequest, batch_id: BatchId, batches: NamedDependency[BatchService]
) -> None:
    batches.release(request.user, batch_id)


@post(
    "/{batch_id:str}/drop",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="dropBatch",
    summary="Drop an open batch: no user is created, and its emails are released.",
    status_code=200,
    responses=error_responses(404, 409),
)
def drop_batch(
    request: TokenRequest, batch_id: BatchId, batches: NamedDependency[BatchService]
) -> Batch:
    return batches.drop(request.user, batch_id)


@post(
    "/{batch_id:str}/undo",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="undoBatch",
    summary="Delete accounts that a batch created, for about a second; `after` continues.",
    status_code=200,
    responses=error_responses(404, 409, 413),
)
def undo_batch(
    request: TokenRequest,
    body: RawBody,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
) -> UndoPart:
    undo = decode(body, BatchUndo)
    return batches.undo(request.user, batch_id, undo.after, force=undo.force, dry_run=undo.dry_run)


@get(
    "/{batch_id:str}/conflicts",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="listConflicts",
    summary="List the entries whose emails others have, by position.",
    responses=error_responses(404),
)
def list_conflicts(
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    after: Annotated[int, QueryParameter(ge=-1, le=MAX_POSITION)] = -1,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
) -> Conflicts:
    return Conflicts(batches.conflicts(batch_id, after, limit))


@get(
    "/{batch_id:str}/users",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="listBatchUsers",
    summary="List the users that a published batch created, in the order of the input.",
    responses=error_responses(404),
)
def list_created(
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    after: AfterUser = "",
    limit: PageOfUsers = 1000,
) -> BatchUsers:
    return BatchUsers(batches.created(batch_id, after, limit))


@get(
    "/{batch_id:str}/usersWithoutCredentials",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="listUsersWithoutCredentials",
    summary="List the accounts of a published batch that have no sign-in method yet.",
    responses=error_responses(404),
)
def list_without_credentials(
    batch_id: BatchId,
    links: NamedDependency[PasswordLinkService],
    after: AfterUser = "",
    limit: PageOfUsers = 1000,
) -> UserList:
    return UserList(links.without_credentials(batch_id, after, limit))


ROUTER = Router(
    "/batches",
    route_handlers=[
        open_batch,
        list_batches,
        show_batch,
        publish_batch,
        release_batch,
        drop_batch,
        undo_batch,
        list_conflicts,
        list_created,
        list_without_credentials,
    ],
    tags=["batches"],
)
