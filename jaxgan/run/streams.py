"""Standard output and error that never fail: the job continues without output that cannot be written.

A terminal may be closed, a pipe may have lost its reader, a disk may be full, or there may be no stream at
all.
"""

import os
import sys
from typing import Any, TextIO

from absl import logging


class Stream:
    """A text stream that discards everything after its first failed write."""

    def __init__(self, stream: TextIO, name: str):
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        """Like `io.TextIOBase.write`, but never fails."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Like `io.TextIOBase.flush`, but never fails."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:  # also discards the rest of its buffer, and output of C code
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            self._stream = os.fdopen(nowhere, "w", encoding="utf-8")
        if self._name == "stdout":
            reason = getattr(error, "strerror", None) or error
            print(f"stdout cannot be written ({reason}): what it would show is left out", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def protect() -> None:
    """Makes `sys.stdout` and `sys.stderr` streams that never fail, whatever they are."""
    while (
        number := os.open(os.devnull, os.O_RDWR)
    ) <= 2:  # a closed descriptor, which a file would get otherwise
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, Stream):
            continue
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # characters that the encoding lacks become '?'
        setattr(sys, name, Stream(stream, name))
    logging.get_absl_handler().python_handler.stream = sys.stderr
