"""Writes all users of the control plane on this machine to a file."""

import os

from anyscale.cli.export_file import write_export
from anyscale.cli.server.connect import open_local_control_plane
from anyscale.cli.terminal import log
from anyscale.domain.models.exports import Manifest
from anyscale.server.core.audit.entries import USERS_EXPORTED
from anyscale.server.core.callers import system_caller
from anyscale.server.databases import database_name


def export_local(path: str, file_format: str, *, with_hashes: bool) -> Manifest:
    """Write all users to a new file: see `write_export`. The audit log has it."""
    with open_local_control_plane(create=False) as control_plane:
        control_plane.store.ready()
        if os.environ.get("ANYSCALE_HOST", "") not in ("", "embedded"):
            name = database_name(control_plane.settings.database)
            log(f"ANYSCALE_HOST is set, but this command reads {name}.")

        def record(manifest: Manifest) -> None:
            hashes = sum(manifest.password_hashes.values())
            details = {
                "format": file_format,
                "users": manifest.users,
                "password_hashes": hashes,
            }
            control_plane.audit_log.record_export(USERS_EXPORTED, system_caller(), details)

        accounts = control_plane.exports.whole(with_hashes=with_hashes)
        return write_export(path, file_format, accounts, record, with_hashes=with_hashes)
