"""Export files: built once for database, release, table, format and version, and put in place when they are whole.

A file is written under another name while its lock is held, which dies with its holder; it takes its own name, which
has its SHA-256, by one rename. So no worker shows half a file, and a kill leaves nothing that is ever served.
"""

import errno
import logging
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import select

import app
from app import fault
from app.ask import Service
from app.db import Database, beside
from app.errors import Busy, DatabaseUnavailable, ExportNotWritten, PublishBusy, QueryTimeout
from app.exports.tables import FORMATS, Table, digest, parts, planned, written_by
from app.formats import is_there
from app.formats.base import Format
from app.models import Release
from app.recent import Recent
from app.sums import sha256_of

log = logging.getLogger("khorgos")
KEPT = 4
"""Releases whose files are kept: those used last."""
RELEASES = 64
"""Releases whose history is remembered."""
NOTED = 60.0
"""Seconds after which a further use of a release's files is noted."""
TRIES = 3
"""Times a file is opened or built again where it was taken away meanwhile."""
LOOK = 0.05
"""Seconds between two looks for a file that another is building."""
FOLDER = re.compile(r"\d+-[0-9a-f]{16}")
PARTS = ".part"


@dataclass(frozen=True)
class Built:
    """A file that is whole."""

    path: Path
    size: int
    sha256: str


Write = Callable[[IO[bytes]], object]
"""Writes the bytes of a file."""


class Files:
    """The export files of one database."""

    def __init__(self, service: Service, tables: Iterable[Table]) -> None:
        self.service = service
        self.tables: Mapping[str, Table] = {table.name: table for table in tables}
        self.folder = folder_of(service.database)
        self._histories: Recent[str] = Recent(RELEASES)

    def table(self, table: Table, form: Format, release: int) -> IO[bytes]:
        """Open the file of a table, built if it is not there."""
        return self.opened(table.name, form.suffix, release, self.writing(table, form, release))

    def made(self, table: Table, form: Format, release: int) -> Built:
        """Give the file of a table, built if it is not there."""
        return self.of(table.name, form.suffix, release, self.writing(table, form, release))

    def writing(self, table: Table, form: Format, release: int) -> Write:
        """Give what writes a table."""
        return lambda out: self.write(table, form, release, out)

    def of(self, stem: str, suffix: str, release: int, write: Write) -> Built:
        """Give a file, built if it is not there. Raises Busy, QueryTimeout, ExportNotWritten and what `write` does."""
        folder = self.of_release(release)
        return found(folder, stem, suffix) or self.build(folder, stem, suffix, write)

    def opened(self, stem: str, suffix: str, release: int, write: Write) -> IO[bytes]:
        """Open a file, built if it is not there. Raises what `of` does."""
        for _ in range(TRIES):
            try:
                opened = self.of(stem, suffix, release, write).path.open("rb")
            except FileNotFoundError:  # taken away since: its release was not used for long
                continue
            except OSError as error:
                raise not_written(stem, suffix, error) from error
            note_use(self.of_release(release))
            return opened
        raise Busy("the file is taken away as fast as it is built: try again shortly")

    def found(self, stem: str, suffix: str, release: int) -> Built | None:
        """Give a file if it is built already."""
        return found(self.of_release(release), stem, suffix)

    def build(self, folder: Path, stem: str, suffix: str, write: Write) -> Built:
        """Build a file, or wait for who is building it. Raises Busy when that takes long, ExportNotWritten."""
        service = self.service
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.alone(folder, stem, suffix) as before:
                if before:
                    return before
                part = folder / f".{stem}.{suffix}{PARTS}"
                with service.exporting():
                    made = whole(part, lambda sha256: folder / f"{stem}.{sha256}.{suffix}", write)
            self.take_away(folder)
        except OSError as error:
            raise not_written(stem, suffix, error) from error
        return made

    @contextmanager
    def alone(self, folder: Path, stem: str, suffix: str) -> Iterator[Built | None]:
        """Be the one that builds a file; gives the file where another has built it meanwhile. Raises Busy."""
        end = time.monotonic() + self.service.settings.pool_wait
        with ExitStack() as held:
            while not has_taken(folder / f".{stem}.{suffix}.lock", held):
                if time.monotonic() > end:
                    raise Busy("the file is being built: try again shortly")
                time.sleep(LOOK)
            yield found(folder, stem, suffix)

    def write(self, table: Table, form: Format, release: int, out: IO[bytes]) -> None:
        """Write a table. Raises QueryTimeout."""
        in_time = self.clock()
        for part, _ in parts(planned(self.service, table, form, release)):
            out.write(part)
            in_time()

    def clock(self) -> Callable[[], None]:
        """Start the time that an export may take; gives what raises QueryTimeout once it is over."""
        timeout = self.service.settings.export_timeout
        end = time.monotonic() + timeout

        def in_time() -> None:
            if time.monotonic() > end:
                raise QueryTimeout(f"the file was not written within {timeout:g} seconds, the longest that it may take")

        return in_time

    def of_release(self, release: int) -> Path:
        """Give the folder of a release's files: named by all that their bytes depend on."""
        service = self.service
        history = self._histories.get(service.releases.key(release), lambda: history_of(service, release))
        writers = [written_by(form) for form in FORMATS.values() if is_there(form)]
        name = digest(history, app.__version__, service.settings.root_path, *writers)
        return self.folder / f"{release}-{name}"

    def take_away(self, newest: Path) -> None:
        """Take away the files of releases that were not used for longest; who has one open reads on."""
        others = [one for one in self.folder.iterdir() if FOLDER.fullmatch(one.name) and one != newest]
        for one in sorted(others, key=used)[: max(0, len(others) + 1 - KEPT)]:
            shutil.rmtree(one, ignore_errors=True)


