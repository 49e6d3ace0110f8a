"""A command that is told to stop: it undoes what is half done, says so in one line, ends with 128 and the signal."""

import logging
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """The command is told to stop. Of this kind, since the driver of PostgreSQL cancels its statement for no other."""


class Stop:
    """What was told to the process, even where a library ate the exception."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def listen(self) -> None:
        """Hear the signals that ask a command to stop."""
        for one in SIGNALS:
            signal.signal(one, self)

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Stop here; a second time at once."""
        self.forget()
        self.by = signal.Signals(number)
        logging.disable()  # what libraries say of being left in their midst is not told, nor what they let fall
        sys.unraisablehook = lambda _: None
        raise Stopped(self.status)

    @staticmethod
    def forget() -> None:
        """Let the signals do again what they do to any process."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    @property
    def status(self) -> int:
        """Exit status as shells know it."""
        return 128 + self.by if self.by else 0

    def __str__(self) -> str:
        return f"stopped by {self.by.name if self.by else 'nobody'}; what was not published is undone: run it again"
