"""Which release is current, what a pinned one may be, and the names that hold in each."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from app.db import Database
from app.errors import Fault, InvalidValue, NotReady
from app.models import Release
from app.names import Names, load_names

KEPT = 8
"""Releases whose names are kept in memory."""
LOOK = 0.8
"""Seconds a look ahead may take; connections are apart for each time limit, so this one has its own."""


@dataclass(frozen=True)
class Edition:
    """One release with its names: all that an answer needs to know of when it is."""

    number: int
    published_at: datetime
    names: Names


class Releases:
    """Gives the edition of a request; looks for a new release at most once in `ttl` seconds."""

    def __init__(self, database: Database, ttl: float) -> None:
        self._database = database
        self._ttl = ttl
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self.last: tuple[int | None, float] = (None, float("-inf"))
        """The newest release, and when the look that found it began."""
        self._editions: OrderedDict[int, Edition] = OrderedDict()

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
        began = time.monotonic()
        with self._database.read(timeout) as connection:
            found = connection.execute(select(func.max(Release.id))).scalar()
        if found is None:
            raise NotReady("no data have been published yet: run `khorgos seed`")
        with self._looking:
            if began > self.last[1]:
                self.last = int(found), began
        return int(found)

    def _load(self, number: int) -> Edition:
        with self._lock:
            edition = self._editions.get(number) or self._read(number)
            self._editions[number] = edition
            self._editions.move_to_end(number)
            if len(self._editions) > KEPT:
                self._editions.pop(next(one for one in self._editions if one != self.last[0]))
        return edition

    def _read(self, number: int) -> Edition:
        with self._database.read() as connection:
            published = connection.execute(select(Release.published_at).where(Release.id == number)).scalar_one()
            return Edition(number, published, load_names(connection, number))
