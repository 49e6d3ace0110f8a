"""Which release is current, what a pinned one may be, and the names that hold in each."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from app.db import Database
from app.errors import Busy, DatabaseUnavailable, Fault, InvalidValue, NotReady
from app.models import Release
from app.names import Names, load_names
from app.replica import LOOK, ROW, Databases, Identity, Reading

KEPT = 8
"""Releases whose names are kept in memory."""


@dataclass(frozen=True)
class Edition:
    """One release with its names: all that an answer needs to know of when it is."""

    row: Identity
    """What tells it from another release of its number."""
    names: Names
    lineage: int
    """How often the database had turned out to be another, as after a restore."""

    @property
    def number(self) -> int:
        """The number of its release."""
        return self.row[0]

    @property
    def published_at(self) -> datetime:
        """When its release was published."""
        return self.row[1]

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from every other in this process: a number may be given again after a restore."""
        return self.lineage, self.number

    @property
    def mark(self) -> str:
        """What tells it from others for who keeps answers for long."""
        return f"{self.number} {self.published_at:%Y-%m-%dT%H:%M:%S}"


class Releases:
    """Gives the edition of a request; looks for a new release at most once in `ttl` seconds.

    The primary tells which release is current; while it is lost the replica does, and never an older one than was told.
    """

    def __init__(self, database: Database, ttl: float, replica: Database | None = None) -> None:
        self.databases = Databases(database, replica)
        self._ttl = ttl
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self.last: tuple[int | None, float] = (None, float("-inf"))
        """The newest release, and when the look that found it began."""
        self.lineage = 0
        """How often a release that was known was gone or another: the database was restored, or made anew."""
        self._newest: Identity | None = None
        self._editions: OrderedDict[tuple[int, int], Edition] = OrderedDict()

    def edition(self, pinned: int | None) -> Edition:
        """Give the pinned edition, or the current one. Raises InvalidValue for a release there is not, NotReady."""
        newest, looked = self.last
        if newest is None or time.monotonic() - looked > self._ttl or (pinned or 0) > newest:
            newest = self.newest()
        number = pinned or newest
        if number > newest:
            message = f"release cannot be {number}: the newest is {newest}"
            raise InvalidValue.of(Fault("release", number, message, did_you_mean=str(newest)))
        return self._load(number)

    def newest(self) -> int:
        """Look which release is current. Raises NotReady, DatabaseUnavailable."""
        return self._look(None)

    def look(self) -> int:
        """Look which release is current, over a connection that no query holds. Raises as `newest` does."""
        return self._look(LOOK)

    def _look(self, timeout: float | None) -> int:
        began, known = time.monotonic(), self._newest

        def query(connection: Connection) -> tuple[Identity | None, bool]:
            found = connection.execute(select(*ROW).order_by(Release.id.desc()).limit(1)).first()
            if known is None or known == found:
                return found, True
            return found, connection.execute(select(*ROW).where(Release.id == known[0])).first() == known

        (found, is_same), is_replica = self.databases.ask(query, timeout)
        with self._looking:
            given = self._newest
            if is_replica and given and (found is None or not is_same or found[0] < given[0]):
                found, is_same = given, True  # the replica is behind what was told before
            if found is None:
                raise NotReady("no data have been published yet: run `khorgos seed`")
            if began > self.last[1]:
                self.lineage += not is_same
                self._newest, self.last = found, (found[0], began)
        return found[0]

    def read(self, edition: Edition, timeout: float | None = None) -> Reading:
        """Give a read-only connection to a database that has a release. Raises what `Database.read` does."""
        return self.databases.read(edition.lineage, edition.row, timeout)

    def key(self, number: int) -> tuple[int, int]:
        """Give what tells a release from every other in this process, as `Edition.key` does."""
        return self.lineage, number

    def _load(self, number: int) -> Edition:
        with self._lock:
            key = self.key(number)
            edition = self._editions.get(key) or self._read(*key)
            self._editions[key] = edition
            self._editions.move_to_end(key)
            if len(self._editions) > KEPT:
                self._editions.pop(next(one for one in self._editions if one[1] != self.last[0] or one[0] != key[0]))
        return edition

    def _read(self, lineage: int, number: int) -> Edition:
        def query(connection: Connection) -> Edition | None:
            row = connection.execute(select(*ROW).where(Release.id == number)).first()
            return Edition(row, load_names(connection, number), lineage) if row else None

        edition, is_replica = self.databases.ask(query)
        if edition is None and is_replica:
            raise DatabaseUnavailable(f"release {number} is not on the replica yet, and the primary cannot be reached")
        if edition is None:  # restored since the last look
            self.last = (None, float("-inf"))
            raise Busy(f"release {number} is gone, since the database was restored: try again shortly")
        return edition
