"""/console/batches: the main job in a browser, a users file in and accounts out.

`uploads` receives the file into memory, `new` has the pages of check and create, `pages` those of
batches, `undo` and `links` what comes after. `background` runs what `new` starts.
"""

from anyscale.server.http.console.batches import file_progress, links, new, pages, templates, undo

__all__ = ["HANDLERS"]

HANDLERS = [
    *new.HANDLERS,
    *pages.HANDLERS,
    *undo.HANDLERS,
    *links.HANDLERS,
    *templates.HANDLERS,
    *file_progress.HANDLERS,
]
