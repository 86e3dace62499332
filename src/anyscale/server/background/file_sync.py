"""Syncs of users files: the sync of the command, with calls in this process, for a session."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET

from anyscale.comparison.sync_options import (
    Answer,
    SyncOptions,
    choose_kinds,
    count_unidentified,
    exceeded_limits,
)
from anyscale.comparison.sync_run import SyncRun
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.labels import label_of_file
from anyscale.domain.models.sync import StepKind, SyncPlan, SyncResult, SyncStep
from anyscale.domain.validation import Policy
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    SyncStopped,
)
from anyscale.server.background.counted_file import CountedFile, Person
from anyscale.server.background.file_run import entries_of, no_users
from anyscale.server.background.own_calls import OwnCalls
from anyscale.server.background.run_state import RunState, stop_reason
from anyscale.server.background.uploads import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller

if TYPE_CHECKING:
    from anyscale.server.store.records.syncs import SyncRecord

#: What an owner has to answer before a plan is done. `changed`: to look at the plan, which is not
#: the one that the form is about.
OpenQuestion = Literal["changed", "cut", "suspend", "correct", "nameless", "nothing"]

#: Steps of a plan at most, of some 700 octets each.
_MOST_STEPS = 100_000

#: seconds between two times that the progress is stored
_SAVE_SECONDS = 1.0

#: The names of the fields with answers to questions, before the change that each is about.
ANSWER: Final = "answer-"

#: the kinds of steps that change something, in the order of a page
KINDS: Final[Sequence[StepKind]] = ("create", "correct", "suspend", "restore")


def plan_digest(plan: SyncPlan) -> str:
    """Return a digest of the steps of a plan: the people, and what changes."""
    digest, encoder = hashlib.sha256(), msgspec.json.Encoder()
    for kind in KINDS:
        for step in getattr(plan, kind):
            digest.update(encoder.encode((kind, step.user_id, step.email, step.changes)))
            digest.update(encoder.encode(step.replaced))
    return digest.hexdigest()


class FileSync:
    """A plan of a sync, or the run that does it as the owner has confirmed it.

    Args:
        control_plane: that runs it.
        upload: the file, and the answers of its form.
        caller: whose session is checked in each transaction.
        form_key: of the form; empty for a plan.
    """

    def __init__(
        self, control_plane: ControlPlane, upload: Upload, caller: SessionCaller, form_key: str = ""
    ) -> None:
        self.file: Final = CountedFile(upload)
        self.upload = upload
        self.caller = caller
        self.key: str = f"sync-{form_key}"
        #: becomes the id of the sync as soon as it does something, or an error
        self.opened: Future[str] = Future()
        #: is done when the run has ended and its file is closed
        self.ended: Future[None] = Future()
        self.state: Final = RunState()
        #: always: it continues nothing
        self.is_compared: Final = True
        #: position -> who it is, of the entries that have problems, and that others repeat
        self.people: dict[int, Person] = {}
        self._control_plane = control_plane
        self._form_key = form_key
        self._record: SyncRecord | None = None
        self._result = SyncResult()
        self._saved_at = 0.0

    @property
    def run_id(self) -> str:
        """The id of the sync; empty as long as it does nothing."""
        return self._record.sync_id if self._record else ""

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"/console/sync/{self.run_id}"

    def plan(self) -> SyncPlan:
        """Read the file and the accounts, and plan all kinds of steps; write nothing.

        Raises:
            BatchRefused: the file is wrong.
            RequestInvalid: it has no users.
            TooLarge: the plan would be too large for the memory of a server.
        """
        return self._plan(self._new_run())

    def work(self) -> None:
        """Plan, and do it if it is the plan that the owner has confirmed.

        Raises:
            SyncStopped: something has to be confirmed first; nothing was changed.
        """
        if earlier := self._control_plane.syncs.of_form(self._form_key):
            self.opened.set_result(earlier.sync_id)
            return
        run = self._new_run()
        plan = self._plan(run)
        if any(self.open_questions(plan)):
            raise SyncStopped(plan)
        choose_kinds(plan, self._chosen)
        if self._store_start(plan):
            self._do(run, plan)

    def open_questions(self, plan: SyncPlan) -> Iterator[OpenQuestion]:
        """Iterate over what the form leaves open about a plan of all kinds."""
        fields = self.upload.fields
        if fields.get("seen") != plan_digest(plan):
            yield "changed"
        if self.file.may_be_cut and fields.get("complete") != "yes":
            yield "cut"
        for one in exceeded_limits(plan, SyncOptions()):
            typed = _number(fields.get(f"{one.kind}_count", ""))
            if self.is_chosen(one.kind) and typed != one.count:
                yield "suspend" if one.kind == "suspend" else "correct"
        # A person who leaves out the new people has seen them beside those who left.
        if self.is_chosen("suspend") and plan.suspend and count_unidentified(plan, create=True):
            yield "nameless"
        if not self._has_steps(plan):
            yield "nothing"

    def refused_domains(self, plan: SyncPlan) -> list[str]:
        """Return the domains of new emails of users by SSO that SSO refuses."""
        provider = self._control_plane.settings.provider
        emails = filter(None, map(_sso_email, chain(plan.create, plan.correct)))
        domains = {email_key_or_empty(email).rpartition("@")[2] for email in emails}
        return provider.refused(domains) if provider else []

    def is_chosen(self, kind: StepKind) -> bool:
        """Return whether the steps of a kind are to be done, by the form or before it was shown."""
        fields = self.upload.fields
        if kind in fields.get("shown", "").split():
            return fields.get(kind) == "yes"
        # As the command does: people who left come back only if somebody says so.
        return kind != "restore"

    def stop_message(self, error: AnyscaleError) -> str:
        """Return why it stopped, for its page."""
        reason = stop_reason(error)
        return f"The update stopped: {reason}. Check the same file again to see what is left."

    @property
    def _chosen(self) -> SyncOptions:
        return SyncOptions(
            create=self.is_chosen("create"),
            correct=self.is_chosen("correct"),
            suspend_missing=self.is_chosen("suspend"),
            restore=self.is_chosen("restore"),
        )

    def _has_steps(self, plan: SyncPlan) -> bool:
        return any(getattr(plan, kind) and self.is_chosen(kind) for kind in KINDS)

    def _new_run(self) -> SyncRun:
        fields = self.upload.fields
        return SyncRun(
            OwnCalls(self._control_plane, self.caller, self.state.require_running, self._form_key),
            self.file,
            SyncOptions(
                restore=True,
                renumbered=_number(fields.get("renumbered_count", "")),
                answers=dict(_answers(fields)),
                most_steps=_MOST_STEPS,
            ),
            drop_command="its page, /console/batches/{}".format,
            label=label_of_file(self.upload.fields.get("name", "")),
            log=self.state.note,
            on_progress=self._note_progress,
        )

    def _plan(self, run: SyncRun) -> SyncPlan:
        try:
            plan = run.plan()
        except BatchRefused as error:
            positions = entries_of(error.problems)
            self.people = self.file.people_at(positions, Policy(), verify=True)
            raise
        if not plan.checked:
            raise no_users(self.file.name)
        return plan

    def _store_start(self, plan: SyncPlan) -> bool:
        """Store that the sync starts; return whether the form has not started one before."""
        syncs = self._control_plane.syncs
        record = syncs.start(self.caller, self._form_key, self.file.name, plan.steps)
        if record is None:
            earlier = syncs.of_form(self._form_key)
            assert earlier, "its key is in use"
            self.opened.set_result(earlier.sync_id)
            return False
        self._record = record
        self.opened.set_result(record.sync_id)
        return True

    def _do(self, run: SyncRun, plan: SyncPlan) -> None:
        self._result = run.result
        try:
            run.apply(plan)
        except AnyscaleError:
            with suppress(AnyscaleError):  # the error may be that of a database that has failed
                self._save("stopped")
            raise
        self._save("done")

    def _note_progress(self, step: str, done: int, total: int) -> None:
        self.state.note_progress(step, done, total)
        if time.monotonic() > self._saved_at + _SAVE_SECONDS:
            self._save("running")

    def _save(self, state: str) -> None:
        if self._record:
            self._saved_at = time.monotonic()
            self._control_plane.syncs.save(self._record, self._result, state)


def _answers(fields: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Iterate over the answers of a form, each with the change that it is about."""
    known: dict[str, Answer] = {"same": "same", "differ": "differ"}
    for name, text in fields.items():
        if name.startswith(ANSWER) and (answer := known.get(text)):
            yield name.removeprefix(ANSWER), answer


def _number(text: str) -> int | None:
    digits = re.sub(r"[\s,.]", "", text)
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _sso_email(step: SyncStep) -> str | None:
    """Return the email of a user by SSO who is new, gets it or was not by SSO, else None."""
    assert step.changes
    email, is_by_sso = step.changes.email, step.changes.is_sso_user
    if is_by_sso is UNSET and step.expected:
        is_by_sso = bool(email) and step.expected.is_sso_user
    return (email or step.email) if is_by_sso else None
