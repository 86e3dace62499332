"""A random history of one control plane, each step of which is compared with the model."""

import os
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier, Thread
from typing import Any

from tests.resilience.histories.clients import Moment, watch_calls
from tests.resilience.histories.commands import (
    arguments_of,
    cut_off,
    outcome_of,
    with_options_of_command,
)
from tests.resilience.histories.expected import Expected, after_a_part, after_both, after_one
from tests.resilience.histories.model import Model
from tests.resilience.histories.random_steps import RandomSteps
from tests.resilience.histories.steps import SetRole, Step, Sync
from tests.resilience.histories.two_syncs import check_two_syncs
from tests.resilience.histories.world import World
from tests.support.commands.command_process import CommandProcess
from tests.support.waiting import wait_until

#: the first calls of a client, at which something happens
_CALLS = 9


#: outcomes, and what is stored: see `Model.state`
_Compared = tuple[Any, ...]


class _Died(BaseException):
    """A client ends: none of its calls is made after it."""


class History:
    """A history on an empty control plane.

    Args:
        world: the control plane.
        number: of the history: the same one takes the same steps.
        folder: for files.
        counts: receives what happened, by its name.
    """

    def __init__(self, world: World, number: int, folder: Path, counts: Counter[str]) -> None:
        self._world = world
        self._folder = folder
        self._counts = counts
        self._random = Random(f"history {number}")
        #: which rounds there are does not depend on how clients meet
        self._chance = Random(f"rounds {number}")
        self._gone: list[str] = []
        self._steps = RandomSteps(self._random, self._gone)
        self._log = [f"history {number}"]
        world.empty()
        self._model = world.observe()
        self._take_one(self._steps.first())
        owner = self._random.choice(list(self._model.accounts))
        self._take_one(SetRole(owner, is_owner=True))

    def run(self, rounds: int, *, special: str = "") -> None:
        """Take some rounds of steps, one of which may be special: `kill` or `cut off`."""
        number_of_special = self._chance.randrange(rounds)
        for number in range(rounds):
            if number == number_of_special and special:
                take = self._kill if special == "kill" else self._cut_off
            else:
                take = self._usual()
            take()

    def _usual(self) -> Callable[[], None]:
        kinds: dict[Callable[[], None], int] = {
            self._one: 30,
            self._two: 30,
            self._between: 28,
            self._die: 12,
            self._pass: 4,
        }
        (take,) = self._chance.choices(list(kinds), list(kinds.values()))
        return take

    # Rounds

    def _one(self) -> None:
        self._take_one(self._step())

    def _take_one(self, step: Step) -> None:
        outcome = self._world.client.take(step)
        self._check([after_one(self._model, step)], outcome)
        self._count(step, outcome)

    def _two(self) -> None:
        """Two clients at once."""
        self._take_two(lambda: None)

    def _take_two(self, begin: Callable[[], None]) -> None:
        step, other = sorted((self._step(), self._step()), key=lambda s: not isinstance(s, Sync))
        start = Barrier(2)

        def take(step: Step) -> object:
            start.wait(30)
            outcome = self._world.client.take(step)
            while outcome == "server_unreachable":  # it is killed, and this is the first call
                self._world.wait_for_server()
                outcome = self._world.client.take(step)
            return outcome

        begin()
        with ThreadPoolExecutor(2) as pool:
            outcomes = tuple(pool.map(take, (step, other)))
        self._check_both(step, other, outcomes)
        self._counts["two at once"] += 1

    def _between(self) -> None:
        """A client takes a step at a moment of another client's sync."""
        step, outcomes = self._steps.sync(self._model), list[object]()
        other = self._meeting(step)
        self._log.append(f"{step}\n  and between its calls {other}")

        def take_other() -> None:
            outcomes.append(self._world.client.take(other))

        moment = Moment(self._random.randrange(1, _CALLS), take_other)
        with watch_calls(moment):
            outcome = self._world.client.take(step)
        if not moment.has_come:
            self._check([after_one(self._model, step)], outcome)
            self._count(step, outcome)
            return
        self._check_both(step, other, (outcome, *outcomes))
        self._counts["between the calls of a sync"] += 1

    def _meeting(self, sync: Step) -> Step:
        """Make a step that may change an account that a sync changes too."""
        after = after_one(self._model, sync).model.accounts
        changed = [was for was in self._model.accounts.values() if after[was.user_id] != was]
        if not changed or self._random.random() < 0.4:
            return self._steps.step(self._model)
        was = self._random.choice(changed)
        return self._steps.meeting(was, after[was.user_id])

    def _die(self) -> None:
        """A client dies at one of its calls, and takes the same step again."""
        step = self._step()

        def die() -> None:
            raise _Died

        number = self._random.randrange(_CALLS)
        moment = Moment(number, die, is_after=self._random.random() < 0.5)
        try:
            with watch_calls(moment):
                outcome = self._world.client.take(step)
        except _Died:
            self._check_part(step)
            outcome = self._world.client.take(step)
            self._counts["a client died between its calls"] += 1
        self._check([after_one(self._model, step)], outcome)
        self._count(step, outcome)

    def _pass(self) -> None:
        days = self._random.choice([10, 29, 31])
        self._log.append(f"{days} days pass")
        self._world.let_pass(days)
        self._model = self._world.observe()
        self._counts["days pass"] += 1

    def _cut_off(self) -> None:
        """The file of a sync is cut off in its last line."""
        _, arguments = self._step_of_command(self._steps.sync)
        cut_off(self._folder / "staff.csv", self._random.choice([1, 2, 3, 3, 8]))
        done = self._command(arguments, self._world.environment).finish()
        assert done.returncode in (1, 2), self._text(done)
        self._check([Expected((), self._model)])
        self._counts["a sync with a file that is cut off"] += "may be cut off" in done.stderr

    def _kill(self) -> None:
        is_server = self._world.server and self._chance.random() < 0.5
        (self._kill_server if is_server else self._kill_client)()

    def _kill_client(self) -> None:
        """A command is killed after one of its writes, and run again."""
        make = self._random.choice([self._steps.sync, self._steps.sync, self._steps.step])
        step, arguments = self._step_of_command(make)
        before, number = self._world.writes(), self._random.choice([1, 1, 1, 2])
        with self._world.proxy() as proxy:
            process = self._command(arguments, proxy.environment)
            wait_until(
                lambda: self._world.writes() >= before + number or process.poll() is not None,
                interval=0.001,
            )
            is_killed = process.poll() is None
            process.kill()
            proxy.wait()
            self._check_part(step)
            self._counts["a command to be killed"] += 1
            self._counts["kill -9 of a client"] += is_killed
            self._counts["a command ended before its kill"] += not is_killed
            expected = after_one(self._model, step)
            done = self._command(arguments, proxy.environment).finish()
        assert done.returncode in range(4), self._text(done)
        # Another command than a sync may say that it was done before.
        is_sync = isinstance(step, Sync)
        self._check([expected], *([outcome_of(done.stdout)] if is_sync else expected.outcomes))

    def _step_of_command(self, make: Callable[[Model], Step]) -> tuple[Step, list[str]]:
        """Make a step that changes something and has a command."""
        while True:
            step = with_options_of_command(make(self._model))
            arguments = arguments_of(step, self._folder)
            if arguments and after_one(self._model, step).model != self._model:
                self._log.append(f"command: {step}")
                return step, arguments

    def _kill_server(self) -> None:
        """The server is killed while two clients use it, and started again."""
        server, pause = self._world.server, self._random.uniform(0, 0.03)
        assert server

        def kill() -> None:
            time.sleep(pause)  # the moment is random: there is nothing to wait for
            server.kill()
            server.start()

        killing = Thread(target=kill)
        self._take_two(killing.start)
        killing.join()
        self._counts["kill -9 of a server"] += 1

    def _command(self, arguments: list[str], environment: Mapping[str, str]) -> CommandProcess:
        return CommandProcess(
            arguments,
            os.environ | environment,
            folder=self._folder,
            constants=self._world.constants,
        )

    # Checking

    def _step(self) -> Step:
        step = self._steps.step(self._model)
        self._log.append(str(step))
        return step

    def _check_both(self, step: Step, other: Step, outcomes: tuple[object, ...]) -> None:
        for one, outcome in zip((step, other), outcomes, strict=True):
            self._count(one, outcome)
        if isinstance(step, Sync) and isinstance(other, Sync):
            after = self._world.observe()
            check_two_syncs(self._model, after, step, other)
            self._adopt(after)
            self._counts["two syncs at once"] += 1
            outcome = self._world.client.take(step)
            self._check([after_one(self._model, step)], outcome)
            return
        self._check(after_both(self._model, step, other), *outcomes)

    def _check_part(self, step: Step) -> None:
        parts = [Expected((), model) for model in after_a_part(self._model, step)]
        self._check(parts)

    def _check(self, expected: Iterable[Expected], *outcomes: object) -> None:
        """Compare outcomes and what is stored with what is expected: one of several."""
        after = self._world.observe()
        known = {*self._model.accounts, *self._gone}
        found = _compared(Expected(outcomes, after), known)
        every = [_compared(one, known) for one in expected]
        if found not in every:
            raise AssertionError(self._text(_difference(found, every)))
        self._adopt(after)

    def _adopt(self, after: Model) -> None:
        self._gone += [one for one in self._model.accounts if one not in after.accounts]
        assert not {*self._gone} & {*after.accounts}, "an id has another account"
        self._model = after

    def _count(self, step: Step, outcome: object) -> None:
        self._counts[type(step).__name__] += 1
        if isinstance(outcome, tuple) and len(outcome) > 2:
            for kind, steps in outcome:
                self._counts[f"sync: {kind}"] += bool(steps)
            done = dict(outcome)["done"]
            self._counts["sync: left since it had changed"] += bool(done and done[-1])
        elif isinstance(outcome, tuple):
            for code in {code for _, code in outcome[1]}:
                self._counts[f"refused: {code}"] += 1
        elif " " not in str(outcome) and outcome != "done":
            self._counts[f"refused: {outcome}"] += 1

    def _text(self, problem: object) -> str:
        return "\n".join([*self._log[:1], f"before: {self._model}", *self._log[-3:], str(problem)])


