"""Confirmations of applications on the user's machine (RFC 8252, 8.6).

A public application on a loopback address proves by nothing what it is: any program of the machine
can listen there. So the user confirms it once in a session. The browser keeps the confirmation in a
cookie: a text that only this session and this application have.
"""

from anyscale.domain.urls import is_on_loopback
from anyscale.server.core.secrets import hash_of
from anyscale.server.store.records.openid import ApplicationRecord

#: between the confirmations of a browser
SEPARATOR = "."


def confirmation_of(application: ApplicationRecord, redirect_uri: str, session: str) -> str:
    """Return what confirms an application; empty if nothing has to.

    Args:
        application: where the user signs in.
        redirect_uri: of the request.
        session: the secret of the session cookie.
    """
    if not (application.is_public and is_on_loopback(redirect_uri)):
        return ""
    return hash_of(f"confirmed {application.client_id} {session}").hex()


def is_confirmed(
    application: ApplicationRecord, redirect_uri: str, session: str, confirmations: str
) -> bool:
    """Whether an application needs no confirmation, or has one among those of a browser."""
    needed = confirmation_of(application, redirect_uri, session)
    return not needed or needed in confirmations.split(SEPARATOR)
