"""The ways a run ends early on purpose, and the exit status of each."""


class UserError(Exception):
    """What the user gave cannot work; the message is one line that names the remedy. Exit status 2."""

    exit_status = 2


class WrongArgument(UserError, ValueError):
    """An argument of a function has a type, a shape or a value that cannot be meant."""


class Diverged(UserError):
    """Training produced NaN or infinite numbers. Exit status 3."""

    exit_status = 3


class LostProcess(UserError):
    """Another process of the same run is gone. Exit status 4."""

    exit_status = 4
