"""/console/sync: bring the accounts up to date with a file of everybody.

`plan_result` says what would change, `pages` has the pages of the plan and of a run. The upload is
that of batches, and `background` runs what `pages` starts.
"""

from anyscale.server.http.console.syncs.pages import HANDLERS

__all__ = ["HANDLERS"]