def not_written(stem: str, suffix: str, error: OSError) -> ExportNotWritten:
    """Say why there is no file, and leave the path to the log."""
    log.warning("export %s.%s cannot be written or read: %s", stem, suffix, error)
    return ExportNotWritten(f"the file cannot be written here: {error.strerror or 'no reason is given'}")


def has_taken(lock: Path, held: ExitStack) -> bool:
    """Take the lock of a file unless another has it. Raises OSError where the folder cannot be written."""
    try:
        held.enter_context(beside(lock))
    except PublishBusy:
        return False
    except (DatabaseUnavailable, sqlite3.Error) as error:
        raise OSError(errno.EACCES, "the folder takes no files") from error
    return True


def whole(part: Path, name: Callable[[str], Path], write: Write) -> Built:
    """Write a file, see it on the disk, and give it the name that its SHA-256 has; of a failure nothing is left."""
    try:
        with part.open("wb") as out:
            write(out)
            fault.point("export.written")
            out.flush()
            os.fsync(out.fileno())
        sha256 = sha256_of(part)
        size, path = part.stat().st_size, name(sha256)
        fault.point("export.rename")
        part.replace(path)
        fault.point("export.renamed")
    finally:
        part.unlink(missing_ok=True)
    return Built(path, size, sha256)


def found(folder: Path, stem: str, suffix: str) -> Built | None:
    """Give a file that is whole, if it is there."""
    shape = re.compile(rf"{re.escape(stem)}\.([0-9a-f]{{64}})\.{re.escape(suffix)}")
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if named := shape.fullmatch(entry.name):
                    return Built(Path(entry.path), entry.stat().st_size, named[1])
    except OSError:  # no folder yet, or none that can be read: building tells which
        return None
    return None


def used(folder: Path) -> float:
    """Tell when a release's files were used last."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def note_use(folder: Path) -> None:
    """Note that a release's files are used; where it cannot be noted, they go earlier."""
    try:
        if time.time() - folder.stat().st_mtime > NOTED:
            os.utime(folder)
    except OSError as error:
        log.debug("use of %s cannot be noted: %s", folder.name, error)


def history_of(service: Service, release: int) -> str:
    """Tell releases of one number apart, where a database was made anew: by all that was published up to it."""
    columns = [column for column in Release.__table__.c if column.name != "changes"]
    query = select(*columns).where(Release.id <= release).order_by(Release.id)
    with service.releases.read(service.releases.edition(release)) as connection:
        return digest(*(str(tuple(row)) for row in connection.execute(query)))


def folder_of(database: Database) -> Path:
    """Give the folder of a database's files: in the one of the settings, beside an SQLite file, or in the cache."""
    url, given = database.url, database.settings.export_folder
    if database.is_sqlite:
        path = Path(url.database or "").absolute()
        name, identity = path.name, str(path)
        base = Path(given) if given else path.with_name(f"{path.name}-exports")
    else:
        name, identity = url.database or "", f"{url.host}:{url.port or 5432}/{url.database}"
        base = Path(given) if given else cache_folder()
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    return base.absolute() / f"{words}-{digest(identity)[:8]}"


def cache_folder() -> Path:
    """Give a folder for what can be made again: the user's, or a temporary one where there is no home."""
    try:
        home = Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "khorgos-exports"
    places = {"win32": os.environ.get("LOCALAPPDATA"), "darwin": home / "Library" / "Caches"}
    place = places.get(sys.platform) or os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(place) / "khorgos" / "exports"
