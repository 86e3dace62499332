"""The keys that sign ID tokens for applications."""

import time
from pathlib import Path

from msgspec import Struct

from anyscale.errors import ConfigError
from anyscale.server.check.findings import Finding, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.core.key_folders import KeyFiles
from anyscale.server.core.openid.key_files import SIGNING_KEYS, SigningKey
from anyscale.server.store.records.openid import PublicKeyRecord
from anyscale.server.store.transaction import Transaction

_NAME = "ANYSCALE_SIGNING_KEYS"


class _Registered(Struct, frozen=True):
    """What the database says of keys."""

    keys: list[PublicKeyRecord]
    applications: int

    @property
    def revoked(self) -> set[str]:
        return {key.kid for key in self.keys if key.revoked_at is not None}


def check_signing_keys(installation: Installation) -> Finding:
    """Check that a key signs, and that each file has a key that may sign."""
    try:
        folder, files = _files(installation)
    except ConfigError as error:
        return fail(_NAME, str(error), "let the server's user read it")
    registered = _registered(installation)
    valid = [key for key in files.keys.values() if key.kid not in registered.revoked]
    due = [key for key in valid if key.signs_from <= time.time() * 1000]
    wrong = _wrong_files(folder, files, registered)
    if not due:
        return _no_provider(installation, registered, valid, wrong)
    signs = f"{max(due, key=lambda key: key.signs_from).kid} signs, of {len(valid)}"
    if wrong:
        return warn(_NAME, f"{signs}, but {'; '.join(wrong)}", "correct or delete these files")
    return ok(_NAME, signs)


def _wrong_files(folder: Path, files: KeyFiles[SigningKey], registered: _Registered) -> list[str]:
    revoked = [
        f"{folder / name} has a revoked key"
        for name, key in files.keys.items()
        if key.kid in registered.revoked
    ]
    return [*files.faults.values(), *revoked]


def _no_provider(
    installation: Installation,
    registered: _Registered,
    valid: list[SigningKey],
    wrong: list[str],
) -> Finding:
    """Return the finding without a key that signs: it is a fault if applications need one."""
    applications = registered.applications
    found = [
        f"no key of {installation.settings.signing_keys} signs{' yet' if valid else ''}",
        *wrong,
        f"so there is no OpenID provider{_needed_by(applications)}",
    ]
    if valid:
        fix = (
            "if the database was copied or restored, copy its earlier signing keys here too; else "
            "check the clock of this machine: the name of a file is the time when it starts to sign"
        )
    elif wrong:
        otherwise = _fix(installation, is_first=not registered.keys)
        fix = f"correct these files, as said; if that is impossible, {otherwise}"
    else:
        fix = _fix(installation, is_first=not registered.keys)
    is_fault = bool(applications or valid or wrong)
    return (fail if is_fault else warn)(_NAME, "; ".join(found), fix)


def _needed_by(applications: int) -> str:
    if not applications:
        return ""
    verb = "application needs" if applications == 1 else "applications need"
    return f", which {applications} {verb}"


def check_registered_keys(installation: Installation) -> Finding:
    """Check that this machine has the keys of all servers."""
    _, files = _files(installation)
    registered = _registered(installation)
    own = {key.kid for key in files.keys.values()} | registered.revoked
    if missing := [key.kid for key in registered.keys if key.kid not in own]:
        found = f"the key {', '.join(missing)} is registered, and is not here"
        return warn(_NAME, found, _fix(installation, is_first=False))
    return ok(_NAME, "all keys of the database are here")


def _fix(installation: Installation, *, is_first: bool) -> str:
    if is_first:
        return "`anyscale server create-signing-key` creates a key, for applications"
    # On a second server, a new key that revokes all others would stop the first one.
    if isinstance(installation.settings.database, str):
        return "copy the missing files from the server that has them, or from a backup of them"
    return (
        "restore the missing files from a backup, or replace the keys by `anyscale server "
        "create-signing-key --now`"
    )


def _files(installation: Installation) -> tuple[Path, KeyFiles[SigningKey]]:
    """Return the folder and its files. Raises `ConfigError` if it cannot be read."""
    folder = installation.settings.signing_keys
    assert folder
    _ = installation.public_url  # without it there is no provider
    return folder, SIGNING_KEYS.read_all(folder)


def _registered(installation: Installation) -> _Registered:
    def read(tx: Transaction) -> _Registered:
        return _Registered(list(tx.public_keys.list()), len(tx.applications.list()))

    _, found = installation.inspect(read)
    return found or _Registered([], 0)  # without our schema nothing is registered
