"""Syncs of users files: the sync of the command, with calls in this process, for a session."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET

from anyscale.comparison.sync_limits import count_unidentified, exceeded_limits
from anyscale.comparison.sync_options import Answer, SyncOptions, choose_kinds
from anyscale.comparison.sync_run import SyncRun
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.sync import StepKind, SyncPlan, SyncResult, SyncStep
from anyscale.domain.validation import Policy
from anyscale.errors import AnyscaleError, SyncStopped
from anyscale.server.background.file_run import FileRun, stop_reason
from anyscale.server.background.upload import Upload
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


class FileSync(FileRun):
    """A plan of a sync, or the run that does it as the owner has confirmed it.

    Args:
        control_plane, upload, caller: see `FileRun`.
        form_key: of the form, which has the answers of the owner; empty for a plan.
    """

    path = "/console/sync"

    def __init__(
        self, control_plane: ControlPlane, upload: Upload, caller: SessionCaller, form_key: str = ""
    ) -> None:
        super().__init__(control_plane, upload, caller, f"sync-{form_key}")
        self._form_key = form_key
        self._record: SyncRecord | None = None
        self._result = SyncResult()
        self._saved_at = 0.0

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
            self.result.open(earlier.sync_id)
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
        emails = filter(None, map(_sso_email, chain(plan.create, plan.correct)))
        return self._refused({email_key_or_empty(email).rpartition("@")[2] for email in emails})

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
            self._calls(self._form_key),
            self.file,
            SyncOptions(
                restore=True,
                renumbered=_number(fields.get("renumbered_count", "")),
                answers=dict(_answers(fields)),
                most_steps=_MOST_STEPS,
            ),
            drop_command="its page, /console/batches/{}".format,
            label=self._label,
            log=self.state.note,
            on_progress=self._note_progress,
        )

    def _plan(self, run: SyncRun) -> SyncPlan:
        with self._people_noted(Policy(), verify=True):
            plan = run.plan()
        self._require_users(plan.checked)
        return plan

    def _store_start(self, plan: SyncPlan) -> bool:
        """Store that the sync starts; return whether the form has not started one before."""
        syncs = self._control_plane.syncs
        record = syncs.start(self.caller, self._form_key, self.file.name, plan.steps)
        if record is None:
            earlier = syncs.of_form(self._form_key)
            assert earlier, "its key is in use"
            self.result.open(earlier.sync_id)
            return False
        self._record = record
        self.result.open(record.sync_id)
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
