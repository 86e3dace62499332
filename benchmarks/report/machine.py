"""The machine and the versions of a report: never a host name or a path."""

import os
import platform
import sqlite3
import subprocess
from pathlib import Path

import psycopg
from tests.support.databases.postgres import PostgresServer

from anyscale import __version__
from benchmarks.django_peer.run import PYTHON


def machine() -> dict[str, str]:
    """Return a name and a text for each fact."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "Processor": _processor(),
        "Cores": str(len(os.sched_getaffinity(0))),
        "Memory": f"{memory:.0f} GiB",
        "System": f"{platform.system()} {kernel} ({platform.machine()})",
        "musterroll": f"{__version__}, commit {_output('git', 'rev-parse', '--short', 'HEAD')}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _postgres_version(),
        "Django": _output(str(PYTHON), "-m", "django", "--version"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition(":")
        if name.strip() == "model name":
            return text.strip()
    return platform.processor() or "unknown"


def _postgres_version() -> str:
    server = PostgresServer()
    try:
        with psycopg.connect(server.url) as connection:
            major, minor = divmod(connection.info.server_version, 10_000)
    finally:
        server.remove()
    return f"{major}.{minor}"


def _output(*command: str) -> str:
    return subprocess.check_output(command, text=True).strip()
