"""The variables of the environment."""

import re
import shlex
from urllib.parse import urlsplit

from anyscale.domain.phrases import in_sentences, is_by_admin
from anyscale.domain.urls import is_address, is_loopback_host
from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.settings import PREFIX, unknown_variables

__all__ = [
    "check_environment_file_is_read",
    "check_names",
    "check_public_url",
    "check_values",
]

_ENVIRONMENT = "the environment"

#: as the shell and systemd assign a variable
_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=", re.MULTILINE)


def check_values(installation: Installation) -> Finding:
    """Check the values of all settings."""
    if wrong := installation.find_wrong_settings():
        number = "1 setting is wrong" if len(wrong) == 1 else f"{len(wrong)} settings are wrong"
        fix = "correct each of them: until then the server does not start"
        return fail(_ENVIRONMENT, f"{number}: {'; '.join(wrong)}", fix)
    count = sum(name.startswith(PREFIX) for name in installation.environment)
    return ok(_ENVIRONMENT, f"all values of {count} {PREFIX}... are valid")


def check_names(installation: Installation) -> Finding:
    """Check that there is a setting for each variable."""
    if unknown := unknown_variables(installation.environment):
        return warn(_ENVIRONMENT, in_sentences(unknown), "correct the name, or remove it")
    return ok(_ENVIRONMENT, f"every {PREFIX}... is a setting")


def check_environment_file_is_read(installation: Installation) -> Finding:
    """Check that this shell has the variables of the environment file."""
    path = installation.environment_file
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotTried(f"{path}: {error.strerror}") from None
    names = list(dict.fromkeys(_ASSIGNMENT.findall(text)))
    if missing := [name for name in names if name not in installation.environment]:
        fix = f"read it before this command: `set -a; . {shlex.quote(str(path))}; set +a`"
        if is_by_admin(installation.environment):
            fix = "correct these lines: systemd does not read them either"
        return warn(path, f"this shell does not have its {', '.join(missing)}", fix)
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
    host = urlsplit(url).hostname or ""
    if is_address(host) and not is_loopback_host(host):
        found = f"{url} has an IP address: applications and links stop working when it changes"
        return warn(name, found, "use a host name")
    return ok(name, url)
