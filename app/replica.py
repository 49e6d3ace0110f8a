"""A database and its read replica: which of the two answers, and that the other stands in while one is lost."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Row, select

from app.db import Database
from app.errors import BadDatabase, DatabaseUnavailable, InvalidSetting
from app.models import Release
from app.settings import Settings

log = logging.getLogger("khorgos")
T = TypeVar("T")
Identity = Row[int, datetime, str, str | None]
ROW = (Release.id, Release.published_at, Release.source, Release.sha256)
"""What tells one release from another of the same number."""
Reading = AbstractContextManager[Connection]
HAS = "khorgos_has"
"""Where a connection notes the newest release that its server is known to have."""
BEHIND = 0.05
"""Seconds for which a replica that lacks a release is not asked for it again."""
LOOK = 0.8
"""Seconds a look ahead, or for a lost database, may take; connections are apart for each time limit."""
FIRST, LONGEST = 0.1, 1.0
"""Seconds between two looks for a lost database: they double."""


def replica_of(settings: Settings) -> Database | None:
    """Give the database of the replica; null where the settings name none. Raises InvalidSetting."""
    if not settings.read_database_url:
        return None
    try:
        replica = Database(settings.model_copy(update={"database_url": settings.read_database_url}))
    except BadDatabase as error:
        raise InvalidSetting(NOT_POSTGRES) from error
    if replica.is_sqlite:
        raise InvalidSetting(NOT_POSTGRES)
    if Database(settings).is_sqlite:
        raise InvalidSetting("KHORGOS_READ_DATABASE_URL is of a replica, and KHORGOS_DATABASE_URL names SQLite")
    return replica


NOT_POSTGRES = (
    "KHORGOS_READ_DATABASE_URL must be the URL of a standby of PostgreSQL, such as postgresql://user@host:5432/khorgos"
)


class Reach:
    """A database that may be lost. It is then looked for in a thread, so that no request waits for its host."""

    def __init__(self, name: str, database: Database) -> None:
        self.name = name
        self.database = database
        self.is_lost = False
        self._lock = threading.Lock()
        self._over = threading.Event()

    def lose(self) -> None:
        """Take the database for lost until it answers again."""
        with self._lock:
            if self.is_lost or self._over.is_set():
                return
            self.is_lost = True
        log.warning("the %s cannot be reached: the other database answers", self.name)
        threading.Thread(target=self._find, name=f"khorgos-{self.name}", daemon=True).start()

    def close(self) -> None:
        """Look no longer."""
        self._over.set()

    def _find(self) -> None:
        pause = FIRST
        while not self._over.wait(pause):
            try:
                with self.database.read(LOOK) as connection:
                    connection.execute(select(1))
            except Exception:  # whatever it is, the other database answers
                pause = min(2 * pause, LONGEST)
                continue
            self.is_lost = False
            log.info("the %s is back", self.name)
            return


class Databases:
    """The primary, which knows what is current, and the replica, if there is one, which answers."""

    def __init__(self, primary: Database, replica: Database | None) -> None:
        self.primary = Reach("primary", primary)
        self.replica = Reach("replica", replica) if replica else None
        self._behind: tuple[int, int, float] = (0, 0, float("-inf"))
        """The release that the replica lacks, by its lineage and number, and until when it is not asked again."""

    @property
    def all(self) -> tuple[Reach, ...]:
        """Every database there is."""
        return (self.primary, self.replica) if self.replica else (self.primary,)

    def ask(self, query: Callable[[Connection], T], timeout: float | None = None) -> tuple[T, bool]:
        """Ask the primary, or the replica while the primary is lost; tell whether it was the replica."""
        stand_in = self.replica if self.replica and not self.replica.is_lost else None
        if stand_in is None or not self.primary.is_lost:
            try:
                with self.primary.database.read(timeout) as connection:
                    return query(connection), False
            except DatabaseUnavailable:
                if stand_in is None:
                    raise
                self.primary.lose()
        with stand_in.database.read(timeout) as connection:
            return query(connection), True

    @contextmanager
    def read(self, lineage: int, row: Identity, timeout: float | None = None) -> Iterator[Connection]:
        """Give a read-only connection to the replica if it has a release, else to the primary."""
        with ExitStack() as held:
            connection = self._read_replica(held, lineage, row, timeout)
            yield connection or held.enter_context(self.primary.database.read(timeout))

    def _read_replica(self, held: ExitStack, lineage: int, row: Identity, timeout: float | None) -> Connection | None:
        if self.replica is None or self.replica.is_lost or self._is_behind(lineage, row[0]):
            return None
        try:
            with ExitStack() as opening:
                connection = opening.enter_context(self.replica.database.read(timeout))
                if has(connection, lineage, row):
                    held.enter_context(opening.pop_all())
                    return connection
        except DatabaseUnavailable:
            self.replica.lose()
            return None
        self._behind = (lineage, row[0], time.monotonic() + BEHIND)
        return None

    def _is_behind(self, lineage: int, number: int) -> bool:
        of, lacking, until = self._behind
        return lineage == of and number >= lacking and time.monotonic() < until

    def close(self) -> None:
        """Let every connection go."""
        for one in self.all:
            one.close()
            one.database.close()


def has(connection: Connection, lineage: int, row: Identity) -> bool:
    """Whether a server has a release, the same one and not another of its number.

    Noted with the connection, which is to one server as long as it lives: a server that is set back ends it.
    """
    known = connection.info.get(HAS)
    if known and known[0] == lineage and row[0] <= known[1]:
        return True
    if connection.execute(select(*ROW).where(Release.id == row[0])).first() != row:
        return False
    connection.info[HAS] = (lineage, row[0])
    return True
