"""Writes all users to a file, for `anyscale user export`."""

import hashlib
import os
from collections import Counter
from contextlib import ExitStack

from msgspec import json

from anyscale.cli.atomic_file import AtomicFile
from anyscale.cli.server.connect import open_local_control_plane
from anyscale.cli.signals import ignore_signals
from anyscale.cli.terminal import log, show_progress
from anyscale.domain.models.exports import Manifest
from anyscale.server.core.accounts.export import UserExport, exported_users
from anyscale.server.core.audit.entries import USERS_EXPORTED
from anyscale.server.core.callers import system_caller
from anyscale.server.databases import database_name
from anyscale.users_file.export_formats import EXPORT_FORMATS, ExportFormat
from anyscale.users_file.manifest import BESIDE, COMMENT, KEY

__all__ = ["export_to"]


def export_to(path: str, file_format: str, *, with_hashes: bool) -> Manifest:
    """Write all users to a new file, which exists whole or not at all; return its manifest.

    Raises:
        ConfigError: the file exists, or cannot be created.
        StoreUnavailable: the database or the disk fails.
    """
    with ExitStack() as cleanup:
        file = cleanup.enter_context(AtomicFile(path))
        beside = cleanup.enter_context(AtomicFile(path + BESIDE)) if file_format == "csv" else None
        control_plane = cleanup.enter_context(open_local_control_plane(create=False))
        control_plane.store.ready()
        if os.environ.get("ANYSCALE_HOST", "") not in ("", "embedded"):
            name = database_name(control_plane.settings.database)
            log(f"ANYSCALE_HOST is set, but this command reads {name}.")
        with exported_users(control_plane.transactions, with_hashes=with_hashes) as export:
            chosen = EXPORT_FORMATS[file_format](with_hashes=with_hashes)
            manifest = _write_users(file, export, chosen)
        text = json.encode(manifest, order="deterministic").decode()
        if beside:
            beside.write(f"{text}\n")
        else:
            file.write(f"\n{COMMENT}{text}\n" if file_format == "ldif" else f'{{"{KEY}":{text}}}\n')
        details = _audit_details(file_format, manifest)
        ignore_signals()  # what the audit log has from here on exists, a CSV file with its manifest
        control_plane.audit_log.record_export(USERS_EXPORTED, system_caller(), details)
        if beside:
            beside.keep()
        file.keep()
    return manifest


def _write_users(file: AtomicFile, export: UserExport, chosen: ExportFormat) -> Manifest:
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
    left_out = Counter(export.left_out())
    left_out["password_hashes"] += export.hashes.total() - hashes.total()
    return Manifest(
        users=users,
        octets=octets,
        sha256=digest.hexdigest(),
        password_hashes=hashes,
        left_out={kind: count for kind, count in left_out.items() if count},
    )


def _audit_details(file_format: str, manifest: Manifest) -> dict[str, str | int]:
    hashes = sum(manifest.password_hashes.values())
    return {"format": file_format, "users": manifest.users, "password_hashes": hashes}
