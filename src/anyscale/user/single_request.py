"""Create a small batch by one request."""

from anyscale.errors import BatchRefused
from anyscale.transport.base import Transport
from anyscale.user.conflict_problems import problems_of
from anyscale.user.email_conflicts import EmailConflicts
from anyscale.user.models import Created
from anyscale.user.user_sources import Chunk

__all__ = ["send_single_request"]


def send_single_request(
    transport: Transport,
    key: str,
    chunk: Chunk,
    if_exists: str,
    conflicts: EmailConflicts,
) -> Created:
    """Create a small batch. It reserves nothing beforehand, so other batches never wait for it.

    Raises:
        BatchRefused: emails are taken, or still reserved when the policy's time is over.
    """
    while True:
        try:
            return transport.create(key, chunk.users, if_exists, chunk.passwords)
        except BatchRefused as error:
            if not any(problem.code == "email_held" for problem in error.problems):
                raise
        taken = conflicts.not_skipped(transport.look_up(chunk.users, 0))
        if conflicts.are_final(taken) and (blocking := conflicts.blocking(taken)):
            raise BatchRefused(problems_of(blocking))
        if batch_ids := conflicts.drop_abandoned(taken):
            conflicts.announce(taken, batch_ids)
            conflicts.wait(batch_ids)
