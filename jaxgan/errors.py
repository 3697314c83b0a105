"""The ways a run ends early on purpose, and the exit status of each."""

import re

_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_LONG = re.compile(r"[^\s/]{101,}")  # a name that fills the line: file systems take 255 bytes


class UserError(Exception):
    """What the user gave cannot work; the message is one line that names the remedy. Exit status 2."""

    exit_status = 2

    def __str__(self) -> str:
        """One line, whatever names stand in the message, of which the middle of long ones is left out."""
        line = _LINE_BREAK.sub(lambda found: repr(found[0])[1:-1], super().__str__())
        return _LONG.sub(lambda found: f"{found[0][:40]}...{found[0][-40:]}", line)


class WrongArgument(UserError, ValueError):
    """An argument of a function has a type, a shape or a value that cannot be meant."""


class Diverged(UserError):
    """Training produced NaN or infinite numbers. Exit status 3."""

    exit_status = 3


class LostProcess(UserError):
    """Another process of the same run is gone. Exit status 4."""

    exit_status = 4
