"""Points at which a test makes a command fail or die: off unless `KHORGOS_FAULT` names one, which tests alone do."""

import errno
import os
import re
from dataclasses import dataclass

SHAPE = re.compile(r"(?P<name>\*|[a-z]+\.[a-z_]+)(?::(?P<nth>[1-9]\d{0,5}))?(?:=(?P<does>fail|exit))?")
"""`import.staged` fails at this point, `import.staged:3` at its third pass, `*:7` at the seventh point of any name,
`import.staged=exit` ends the process there with status 9, as a kill would."""
EXIT = 9


@dataclass
class Armed:
    """The point that is to fail, and how many passes are left until it does."""

    name: str
    left: int
    does: str

    def passed(self, name: str) -> None:
        """Count a pass; fail or die at the one that was asked for."""
        if self.name not in ("*", name):
            return
        self.left -= 1
        if self.left:
            return
        if self.does == "exit":
            os._exit(EXIT)
        raise OSError(errno.EIO, f"KHORGOS_FAULT asks for a failure here, at {name}")


_armed: list[Armed] = []


def arm(text: str) -> None:
    """Let the point that is named fail; blank lets none. Raises ValueError where it names none."""
    _armed.clear()
    if text:
        found = SHAPE.fullmatch(text)
        if found is None:
            raise ValueError("it is no point such as import.staged, import.staged:3 or *:7=exit")
        _armed.append(Armed(found["name"], int(found["nth"] or 1), found["does"] or "fail"))


def point(name: str) -> None:
    """Fail here if a test asks for it."""
    for one in _armed:
        one.passed(name)
