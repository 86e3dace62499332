"""Interrupts at a chosen line, as Ctrl-C comes between any two lines of the main thread."""

import sys
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """Raises KeyboardInterrupt once in its block, in this thread, at a line of some files.

    Args:
        number: how many lines of the files run before.
        files: names of source files, as `__file__` has them.
    """

    def __init__(self, number: int, *files: str) -> None:
        self._left = number
        self._files = files
        self.is_raised = False

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.settrace(None)

    def cancel(self) -> None:
        """Raise it at none of the lines that follow."""
        self._left = sys.maxsize

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            self._left -= 1
            if self._left < 0:
                self.is_raised = True
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._trace
