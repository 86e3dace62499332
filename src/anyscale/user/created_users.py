"""The run of the SDK's `admin_batch_create`."""

from functools import partial

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.batch_run.run_key import CallKey
from anyscale.call_report import CallReport
from anyscale.domain.models.users import CreatedUsers, SkippedUser
from anyscale.domain.user_sources import UserSource
from anyscale.transport.base import Transport


def create_users(
    transport: Transport,
    users: UserSource,
    report: CallReport,
    idempotency_key: str | None,
    *,
    if_exists: str,
    label: str | None,
    dry_run: bool,
    mail_links: bool,
    accept_weak_hashes: bool,
) -> CreatedUsers:
    """Create users, or only check them: see `UserCalls.admin_batch_create`.

    `report` receives the log lines of the command, and how far the run is.
    """
    where = f"Using the control plane at {transport.where}"
    run = BatchRun(
        transport,
        users,
        CallKey(idempotency_key, partial(report.log, where)),
        if_exists=if_exists,
        label=label,
        # Of `anyscale`, or of the same `Anyscale`.
        drop_command='`batch.drop("{}")`'.format,
        mail_links=mail_links,
        accept_weak_hashes=accept_weak_hashes,
        log=report.log,
        on_progress=report.show,
    )
    if mail_links:
        transport.mails.send_links([])  # a refusal comes before any work
    report.log("Checking users..." if dry_run else "Creating users...")
    outcome = run.dry_run() if dry_run else run.run()
    created = _result(outcome)
    for line in outcome.lines():
        report.log(line)
    return created


def _result(outcome: Outcome) -> CreatedUsers:
    skipped = (SkippedUser(index=c.position, email=c.email) for c in outcome.skipped_entries())
    batch = None if outcome.dry_run else outcome.batch
    return CreatedUsers(outcome.users, skipped, batch.batch_id if batch else None)
