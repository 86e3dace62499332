"""Plan a sync and do it: the calls of the control plane."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from anyscale.batch_run.run import BatchRun
from anyscale.comparison.answers import MatchedAnswer, matched_answers
from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.corrections import Correction, correct_emails
from anyscale.comparison.listed_accounts import ListedAccounts
from anyscale.comparison.lost_letters import TEXTS
from anyscale.comparison.matched_users import MatchedUsers, OnProgress
from anyscale.comparison.planned_users import PlannedUsers, SyncKey
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_planner import Planner
from anyscale.domain.models.sync import LookAlike, Question, SyncPlan, SyncResult, SyncStep
from anyscale.domain.schemas.users import MAX_ANSWERS
from anyscale.domain.user_sources import UserSource
from anyscale.errors import (
    AccountEdited,
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    EmailFreed,
    EmailTaken,
    ExternalIdTaken,
    NotFound,
    OwnerKept,
    SyncStopped,
)

if TYPE_CHECKING:
    from anyscale.domain.models.batches import Batch

_ANSWERED_MEANWHILE = "another sync has answered the same questions: sync again"

#: what a refusal says about the accounts
_NOTHING = "nothing was changed"

#: a step or a question
Located = TypeVar("Located", SyncStep, Question)

_STALE = (
    "`{}` was the answer to another change, and holds only for that: correct the account by "
    "`anyscale user update`"
)

#: What says that an account has changed since it was planned, and only this account.
_CHANGED = (
    AccountEdited,
    ConfigError,
    EmailFreed,
    EmailTaken,
    ExternalIdTaken,
    NotFound,
    OwnerKept,
)


class SyncRun:
    """A sync of the accounts with a source of everybody.

    Args:
        transport: of the control plane.
        source: the users.
        options: what it may do.
        drop_command: returns the command or call that drops an open batch, for a message.
        label: how people recognize the batch of the new accounts; by default, that of the source.
        log: receives messages for the user.
        on_progress: receives the step, how much of it is done, and how much it is in all.
    """

    def __init__(
        self,
        transport: ComparisonCalls,
        source: UserSource,
        options: SyncOptions,
        *,
        drop_command: Callable[[str], str],
        label: str | None = None,
        log: Callable[[str], None] = lambda _: None,
        on_progress: OnProgress = lambda *_: None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._options = options
        self._drop_command = drop_command
        self._label = source.label if label is None else label
        self._log = log
        self._on_progress = on_progress
        #: what `apply` has done so far
        self.result: SyncResult = SyncResult()
        #: of the caller, to questions of the plan
        self._answers: Sequence[MatchedAnswer] = ()
        #: of the created accounts
        self.batch: Batch | None = None

    def plan(self) -> SyncPlan:
        """Read the source and the accounts, and plan. It writes nothing.

        Raises:
            BatchRefused: entries are wrong.
        """
        plan = self._plan(self._options)
        answers = matched_answers(self._options, plan.questions)
        if not answers:
            return plan
        given = [one.given for one in answers]
        holds = self._transport.users.answer_questions(given, dry_run=True)
        self._answers = [one for one, does_hold in zip(answers, holds, strict=True) if does_hold]
        by_change = {
            change: answer for one in self._answers for change, answer in one.by_change.items()
        }
        stale = [one for one, does_hold in zip(answers, holds, strict=True) if not does_hold]
        if by_change:
            every = {**self._options.answers, **by_change}
            plan = self._plan(structs.replace(self._options, answers=every))
        return _with_stale(plan, stale)

    def _plan(self, options: SyncOptions) -> SyncPlan:
        planner = Planner(options)
        entries = MatchedUsers(
            self._transport,
            self._source,
            _NOTHING,
            damaged_fields=TEXTS,
            on_progress=self._on_progress,
        )
        # Corrections are of a file of some people, too: the others count for nothing.
        needs_others = options.create or options.suspend_missing
        with ListedAccounts(self._transport) if needs_others else nullcontext() as listed:
            for matched in entries:
                planner.add_entries(matched)
            planner.add_conflicts(entries.conflicts)
            entries.refuse(planner.draft.damaged)
            planner.end_entries()
            for account in listed.missing(planner.seen) if listed else ():
                planner.add_missing(account)
        active = listed.active if listed else planner.active
        planner.look_up(self._transport)
        plan = _located(planner.plan(active), entries)
        while plan.create and (taken := self._taken(plan, entries)):
            plan.blocked += taken
            left = {step.index for step in taken}
            plan.create = [step for step in plan.create if step.index not in left]
        return plan

    def apply(self, plan: SyncPlan) -> None:
        """Do what a plan without stops says. What has changed since is left, and in its result.

        The accounts of people who left are suspended before those of new users are created, which
        is whole or nothing and may be refused.

        Raises:
            BatchUnfinished: something failed on the way. The same plan, made again, has the rest.
        """
        plan.done = self.result
        users = self._transport.users
        self.store_answers()

        def restore(step: SyncStep) -> None:
            users.restore(_id(step), keep_owner=True, by_sync=True, expected=step.expected)

        def suspend(step: SyncStep) -> None:
            users.suspend(_id(step), keep_owner=True, by_sync=True, expected=step.expected)

        # Before the corrections, which are of accounts that are not suspended.
        for _ in self._each("Restoring", plan.restore, restore):
            self.result.restored += 1
        with_email: dict[str, SyncStep] = {}
        for step in self._each("Correcting", plan.correct, self._correct):
            if _correction(step).email_change:
                with_email[_id(step)] = step
            else:
                self.result.corrected += 1
        self._correct_emails(with_email)
        for _ in self._each("Suspending", plan.suspend, suspend):
            self.result.suspended += 1
        if plan.create:
            self._create(plan.create)

    def store_answers(self) -> None:
        """Store what the answers of the caller were the answers to, also if no step follows.

        They hold for nothing else from now on. `apply` does it, too.

        Raises:
            BatchUnfinished: it failed.
        """
        given = [one.given for one in self._answers]
        try:
            for start in range(0, len(given), MAX_ANSWERS):
                part = given[start : start + MAX_ANSWERS]
                if not all(self._transport.users.answer_questions(part, dry_run=False)):
                    raise BatchUnfinished(_ANSWERED_MEANWHILE)
        except AnyscaleError as error:
            raise self._unfinished(error) from error

    def _each(
        self, doing: str, steps: Sequence[SyncStep], do: Callable[[SyncStep], None]
    ) -> Iterator[SyncStep]:
        """Do steps one by one; iterate over those that were done."""
        for at, step in enumerate(steps):
            self._on_progress(doing, at, len(steps))
            try:
                do(step)
            except _CHANGED as error:
                self._leave(step, str(error))
            except AnyscaleError as error:
                raise self._unfinished(error) from error
            else:
                yield step

    def _correct(self, step: SyncStep) -> None:
        """Correct an account, but not its email."""
        correction = _correction(step)
        details = correction.details
        if not details.to_dict():
            return
        expected = correction.expected_of_details
        updated = self._transport.users.update(_id(step), details, expected)
        if details.is_sso_user is False and not updated.has_password:
            self.result.locked_out += 1

    def _correct_emails(self, steps: Mapping[str, SyncStep]) -> None:
        """Change the emails of accounts by id, those at one moment that pass theirs on."""
        corrections = list(map(_correction, steps.values()))
        try:
            for at, (one, refusal) in enumerate(correct_emails(self._transport, corrections)):
                self._on_progress("Changing emails", at, len(steps))
                if refusal:
                    self._leave(steps[one.user_id], refusal)
                else:
                    self.result.corrected += 1
        except AnyscaleError as error:
            raise self._unfinished(error) from error

    def _create(self, steps: Sequence[SyncStep]) -> None:
        try:
            outcome = self._batch(steps).run()
        except AnyscaleError as error:
            raise self._unfinished(error) from error
        self.result.created = outcome.created
        if outcome.batch and outcome.created:
            self.batch, self.result.batch_id = outcome.batch, outcome.batch.batch_id
        for conflict in outcome.skipped_entries():
            self._leave(steps[conflict.position], "it has an account by now")

    def _taken(self, plan: SyncPlan, entries: MatchedUsers) -> list[SyncStep]:
        """Return the users that no batch can create now, each with the reason.

        Raises:
            BatchRefused: the policy of the control plane refuses some of them.
        """
        try:
            self._batch(plan.create).dry_run()
        except BatchRefused as error:
            if error.input_is_at_fault:
                placed = map(entries.located, error.problems)
                raise BatchRefused(placed, error.more, _NOTHING) from None
            by_index = {step.index: step for step in plan.create}
            return [
                structs.replace(by_index[problem.index], kind="leave", reason=problem.detail)
                for problem in error.problems
            ]
        return []

    def _batch(self, steps: Sequence[SyncStep]) -> BatchRun:
        return BatchRun(
            self._transport,
            PlannedUsers(steps),
            SyncKey(self._transport, steps),
            if_exists="skip",
            drop_command=self._drop_command,
            label=self._label,
            log=self._log,
            on_progress=lambda doing, done, total, _count: self._on_progress(doing, done, total),
        )

    def _leave(self, step: SyncStep, reason: str) -> None:
        self.result.left.append(structs.replace(step, kind="leave", reason=reason))

    def _unfinished(self, error: AnyscaleError) -> BatchUnfinished:
        return BatchUnfinished(f"{self.result} so far, and then: {error}")


def run_sync(
    transport: ComparisonCalls, source: UserSource, options: SyncOptions, *, dry_run: bool
) -> SyncPlan:
    """Sync the accounts with a source: see `UserCalls.sync`."""
    # Of `anyscale`, or of the same `Anyscale`.
    run = SyncRun(transport, source, options, drop_command='`batch.drop("{}")`'.format)
    plan = run.plan()
    if dry_run:
        return plan
    if plan.stops:
        raise SyncStopped(plan)
    run.apply(plan)
    return plan


def _with_stale(plan: SyncPlan, stale: Iterable[MatchedAnswer]) -> SyncPlan:
    """Say of questions that an answer of the caller was the answer to another change."""
    words = {question.change: one.words for one in stale for question in one.questions}
    if words:
        plan.questions = [
            structs.replace(one, reason=f"{one.reason}; {_STALE.format(words[one.change])}")
            if one.change in words
            else one
            for one in plan.questions
        ]
    return plan


def _correction(step: SyncStep) -> Correction:
    assert step.changes
    assert step.expected
    return Correction(_id(step), step.email, step.changes, step.expected)


def _id(step: SyncStep) -> str:
    assert step.user_id
    return step.user_id


def _located(plan: SyncPlan, entries: MatchedUsers) -> SyncPlan:
    """Add the lines and columns of their entries to the steps of a plan."""

    def located(step: Located) -> Located:
        if step.index is None:
            return step
        placed = entries.locate(step.index)
        return structs.replace(step, line=placed.line, column=placed.column, cell=placed.cell)

    for kind in ("create", "correct", "restore", "left", "blocked", "questions"):
        setattr(plan, kind, list(map(located, getattr(plan, kind))))
    plan.look_alikes = [LookAlike(pair.suspend, located(pair.create)) for pair in plan.look_alikes]
    return plan
