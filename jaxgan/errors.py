"""Errors that end a run on purpose, with their exit statuses."""

import re

_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_LONG = re.compile(r"[^\s/]{101,}")  # a name that fills the line: file systems take 255 bytes


class UserError(Exception):
    """The user's input cannot work; the message is one line that says what to do. Exit status 2."""

    exit_status = 2

    def __str__(self) -> str:
        """Makes one line of a message, and shortens long names in it."""
        line = _LINE_BREAK.sub(lambda found: repr(found[0])[1:-1], super().__str__())
        return _LONG.sub(lambda found: f"{found[0][:40]}...{found[0][-40:]}", line)


class WrongArgument(UserError, ValueError):
    """An argument of a function has a wrong type, shape or value."""


class Diverged(UserError):
    """Training produced NaN or infinite numbers. Exit status 3."""

    exit_status = 3


class LostProcess(UserError):
    """Another process of the same run has disappeared. Exit status 4."""

    exit_status = 4
