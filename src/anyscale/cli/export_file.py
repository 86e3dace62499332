"""Writes all users to a file, for `anyscale user export`."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from msgspec import json

from anyscale.cli.atomic_file import AtomicFile
from anyscale.cli.signals import ignore_signals
from anyscale.cli.terminal import show_progress
from anyscale.domain.models.exports import ExportedUser, Manifest
from anyscale.users_file.export_formats import EXPORT_FORMATS, ExportFormat
from anyscale.users_file.manifest import BESIDE, COMMENT, KEY


class Export(Protocol):
    """All accounts, page by page."""

    @property
    def total(self) -> int:
        """How many accounts there are; not before the first page."""

    @property
    def hashes(self) -> Counter[str]:
        """Scheme -> how many hashes of it were given."""

    def pages(self) -> Iterable[Sequence[ExportedUser]]:
        """Iterate over all accounts in the order of their ids."""

    def left_out(self) -> Mapping[str, int | None]:
        """Return how much of each kind belongs to accounts and was not given, after all pages.

        None is for a number that is not known.
        """


def write_export(
    path: str,
    file_format: str,
    accounts: AbstractContextManager[Export],
    record: Callable[[Manifest], None] = lambda _: None,
    *,
    with_hashes: bool = False,
) -> Manifest:
    """Write all users to a new file, which exists whole or not at all; return its manifest.

    Args:
        path: of the file.
        file_format: one of `EXPORT_FORMATS`.
        accounts: gives them.
        record: is called before the file has its name.
        with_hashes: whether the accounts may have hashes.

    Raises:
        ConfigError: the file exists, or cannot be created.
        StoreUnavailable: the database or the disk fails.
    """
    with ExitStack() as cleanup:
        file = cleanup.enter_context(AtomicFile(path))
        beside = cleanup.enter_context(AtomicFile(path + BESIDE)) if file_format == "csv" else None
        with accounts as export:
            chosen = EXPORT_FORMATS[file_format](with_hashes=with_hashes)
            manifest = _write_users(file, export, chosen)
        text = json.encode(manifest, order="deterministic").decode()
        if beside:
            beside.write(f"{text}\n")
        else:
            file.write(f"\n{COMMENT}{text}\n" if file_format == "ldif" else f'{{"{KEY}":{text}}}\n')
        ignore_signals()  # what is recorded from here on exists, a CSV file with its manifest
        record(manifest)
        if beside:
            beside.keep()
        file.keep()
    return manifest


def _write_users(file: AtomicFile, export: Export, chosen: ExportFormat) -> Manifest:
    digest, octets, users = hashlib.sha256(), 0, 0

    def write(text: str) -> None:
        nonlocal octets
        file.write(text)
        part = text.encode()
        digest.update(part)
        octets += len(part)

    write(chosen.head)
    for page in export.pages():
        write(chosen.lines(page))
        users += len(page)
        show_progress("Exporting", users, export.total)
    hashes = export.hashes if chosen.hashes is None else chosen.hashes
    left_out = dict(export.left_out())
    not_written = export.hashes.total() - hashes.total()
    left_out["password_hashes"] = (left_out.get("password_hashes") or 0) + not_written
    return Manifest(
        users=users,
        octets=octets,
        sha256=digest.hexdigest(),
        password_hashes=hashes,
        left_out={kind: count for kind, count in left_out.items() if count != 0},
    )
