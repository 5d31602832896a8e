"""Handle a closed or full standard output: `nf task list | head`, `… > /dev/full`."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO, cast


class Unwritable(Exception):
    """Standard output cannot be written. `is_closed` means that its reader has exited."""

    def __init__(self, fault: OSError) -> None:
        super().__init__(f"the output cannot be written: {fault.strerror or fault}")
        self.is_closed = fault.errno == errno.EPIPE


class _Output:
    """A text stream that raises `Unwritable` instead of OSError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as fault:
            raise Unwritable(fault) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as fault:
            raise Unwritable(fault) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard(errors: str = "replace") -> None:
    """Convert write errors of standard output to `Unwritable`, and replace unencodable text.

    `errors` is the error handler of `codecs` for unencodable text. A terminal retains its own
    stream, which line editing needs.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=errors)
        if not sys.stdout.isatty():
            sys.stdout = cast(TextIO, _Output(sys.stdout))


def give_up(fault: Unwritable, name: str) -> int:
    """Return the exit code after `Unwritable`. Print the reason unless the reader exited."""
    # Without this, Python would flush again at exit and print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if fault.is_closed:
        return 0
    print(f"{name}: {fault}", file=sys.stderr)
    return 1
