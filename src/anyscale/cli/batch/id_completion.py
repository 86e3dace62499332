"""Complete the id of a batch, among the latest ones of the control plane."""

from collections.abc import Callable
from contextlib import closing, suppress
from threading import Thread

import click
from click.shell_completion import CompletionItem

from anyscale.cli.terminal import escaped
from anyscale.domain.models.batches import Batch
from anyscale.domain.phrases import quantity

#: a shell waits for its completions
_SECONDS = 1.5
_LATEST = 100


def batch_argument(*states: str) -> Callable[..., Callable[..., None]]:
    """Return the argument `batch_id`, which completes to batches in some states, or in all.

    Only to what is an id: bash inserts it without quotes, and would run `$(...)` of a server.
    """

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from anyscale.transport.http.ids import is_id

        batches = _latest(ctx.params.get("host"))
        return [
            CompletionItem(batch.batch_id, help=_description(batch))
            for batch in batches
            if is_id(batch.batch_id)
            and batch.batch_id.startswith(incomplete)
            and (not states or batch.state in states)
        ]

    return click.argument("batch_id", shell_complete=complete)


def _latest(host: str | None) -> list[Batch]:
    """Return the latest batches; none if the control plane does not respond soon, or refuses."""
    found: list[Batch] = []

    def read() -> None:
        with suppress(Exception):  # a completion shows no errors
            from anyscale.config import COMMAND, resolve
            from anyscale.transport import open_transport

            with closing(open_transport(resolve(host, None, words=COMMAND))) as transport:
                found.extend(transport.batches.list(open_only=False, before="", limit=_LATEST))

    # A thread that the end of the process does not wait for.
    reader = Thread(target=read, daemon=True)
    reader.start()
    reader.join(_SECONDS)
    return list(found)


def _description(batch: Batch) -> str:
    counts = f"{batch.state}, {quantity(batch.users, 'user')}"
    when = f"{batch.opened_at:%Y-%m-%d}, {batch.opened_by}"
    # A line end would begin another completion.
    return escaped(", ".join(filter(None, (batch.label, counts, when))))
