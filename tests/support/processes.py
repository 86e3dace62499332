"""`--processes N`: N processes run the tests, and are forked once the tests are collected.

A collection takes seconds, and one is enough for all. Each process takes the tests of the next
module that none has taken. One process first takes the modules that mostly wait, since two that
wait at the same time leave a core idle. Each process sends its reports to the first one, which
shows them: without `--durations`, not those of a set-up or a teardown that passed.
"""

import os
import random
import struct
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest

_NUMBER = struct.Struct("i")

#: more bytes than a pipe has
_MOST = 1 << 20

_Modules = Sequence[Sequence[pytest.Item]]

_Location = tuple[str, int | None, str]

#: of a process that has not started one
_NO_TEST: tuple[str, _Location] = ("no test", ("tests", None, "no test"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--processes", type=int, default=1, help="number of processes for the tests")
    parser.addini(
        "waiting", type="linelist", help="beginnings of node ids of tests that mostly wait"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in several processes, if the option says so."""
    option = session.config.option
    if option.processes == 1 or option.collectonly or session.testsfailed:
        return None
    modules = [list(items) for _, items in groupby(session.items, lambda item: item.path)]
    waiting = tuple(session.config.getini("waiting"))
    queues = [_queue(modules, waiting, do_wait=do_wait) for do_wait in (True, False)]
    pids = {}
    for number in range(option.processes):
        reports, sender = Pipe(duplex=False)
        if pid := os.fork():
            sender.close()
            pids[reports] = pid
        else:
            reports.close()
            _run(session, _taken(modules, queues[::-1] if number else queues), sender)
            return True
    try:
        _show_reports(session, list(pids), queues)
    finally:
        _empty(queues)
        for queue in queues:
            os.close(queue)
        for pid in pids.values():
            os.waitpid(pid, 0)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    return True


def _queue(modules: _Modules, waiting: tuple[str, ...], *, do_wait: bool) -> int:
    """Give the end of a pipe with the numbers of some modules: one process reads each."""
    end, beginning = os.pipe()
    for number, items in enumerate(modules):
        if items[0].nodeid.startswith(waiting) == do_wait:
            os.write(beginning, _NUMBER.pack(number))
    os.close(beginning)
    return end


def _taken(modules: _Modules, queues: Sequence[int]) -> Iterator[pytest.Item]:
    for queue in queues:
        while number := os.read(queue, _NUMBER.size):
            yield from modules[_NUMBER.unpack(number)[0]]


def _empty(queues: Sequence[int]) -> None:
    """Let no process take another module."""
    for queue in queues:
        os.read(queue, _MOST)


def _run(session: pytest.Session, items: Iterator[pytest.Item], reports: Connection) -> None:
    """Run tests in this process, which has been forked. Pytest then ends it."""
    random.seed()  # the processes would try the same ports
    plugins = session.config.pluginmanager
    capture: Any = plugins.getplugin("capturemanager")
    # Its files would have one position for all processes.
    capture.stop_global_capturing()
    capture.start_global_capturing()
    plugins.unregister(name="terminalreporter")
    plugins.register(_Sender(session.config, reports))
    for item, following in pairwise(chain(items, (None,))):
        assert item
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            break
    reports.send(None)


class _Sender:
    """Sends what the terminal would show.

    Args:
        config: of the session.
        reports: to which it is sent.
    """

    def __init__(self, config: pytest.Config, reports: Connection) -> None:
        self._config = config
        self._reports = reports

    def pytest_runtest_logstart(self, nodeid: str, location: _Location) -> None:
        """Send which test starts."""
        self._reports.send((nodeid, location))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report, unless the terminal does not show it."""
        hook, durations = self._config.hook, self._config.option.durations
        if report.passed and report.when != "call" and not report.sections and durations is None:
            return
        self._reports.send(hook.pytest_report_to_serializable(config=self._config, report=report))


def _show_reports(
    session: pytest.Session, pipes: Sequence[Connection], queues: Sequence[int]
) -> None:
    """Show the reports of the processes, until all have ended."""
    config, hook = session.config, session.config.hook
    running = dict.fromkeys(pipes, _NO_TEST)
    while running:
        for reports in wait(list(running)):
            assert isinstance(reports, Connection)
            try:
                message = reports.recv()
            except EOFError:
                hook.pytest_runtest_logreport(report=_report_of_end(*running.pop(reports)))
                continue
            if message is None:
                del running[reports]
            elif isinstance(message, tuple):
                running[reports] = message
            else:
                report = hook.pytest_report_from_serializable(config=config, data=message)
                hook.pytest_runtest_logreport(report=report)
        if session.shouldfail:
            _empty(queues)


def _report_of_end(nodeid: str, location: _Location) -> pytest.TestReport:
    """Give the report of a test whose process has ended."""
    text = "The process that ran this test has ended, before the tests that it had taken."
    return pytest.TestReport(nodeid, location, {}, "failed", text, "call")