def _compared(expected: Expected, known: Container[str]) -> _Compared:
    """Return outcomes and what is stored in a form to compare, in which ids have other names."""
    names = expected.model.names(known)
    return _renamed(expected.outcomes, names), *expected.model.state(names)


def _renamed(outcome: object, names: Mapping[str, str]) -> object:
    if isinstance(outcome, tuple | frozenset):
        return type(outcome)(_renamed(one, names) for one in outcome)
    return names.get(outcome, outcome) if isinstance(outcome, str) else outcome


def _difference(found: _Compared, every: Iterable[_Compared]) -> str:
    """Describe what was found, and what comes next to it of what is expected."""
    ours, *_ = found
    lines = [f"found: {ours}"]
    for theirs, *state in sorted(every, key=lambda one: _distance(found, one))[:3]:
        lines.append(f"expected: {'the same' if ours == theirs else theirs}")
        for stored, other in zip(found[1:], state, strict=True):
            if stored != other:
                lines.append(f"    only found: {stored - other}; only expected: {other - stored}")
    return "\n".join(lines)


def _distance(found: _Compared, other: _Compared) -> int:
    stored = sum(len(ours ^ theirs) for ours, theirs in zip(found[1:], other[1:], strict=True))
    return 2 * stored + int(found[0] != other[0])
