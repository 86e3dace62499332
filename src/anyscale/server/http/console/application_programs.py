"""What to enter in the settings of a program: the addresses of the provider, and texts to paste.

The texts are those of docs/operations/application-programs.md, with the values of an application in
place of the sample ones. A test compares both.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.domain.models.applications import Application
from anyscale.server.http import web
from anyscale.server.http.openid.discovery import metadata

_FOLDER = Path(web.__file__).parent / "programs"

#: the sample values of the texts
_ISSUER, _CLIENT_ID, _SECRET = "https://accounts.example.com", "app_...", "mrc_..."

#: name -> the address in the metadata of the provider
_ADDRESSES = {
    "Issuer": "issuer",
    "Authorization": "authorization_endpoint",
    "Token": "token_endpoint",
    "User information": "userinfo_endpoint",
    "Keys (JWKS)": "jwks_uri",
    "Sign-out (end session)": "end_session_endpoint",
}


class Program(NamedTuple):
    """A program that is known to sign users in."""

    #: of its file
    key: str
    name: str
    #: where its text belongs
    where: str
    #: the sample address to which its users return
    returns_to: str
    #: whether its administrator chooses the path of that address
    is_any_path: bool = False
    #: whether it has no secret
    is_public: bool = False

    @property
    def text(self) -> str:
        """Its text with the sample values."""
        return (_FOLDER / f"{self.key}.txt").read_text(encoding="utf-8")


PROGRAMS = (
    Program(
        *("grafana", "Grafana", "grafana.ini"),
        returns_to="https://grafana.example.com/login/generic_oauth",
    ),
    Program(
        *("jupyterhub", "JupyterHub", "jupyterhub_config.py"),
        returns_to="https://hub.example.com/hub/oauth_callback",
    ),
    Program(
        *("gitlab", "GitLab", "gitlab.rb"),
        returns_to="https://gitlab.example.com/users/auth/openid_connect/callback",
    ),
    Program(
        *("nextcloud", "Nextcloud", "the settings of the app OpenID Connect user backend"),
        returns_to="https://cloud.example.com/apps/user_oidc/code",
    ),
    Program(
        *("oauth2-proxy", "oauth2-proxy", "oauth2-proxy.cfg"),
        returns_to="https://intranet.example.com/oauth2/callback",
    ),
    Program(
        *("apache", "Apache", "the virtual host, with mod_auth_openidc"),
        returns_to="https://wiki.example.com/oidc/cb",
        is_any_path=True,
    ),
    Program(
        *("oidc-client-ts", "A page in the browser", "its script, with oidc-client-ts"),
        returns_to="https://wiki.example.com/callback.html",
        is_any_path=True,
        is_public=True,
    ),
)


class Address(NamedTuple):
    """An address of the provider."""

    key: str
    name: str
    url: str


class ProgramText(NamedTuple):
    """The text of a program with the values of an application."""

    program: Program
    text: str
    #: the address to which it returns, if the application has it not; else empty
    missing: str
    #: whether the application is probably of this program
    is_meant: bool


class Connection(Struct, frozen=True):
    """What connects the program of an application."""

    addresses: list[Address]
    texts: list[ProgramText]


def connection(application: Application, issuer: str | None, secret: str = "") -> Connection | None:
    """Return what connects a program; None while there is no provider.

    Args:
        application: of the program.
        issuer: of the provider; None without one.
        secret: of the application, if it is shown; the texts have a sample otherwise.
    """
    if issuer is None:
        return None
    found = metadata(issuer)
    discovery = Address("discovery", "Discovery", f"{issuer}/.well-known/openid-configuration")
    addresses = [Address(key, name, found[key]) for name, key in _ADDRESSES.items()]
    values = {_ISSUER: issuer, _CLIENT_ID: application.client_id, _SECRET: secret or _SECRET}
    texts = [
        _text(program, application.redirect_uris, values)
        for program in PROGRAMS
        if program.is_public == application.is_public
    ]
    return Connection([discovery, *addresses], texts)


def _text(program: Program, uris: list[str], values: dict[str, str]) -> ProgramText:
    path = urlsplit(program.returns_to).path
    ours = [uri for uri in uris if program.is_any_path or uri.endswith(path)]
    uri = ours[0] if ours else f"{_origin(uris[0])}{path}"
    base = _origin(uri) if program.is_any_path else uri.removesuffix(path)
    of_program = {program.returns_to: uri, _origin(program.returns_to): base}
    return ProgramText(
        program,
        _replaced(program.text, {**of_program, **values}),
        missing="" if ours else uri,
        is_meant=bool(ours) and not program.is_any_path,
    )


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _replaced(text: str, values: dict[str, str]) -> str:
    """Replace texts all at once, so that no value is replaced again."""
    longest_first = sorted(values, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: values[found[0]], text)
