"""The variables of the environment."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from anyscale.domain.phrases import in_sentences, is_by_admin
from anyscale.domain.urls import is_address, is_loopback_host
from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.settings import PREFIX, unknown_variables

_ENVIRONMENT = "the environment"

#: A comment, a variable as the shell and systemd assign it, with quoted parts before one without
#: quotes, or another line, which both ignore.
_ENTRY = re.compile(
    r"""\s*+(?:[#;][^\n]*+
        |(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)=
            (?:[ \t]*'[^']*'|[ \t]*"(?:[^"\\]|\\.)*")*+(?:\\.|[^\\\n])*+
        |(?P<ignored>[^\n]+))""",
    re.DOTALL | re.VERBOSE,
)
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def check_values(installation: Installation) -> Finding:
    """Check the values of all settings."""
    if wrong := installation.find_wrong_settings():
        number = "1 setting is wrong" if len(wrong) == 1 else f"{len(wrong)} settings are wrong"
        fix = "correct each of them: until then the server does not start"
        return fail(_ENVIRONMENT, f"{number}: {'; '.join(wrong)}", fix)
    settings = installation.settings
    if settings.policy.sso_only and not settings.has_provider:
        found = "SSO is the only way to sign in, and no provider is set: nobody can sign in"
        return fail("ANYSCALE_SSO_ONLY", found, "set ANYSCALE_SSO_ISSUER, or turn it off")
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
    entries = list(_ENTRY.finditer(text))
    if ignored := [entry.start("ignored") for entry in entries if entry["ignored"]]:
        return _ignored_lines(path, text, ignored)
    names = list(dict.fromkeys(entry["name"] for entry in entries if entry["name"]))
    if missing := [name for name in names if name not in installation.environment]:
        fix = f"read it before this command: `set -a; . {shlex.quote(str(path))}; set +a`"
        if is_by_admin(installation.environment):
            fix = "correct these lines: systemd does not read them either"
        return warn(path, f"this shell does not have its {', '.join(missing)}", fix)
    return ok(path, f"this shell has its {len(names)} variables")


def _ignored_lines(path: Path, text: str, places: list[int]) -> Finding:
    """Return the finding for lines without a variable, without their text: it may be a password."""
    numbers = ", ".join(str(text.count("\n", 0, place) + 1) for place in places)
    fix = "correct each of these lines to NAME=value, and restart the server"
    if text.startswith(_BYTE_ORDER_MARK):
        fix = "save it as UTF-8 without a byte order mark, and restart the server"
    found = f"no variable and no comment, so that systemd and the shell ignore it: line {numbers}"
    return warn(path, found, fix)


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
