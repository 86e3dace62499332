"""What the model expects of steps: of one, of two at once, and of one that was cut short."""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from tests.resilience.histories.model import Model
from tests.resilience.histories.steps import Step, Sync
from tests.resilience.histories.sync_model import Progress, SyncModel


class Expected(NamedTuple):
    """The outcomes of steps, and what is stored then."""

    outcomes: tuple[object, ...]
    model: Model


def after_one(model: Model, step: Step) -> Expected:
    """Return what a step does that meets no other one."""
    model = model.copy()
    return Expected((_finish(_begin(model, step)),), model)


def after_both(model: Model, step: Step, other: Step) -> Iterator[Expected]:
    """Iterate over what two steps may do that meet: the second one is a call of another client."""
    yield from _in_turn(model, step, other)
    if not isinstance(step, Sync):
        for expected in _in_turn(model, other, step):
            yield expected._replace(outcomes=expected.outcomes[::-1])
        return
    for lists_in_advance in _listings(model):
        for moments in count():
            now = model.copy()
            progress = _begin(now, step, lists_in_advance)
            if not _advance(progress, moments):
                break
            outcome = now.take(other)
            yield Expected((_finish(progress), outcome), now)


def after_a_part(model: Model, step: Step) -> Iterator[Model]:
    """Iterate over what may be stored when a step was cut short."""
    yield model
    for moments in count(1):
        now = model.copy()
        progress = _begin(now, step)
        is_unfinished = _advance(progress, moments)
        yield now
        if not is_unfinished:
            return


def _in_turn(model: Model, step: Step, other: Step) -> Iterator[Expected]:
    (outcome,), now = after_one(model, step)
    (other_outcome,), now = after_one(now, other)
    yield Expected((outcome, other_outcome), now)


def _listings(model: Model) -> tuple[bool | None, ...]:
    # The embedded control plane lists the accounts after the file was read; over HTTP, a thread
    # does so meanwhile.
    return (None,) if model.is_operator else (True, False)


def _begin(model: Model, step: Step, lists_in_advance: bool | None = None) -> Progress:
    if isinstance(step, Sync):
        return SyncModel(model, step, lists_in_advance=lists_in_advance).run()
    return _one_call(model, step)


def _one_call(model: Model, step: Step) -> Progress:
    yield
    return model.take(step)


def _advance(progress: Progress, moments: int) -> bool:
    """Let a step go on for some moments; return False if it has ended by then."""
    for _ in range(moments):
        try:
            next(progress)
        except StopIteration:
            return False
    return True


def _finish(progress: Progress) -> object:
    while True:
        try:
            next(progress)
        except StopIteration as end:
            return end.value
