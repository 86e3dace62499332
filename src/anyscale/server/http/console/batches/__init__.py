"""/console/batches: the main job in a browser, a users file in and accounts out.

`uploads` receives the file into memory, `file_run` runs the command's run with it,
`file_runs` has the runs of the process, `new` has the
pages of check and create, `pages` those of batches, `undo` and `links` what comes after.
"""

from anyscale.server.http.console.batches import links, new, pages, templates, undo

__all__ = ["HANDLERS"]

HANDLERS = [
    *new.HANDLERS,
    *pages.HANDLERS,
    *undo.HANDLERS,
    *links.HANDLERS,
    *templates.HANDLERS,
]
