"""Modes and owners of files and folders."""

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from anyscale.domain.data_dir import data_dir
from anyscale.errors import ConfigError
from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation

_GROUP_WRITES, _OTHERS_WRITE = stat.S_IWGRP, stat.S_IWOTH
_OTHERS = stat.S_IRWXO

_AS_ITS_USER = "run this command as the server's user, as `musterroll-admin server check` does"


def check_environment_file(installation: Installation) -> Finding:
    """Check the file of settings, which may contain the password of the database."""
    path = installation.environment_file
    status = _status(path, "there is no such file: name yours by --environment-file")
    fix = f"`chown root:musterroll {_quoted(path)}; chmod 640 {_quoted(path)}`"
    if status.st_mode & (_OTHERS | _GROUP_WRITES):
        found = "other users can read or change the settings, the database's password among them"
        return fail(path, f"{found} ({_permissions(status)})", fix)
    if status.st_uid not in (0, os.geteuid()):
        return fail(path, f"another user can change it ({_permissions(status)})", fix)
    return _in_safe_folder(path, status)


def check_data_dir(installation: Installation) -> Finding:
    """Check the folder of the server's own files."""
    try:
        path = data_dir(installation.environment)
    except ConfigError as error:
        raise NotTried(str(error)) from None
    status = _status(path, "it does not exist")
    fix = f"`chown {_user(os.geteuid())} {_quoted(path)}; chmod 700 {_quoted(path)}`"
    if status.st_mode & _OTHERS_WRITE:
        return fail(path, f"every user can write to it ({_permissions(status)})", fix)
    if status.st_uid != os.geteuid():
        return fail(path, f"it belongs to another user ({_permissions(status)})", fix)
    if status.st_mode & _GROUP_WRITES:
        return warn(path, f"a group can write to it ({_permissions(status)})", fix)
    return ok(path, _permissions(status))


def check_database_file(installation: Installation) -> Finding:
    """Check the file of a SQLite database, and its folder."""
    path = installation.settings.database
    if isinstance(path, str):
        raise NotTried("the database is PostgreSQL")
    status = _status(path, "it does not exist: `anyscale server start` creates it")
    fix = f"`chown {_user(os.geteuid())} {_quoted(path)}; chmod 600 {_quoted(path)}`"
    if not stat.S_ISREG(status.st_mode):
        fix = "name the file itself in ANYSCALE_DATABASE_URL"
        return fail(path, "it is not a regular file", fix)
    if status.st_uid != os.geteuid():
        found = f"it belongs to another user ({_permissions(status)})"
        return fail(path, found, f"{_AS_ITS_USER}, or {fix}")
    if status.st_mode & 0o077:
        found = f"other users can read or change it ({_permissions(status)})"
        return fail(path, found, f"`chmod 600 {_quoted(path)}`; starting the server does so too")
    return _in_safe_folder(path, status)


def check_sso_secret(installation: Installation) -> Finding:
    """Check the file of the client secret, which a group may read."""
    return _check_secret(installation, "ANYSCALE_SSO_CLIENT_SECRET_FILE")


def check_smtp_password(installation: Installation) -> Finding:
    """Check the file of the password of the relay, as `check_sso_secret` does."""
    return _check_secret(installation, "ANYSCALE_SMTP_PASSWORD_FILE")


def _check_secret(installation: Installation, name: str) -> Finding:
    text = installation.environment.get(name, "").strip()
    if not text:
        raise NotTried("no variable names a file with a secret")
    path = Path(text)
    try:
        status = path.stat()
    except OSError as error:
        return fail(path, f"{error.strerror}", f"correct {name}")
    fix = f"`chown {_user(os.geteuid())} {_quoted(path)}; chmod 600 {_quoted(path)}`"
    if status.st_mode & (_OTHERS | stat.S_IWGRP | stat.S_IXGRP):
        return fail(path, f"other users can read or change it ({_permissions(status)})", fix)
    if status.st_uid not in (0, os.geteuid()):
        return fail(path, f"another user can change it ({_permissions(status)})", fix)
    if not os.access(path, os.R_OK, effective_ids=True):
        return fail(path, f"the server's user cannot read it ({_permissions(status)})", fix)
    folder = path.absolute().parent.stat()
    if folder.st_mode & stat.S_ISVTX and folder.st_uid in (0, os.geteuid()):
        # Everyone can write to it, but not replace this file: so Kubernetes mounts Secrets.
        return ok(path, _permissions(status))
    return _in_safe_folder(path, status)


def _status(path: Path, missing: str) -> os.stat_result:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotTried(f"{path}: {missing}") from None
    except OSError as error:
        raise NotTried(f"{path}: {error.strerror}: {_AS_ITS_USER}") from None


def _in_safe_folder(path: Path, status: os.stat_result) -> Finding:
    """Return the finding for a file in order: users who can write to its folder can replace it."""
    mode = path.absolute().parent.stat().st_mode
    fix = f"`chmod go-w {_quoted(path.absolute().parent)}`"
    if mode & _OTHERS_WRITE:
        return fail(path, "every user can write to its folder", fix)
    if mode & _GROUP_WRITES:
        return warn(path, "a group can write to its folder, and so replace it", fix)
    return ok(path, _permissions(status))


def _quoted(path: Path) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))


def _permissions(status: os.stat_result) -> str:
    """Return mode, owner and group, as in `0640 root:musterroll`."""
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"{stat.S_IMODE(status.st_mode):04o} {_user(status.st_uid)}:{group}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
