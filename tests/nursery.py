"""A warm process that forks a child for each command, so that killing hundreds of them costs no new interpreter.

As a program it reads one order a line from its input, and answers each with a line. It has loaded the program and has
used nothing of it: no database is open, no table was read. `Nursery` is the side of the tests.
"""

import gc
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__)
LONGEST = 60.0
"""Seconds after which a child that hangs is killed, and the test fails."""
HANGS = "hangs"
FULL = "DO $$BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END$$"
LOST = "SELECT pg_terminate_backend(pg_backend_pid())"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    """Exit status; negative where a signal ended it."""
    out: str
    errors: str
    seconds: float
    most: int
    """Memory at its highest, in bytes; a child has from the start what the warm process has."""


class Nursery:
    """Orders commands from the warm process."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said"
        self._process = subprocess.Popen(
            [sys.executable, str(HERE)],
            cwd=HERE.parent.parent,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, **order: Any) -> Done:
        """Run a command to its end, or until `after` seconds and then `signal`."""
        self.start(*arguments, **order)
        return self.end()

    def start(self, *arguments: str | Path, **order: Any) -> None:
        """Let a command run; `end` tells how it ended, before the next may start."""
        assert self._process.stdin
        told = {"arguments": list(map(str, arguments)), "said": str(self._said), **order}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def end(self) -> Done:
        """Wait until the command has ended."""
        assert self._process.stdout
        told = json.loads(self._process.stdout.readline())
        assert not told.pop(HANGS), f"hung for {LONGEST} s"
        return Done(**told)

    def close(self) -> None:
        """End the warm process."""
        self._process.communicate("")


def main() -> None:
    """Load the program, then fork for each order."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside a thread: those here belong to no table
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Before libraries start threads, which take their mask from here: a signal that one of them got would wake nobody.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    sys.path.insert(0, str(HERE.parent.parent))
    from sqlalchemy.orm import configure_mappers

    import app.cli
    import app.exports.folder
    import app.ingest.importer
    import app.ingest.withdraw
    import app.tables  # noqa: F401

    configure_mappers()
    gc.freeze()  # a child that collects garbage would copy what it shares
    for line in sys.stdin:
        order = json.loads(line)
        is_ready, ready = os.pipe()
        child = os.fork()
        if not child:
            live(order, ready)
        os.close(ready)
        os.read(is_ready, 1)
        os.close(is_ready)
        sys.stdout.write(json.dumps(watched(child, order, time.monotonic())) + "\n")
        sys.stdout.flush()


def watched(child: int, order: dict[str, Any], began: float) -> dict[str, Any]:
    """Wait for a child, or kill it at its moment; tell how it ended."""
    moments = [(order["after"], order.get("signal", signal.SIGKILL))] if "after" in order else []
    waited_for = None
    for after, number in [*moments, (LONGEST, signal.SIGKILL)]:
        if waited_for := waited(child, began + after):
            break
        os.kill(child, number)
    is_hung = waited_for is None
    _, ended, used = waited_for or os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    seconds = time.monotonic() - began
    out, errors = (Path(order["said"] + end).read_text() for end in (".out", ".err"))
    told = {"status": status, "out": out, "errors": errors, "seconds": seconds, "most": used.ru_maxrss * 1024}
    return {**told, HANGS: is_hung}


def waited(child: int, until: float) -> tuple[int, int, Any] | None:
    """Wait for a child until a time of the clock; a killed one is waited for by who kills it again, for ever."""
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return done, status, used
        left = until - time.monotonic()
        if left <= 0:
            return None
        signal.sigtimedwait([signal.SIGCHLD], left)


def live(order: dict[str, Any], ready: int) -> None:
    """Be the command, in a child: never returns. What is at `ready` hears when it begins."""
    import app.cli
    from app.ingest import blocks

    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, end in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(order["said"] + end, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order.get("environment", {}))
    blocks.BLOCK = order.get("block", blocks.BLOCK)
    if "statement" in order:
        strike(*order["statement"])
    if "heavy" in order:
        make_heavy(order["heavy"])
    if "largest" in order:  # as a full disk: what would make a file longer fails
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], order["largest"]))
    sys.argv = ["khorgos", *order["arguments"]]
    status = 99
    os.close(ready)
    try:
        app.cli.main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def strike(nth: int, how: str) -> None:
    """Break the nth statement or commit: `full` as on a full disk, `exit`, or `lost` as the server ends the session."""
    from sqlalchemy import Engine, event

    import app.db

    passed, copy_in = count(1), app.db.copy_in

    def reach(connection: Any, statement: str) -> None:
        if next(passed) == nth:
            if how == "exit":
                os._exit(9)
            fail(connection, statement, how)

    def copy(connection: Any, statement: str, content: bytes) -> None:
        reach(connection, statement)
        copy_in(connection, statement, content)

    app.db.copy_in = copy
    event.listen(Engine, "before_cursor_execute", lambda connection, _, statement, *__: reach(connection, statement))
    event.listen(Engine, "commit", lambda connection: reach(connection, "COMMIT"))


def fail(connection: Any, statement: str, how: str) -> None:
    """Fail as the engine would: PostgreSQL itself does, SQLite's error is made. Raises DBAPIError."""
    from sqlalchemy.exc import DBAPIError

    driver, dialect = connection.connection.driver_connection, connection.dialect
    errors = dialect.loaded_dbapi.Error
    try:
        if dialect.name == "sqlite":
            raise sqlite3.OperationalError("database or disk is full")
        driver.execute(LOST if how == "lost" else FULL)
    except errors as error:
        raise DBAPIError.instance(statement, None, error, errors, dialect=dialect) from error


def make_heavy(statement: str) -> None:
    """Let an import run a long statement of its own once all is staged."""
    from app.ingest import staging

    def counted(connection: Any) -> int:
        os.write(1, b"heavy\n")
        return int(connection.exec_driver_sql(statement).scalar())

    staging.count = counted


if __name__ == "__main__":
    main()
