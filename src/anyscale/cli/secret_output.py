"""The output of a secret: standard output, or a new file that only its owner can read."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Self

import click

from anyscale.cli.atomic_file import AtomicFile
from anyscale.cli.exit_status import explain_interrupt
from anyscale.cli.formats import require_written, write_text
from anyscale.cli.signals import ignore_signals
from anyscale.cli.terminal import log
from anyscale.errors import AnyscaleError

output_file_option: Final = click.option(
    "--output-file",
    type=click.Path(),
    metavar="PATH",
    help="Write the secret to a new file that only you can read, and not to standard output.",
)


class SecretOutput:
    """Where a command writes a secret. Open it before the secret is created.

    Args:
        path: the new file; None for standard output.
        interrupted: what an interrupt may leave before the secret is written, and how to continue.

    Raises:
        ConfigError: the file exists, or cannot be created.
    """

    def __init__(self, path: str | None, interrupted: str) -> None:
        self._path = path
        self._interrupted = interrupted
        self._cleanup = ExitStack()
        self._file = self._cleanup.enter_context(AtomicFile(path)) if path is not None else None

    def __enter__(self) -> Self:
        explain_interrupt(self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def write(
        self, secret: str, revoke: Callable[[], object], lost: str = "so it was revoked."
    ) -> None:
        """Write the secret; if that fails, `revoke` it, since nobody has it.

        Args:
            secret: the text.
            revoke: is called if the secret is lost.
            lost: what is true then, as the end of a sentence.

        Raises:
            OutputLost: standard output could not be written.
            ConfigError: another process has created the file.
            StoreUnavailable: the disk is full, or fails.
        """
        try:
            explain_interrupt("")  # an interrupt revokes the secret now
            self._write(secret)
        except BaseException:
            _revoke(revoke, lost)
            raise
        ignore_signals()  # nothing is lost any more

    def describe(self, subject: str = "It") -> str:
        """Return where the secret is, as a sentence for the user; `subject` begins it."""
        if self._path is None:
            return f"{subject} is shown once: keep it where only its user can read it."
        return f"{subject} is in {self._path}, which only you can read."

    def _write(self, secret: str) -> None:
        if self._file is None:
            require_written(write_text(secret.splitlines()))
            return
        self._file.write(f"{secret}\n")
        self._file.keep()


def _revoke(revoke: Callable[[], object], lost: str) -> None:
    try:
        revoke()
        log(f"It could not be written, {lost}")
    except AnyscaleError as error:
        log(f"It could not be written, and revoking it failed: {error}")
