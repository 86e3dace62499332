"""/console/audit: the audit log for people.

`filters` reads the address, `people` finds a user by name, `sentences` has the words of each event,
and `entries` puts names and links into them, for other pages too.
"""

from anyscale.server.http.console.audit.pages import HANDLERS

__all__ = ["HANDLERS"]
