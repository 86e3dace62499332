"""The variables of the environment."""

import re
import shlex
from difflib import get_close_matches

from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation

__all__ = [
    "KNOWN_VARIABLES",
    "check_environment_file_is_read",
    "check_names",
    "check_public_url",
    "check_values",
]

_PREFIX = "ANYSCALE_"

#: the variables that the client and the server read
KNOWN_VARIABLES = frozenset(
    _PREFIX + name
    for name in (
        "ALLOW_HTTP",
        "AUDIT_DAYS",
        "BATCH_CREATE",
        "BATCH_EXPIRY_DAYS",
        "CLI_TOKEN",
        "DATABASE_URL",
        "DATA_DIR",
        "HOST",
        "INITIAL_PASSWORD_DAYS",
        "LINK_DAYS",
        "ORGANIZATION",
        "PASSWORD_MIN_LENGTH",
        "PORT",
        "PUBLIC_URL",
        "REPORT_DAYS",
        "RESERVATION_WAIT_SECONDS",
        "SIGNING_KEYS",
        "SSO_CLIENT_ID",
        "SSO_CLIENT_SECRET_FILE",
        "SSO_DOMAINS",
        "SSO_ISSUER",
        "SSO_ONLY",
        "WORKERS",
    )
)

_ENVIRONMENT = "the environment"

#: as the shell and systemd assign a variable
_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=", re.MULTILINE)


def check_values(installation: Installation) -> Finding:
    """Check the values of all settings."""
    if wrong := installation.find_wrong_settings():
        number = "1 setting is wrong" if len(wrong) == 1 else f"{len(wrong)} settings are wrong"
        mend = "correct each of them: until then the server does not start"
        return fail(_ENVIRONMENT, f"{number}: {'; '.join(wrong)}", mend)
    count = sum(name.startswith(_PREFIX) for name in installation.environment)
    return ok(_ENVIRONMENT, f"no value of {count} {_PREFIX}... is wrong")


def check_names(installation: Installation) -> Finding:
    """Check that there is a setting for each variable."""
    names = {name for name in installation.environment if name.startswith(_PREFIX)}
    if unknown := sorted(names - KNOWN_VARIABLES):
        found = ", ".join(map(_with_suggestion, unknown))
        return warn(_ENVIRONMENT, f"nothing reads {found}", "correct the name, or remove it")
    return ok(_ENVIRONMENT, f"no {_PREFIX}... is unknown")


def _with_suggestion(variable: str) -> str:
    # Without the prefix, by which all of them are alike.
    suffixes = [name.removeprefix(_PREFIX) for name in KNOWN_VARIABLES]
    similar = get_close_matches(variable.removeprefix(_PREFIX), suffixes, n=1)
    return f"{variable} (did you mean {_PREFIX}{similar[0]}?)" if similar else variable


def check_environment_file_is_read(installation: Installation) -> Finding:
    """Check that this shell has the variables of the environment file."""
    path = installation.environment_file
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotTried(f"{path}: {error.strerror}") from None
    names = list(dict.fromkeys(_ASSIGNMENT.findall(text)))
    if missing := [name for name in names if name not in installation.environment]:
        mend = f"read it before this command: `set -a; . {shlex.quote(str(path))}; set +a`"
        return warn(path, f"this shell does not have its {', '.join(missing)}", mend)
    return ok(path, f"this shell has its {len(names)} variables")


def check_public_url(installation: Installation) -> Finding:
    """Check that the address of the server is set."""
    name = "ANYSCALE_PUBLIC_URL"
    url = installation.settings.public_url
    if url is None:
        found = (
            "it is not set: there are no set-password links and no SSO, and a server on loopback "
            "refuses requests with other host names, such as those from a proxy"
        )
        return warn(name, found, f"set {name}=https://accounts.example.com")
    return ok(name, url)
