"""The calls of a run to the control plane of its own process, for the session that started it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from anyscale.domain.models.batches import Batch
from anyscale.domain.models.sync import GivenAnswer
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller
from anyscale.server.in_process import Batches, Users

if TYPE_CHECKING:
    from anyscale.domain.validation import Policy


class _Batches(Batches):
    """The calls for batches of a run: they notice that the server stops."""

    def __init__(
        self, control_plane: ControlPlane, caller: SessionCaller, check: Callable[[], None]
    ) -> None:
        super().__init__(lambda _: control_plane, caller)
        self._check = check

    def show(self, batch_id: str) -> Batch:
        self._check()  # a run that waits for another batch shows it again and again
        return super().show(batch_id)


class _Users(Users):
    """The calls for accounts of a run: what its form suspends can be restored together."""

    def __init__(self, control_plane: ControlPlane, caller: SessionCaller, form_key: str) -> None:
        super().__init__(lambda _: control_plane, caller)
        self._form_key = form_key

    def suspend(self, user_id: str, **options: Any) -> None:
        super().suspend(user_id, key=self._form_key or None, **options)

    def answer_questions(
        self,
        answers: Sequence[GivenAnswer],
        *,
        dry_run: bool,  # noqa: ARG002 - none is stored
    ) -> list[bool]:
        """Let all answers hold: a form has those to the plan that its page has shown."""
        return [True] * len(answers)


class OwnCalls:
    """The calls of a run: see `RunCalls` and `ComparisonCalls`.

    Args:
        control_plane: of this process.
        caller: whose session is checked in each transaction.
        check: raises an error when the run has to stop.
        form_key: of the form that started the run; empty if it suspends nobody.
    """

    reservations_at_once = 1
    #: While one chunk is hashed, the next one is ready.
    hashes_at_once = 2

    def __init__(
        self,
        control_plane: ControlPlane,
        caller: SessionCaller,
        check: Callable[[], None],
        form_key: str = "",
    ) -> None:
        self.policy: Callable[[], Policy] = control_plane.batches.available_policy
        self.on_notice: Callable[[str], None] = lambda _: None
        self.batches: Final = _Batches(control_plane, caller, check)
        self.users: Final = _Users(control_plane, caller, form_key)

    def cancel_retries(self) -> None:
        """Do nothing: no call is repeated here."""
