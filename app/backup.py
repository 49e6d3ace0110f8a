"""Backup and restore: one whole state of the database as a file, and back; neither is ever seen half done.

SQLite is copied by its own online backup, PostgreSQL by pg_dump and pg_restore. Each sees one moment, so an import that
runs meanwhile is in the file whole or not at all. Beside FILE stands FILE.sha256, as sha256sum writes it.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, inspect

from app import fault, schema
from app.db import LOCK_WAIT, Database, analyze, publish_staged
from app.errors import BackupFailed, BackupInvalid, BackupRefused, NoBackupTool, PublishBusy
from app.models import Base
from app.settings import Settings
from app.sums import sha256_of

PAGES = 512
"""Pages of SQLite copied in one step, 2 MB."""
LOOK = 0.2
"""Seconds between two looks at a program that runs."""
TRIES = 3
"""Times a restore is begun again that readers and PostgreSQL have ended as a deadlock."""
SQLITE, POSTGRES = b"SQLite format 3\0", b"PGDMP"
"""How a backup of each engine begins."""
LIVE = b"\x02\x02"
"""Bytes 18 and 19 of an SQLite file whose newest pages may stand in another file."""

Progress = Callable[[int, int | None], None]
"""Is told how much is done, and of how much where that is known."""


def untold(done: int, of: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Copied:
    """A backup that was made or put back."""

    path: Path
    size: int
    revision: str
    has_sum: bool = True


def backup(database: Database, path: Path, *, force: bool = False, progress: Progress = untold) -> Copied:
    """Write a backup, checked before it takes its name.

    Raises BackupRefused for a file that is there unless `force`, BackupFailed, NoBackupTool, SchemaMismatch,
    DatabaseUnavailable.
    """
    refuse_existing(path, force)
    schema.require_any(database)
    with part_of(path) as part:
        (copy_sqlite if database.is_sqlite else dump)(database, part, progress)
        revision = examined(part, database)
        fault.point("backup.checked")
        seen_on_disk(part)
        sha256, size = sha256_of(part), part.stat().st_size
        refuse_existing(path, force)
        told = sum_of(path)
        told.unlink(missing_ok=True)  # of a file that is replaced: no sum at all is better than another's
        part.replace(path)
        fault.point("backup.renamed")
        told.write_text(f"{sha256}  {path.name}\n", "utf-8")
        if os.name == "posix":  # elsewhere a folder cannot be opened
            seen_on_disk(path.absolute().parent)
    return Copied(path, size, revision)


def restore(database: Database, path: Path, *, force: bool = False, progress: Progress = untold) -> Copied:
    """Put a backup in the place of the database; what goes wrong, or a kill, leaves what was there.

    Raises BackupInvalid, BackupRefused for a database that has data unless `force`, PublishBusy, BackupFailed,
    NoBackupTool, DatabaseUnavailable.
    """
    has_sum = hold_to_sum(path)
    revision = examined(path, database)
    if database.is_sqlite:
        hold_to_migrations(path, revision)
    with database.staging() as held:
        refuse_data(held, revision, force)
        if database.is_sqlite:
            put_back(database, path, progress)
        else:
            publish_staged(held)
            load_dump(database, path)
    if not database.is_sqlite:
        schema.distribute(database)
    for table in Base.metadata.tables if not database.is_sqlite and revision == schema.head() else ():
        analyze(database, table)
    return Copied(path, path.stat().st_size, revision, has_sum)


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to replace a file that nobody said may go."""
    if path.exists() and not force:
        raise BackupRefused(f"{path} is there already: name another file, or replace it with --force")


def refuse_data(held: Connection, revision: str, force: bool) -> None:
    """Refuse to replace data that nobody said may go; on PostgreSQL also tables of another revision."""
    found = tables_of(held)
    there = schema.current_of(held) if found else None
    held.rollback()
    if found and not force:
        raise BackupRefused("the database has data already: replace them with --force, or name an empty database")
    if found and held.dialect.name != "sqlite" and there != revision:
        raise BackupRefused(
            f"the database has schema {there or 'none'}, the backup {revision}: empty it first with "
            "`khorgos db downgrade base`, or name an empty database"
        )


def tables_of(connection: Connection) -> set[str]:
    """Give the tables of ours that a database has."""
    return set(inspect(connection).get_table_names()) & set(Base.metadata.tables)


def examined(path: Path, database: Database) -> str:
    """Read a backup whole and give its revision. Raises BackupInvalid."""
    with path.open("rb") as given:
        start = given.read(20)
    kinds = {SQLITE: "SQLite", POSTGRES: "PostgreSQL"}
    kind = next((name for begins, name in kinds.items() if start.startswith(begins)), None)
    wanted = kinds[SQLITE if database.is_sqlite else POSTGRES]
    if kind is None:
        raise BackupInvalid(f"{path} is no backup: it begins neither as an SQLite file nor as one of pg_dump")
    if kind != wanted:
        raise BackupInvalid(
            f"{path} is a backup of {kind}, the database is {wanted}: a backup goes back to the engine that it is of"
        )
    revision = examined_sqlite(path, start) if database.is_sqlite else examined_dump(path)
    if not schema.is_known(revision):
        raise BackupInvalid(
            f"{path} has schema {revision or 'none'}, which this program does not know: "
            "use the version of Khorgos that made it"
        )
    return revision


# SQLite


def copy_sqlite(database: Database, part: Path, progress: Progress) -> None:
    """Copy the file as it is at this moment, into a plain file that needs no other beside it."""
    try:
        with closing(opened(Path(database.url.database or ""))) as source, closing(sqlite3.connect(part)) as target:
            target.execute("PRAGMA synchronous = OFF")  # a kill leaves no file at all, and the whole is synced
            source.execute("BEGIN")  # the one moment that all steps see
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=PAGES, progress=stepped("backup.step", progress))
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BackupFailed(f"the backup cannot be written: {error}; no file was left") from error


def opened(path: Path, more: str = "") -> sqlite3.Connection:
    """Open an SQLite file to read, and run nothing that its schema asks for."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro{more}"
    connection = sqlite3.connect(address, uri=True, timeout=LOCK_WAIT, isolation_level=None)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def stepped(name: str, progress: Progress) -> Callable[[int, int, int], None]:
    """Give what SQLite calls after each step. It raises PublishBusy where the file is in another's hands."""

    def step(status: int, left: int, pages: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # its own wait is over, and it would wait for ever
            raise PublishBusy("another process is writing to the database: try again when it has ended")
        fault.point(name)
        progress(pages - left, pages)

    return step


def examined_sqlite(path: Path, start: bytes) -> str:
    """Hold a file to SQLite's own check, and give its revision; blank where it has none."""
    if start[18:20] == LIVE:
        raise BackupInvalid(f"{path} is the file of a database in use, and may lack its newest pages: make a backup")
    try:
        with closing(opened(path, "&immutable=1")) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != ("ok",):
                raise BackupInvalid(f"{path} is damaged: {' '.join(str(found[0]).split())}")
            is_ours = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if is_ours else None
            return str(row[0]) if row else ""
    except sqlite3.Error as error:
        raise BackupInvalid(f"{path} is damaged: {error}") from error


def hold_to_migrations(path: Path, revision: str) -> None:
    """Refuse a file that has other tables, indexes or triggers than our migrations make. Raises BackupInvalid."""
    with tempfile.TemporaryDirectory(prefix="khorgos-") as folder:
        model = Path(folder) / "model.db"
        made = Database(Settings(database_url=f"sqlite:///{model}"))
        try:
            schema.upgrade(made, revision)
        finally:
            made.close()
        with closing(opened(model)) as ours, closing(opened(path, "&immutable=1")) as theirs:
            other = sorted(shape(theirs) ^ shape(ours))
    if other:
        raise BackupInvalid(f"{path} is no backup of Khorgos: its schema differs in {other[0][0]} {other[0][1]}")


def shape(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Give kind and name of all that a file has, with the table it is of, or what it runs."""
    query = (
        "SELECT type, name, CASE WHEN type IN ('trigger', 'view') THEN sql ELSE tbl_name END FROM sqlite_master "
        "WHERE name NOT GLOB 'sqlite_*'"
    )
    return set(connection.execute(query))


def put_back(database: Database, path: Path, progress: Progress) -> None:
    """Copy a backup over the database in one transaction; who reads meanwhile sees the old state, then the new."""
    try:
        with (
            closing(opened(path, "&immutable=1")) as source,
            closing(sqlite3.connect(database.url.database or "", timeout=LOCK_WAIT, isolation_level=None)) as target,
        ):
            sizes = {one.execute("PRAGMA page_size").fetchone()[0] for one in (source, target)}
            if len(sizes) > 1:
                raise BackupRefused(f"{path} has pages of another size than the database: move that away first")
            source.backup(target, pages=PAGES, progress=stepped("restore.step", progress))
            fault.point("restore.done")
            with suppress(sqlite3.Error):  # a reader of the old state may keep it from being tidied up
                target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise BackupFailed(f"the database cannot be written: {error}; it is what it was") from error


# PostgreSQL


def dump(database: Database, part: Path, progress: Progress) -> None:
    """Let pg_dump write the tables of ours, of one snapshot."""
    found = tool("pg_dump", database)
    tables = [f"--table={name}" for name in (*Base.metadata.tables, "alembic_version")]
    run_tool(
        [found, "--format=custom", "--no-owner", "--no-privileges", *tables, f"--file={part}", *target_of(database)],
        environment_of(database),
        lambda: progress(part.stat().st_size if part.exists() else 0, None),
    )
    fault.point("backup.dumped")


def examined_dump(path: Path) -> str:
    """Let pg_restore read a dump to its end, and give its revision; blank where it has none. Raises BackupInvalid."""
    found = tool("pg_restore")
    try:
        run_tool([found, f"--file={os.devnull}", str(path)])
        rows = run_tool([found, "--data-only", "--table=alembic_version", "--file=-", str(path)])
    except BackupFailed as error:
        raise BackupInvalid(f"{path} is damaged, or of a newer PostgreSQL: {error.detail}") from error
    row = re.search(r"^COPY \S*alembic_version .*\n(\w+)$", rows, re.MULTILINE)
    return row[1] if row else ""


def load_dump(database: Database, path: Path) -> None:
    """Let pg_restore replace the tables of ours in one transaction."""
    found = tool("pg_restore", database)
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--clean", "--if-exists")
    for left in reversed(range(TRIES)):
        try:
            run_tool([found, *options, *target_of(database), str(path)], environment_of(database))
            break
        except BackupFailed as error:
            if not left or "deadlock" not in error.detail:
                raise BackupFailed(f"{error.detail}; the database is whole: what it was, or restored") from error


def target_of(database: Database) -> list[str]:
    """Name the database to a program of PostgreSQL, without its password: who lists processes sees the line."""
    return [f"--dbname={make_conninfo('', **{name: value for name, value in words(database) if name != 'password'})}"]


def environment_of(database: Database) -> dict[str, str]:
    """Hand the password on where only the program sees it."""
    password = dict(words(database)).get("password")
    return {"PGPASSWORD": password} if password else {}


def words(database: Database) -> Iterator[tuple[str, str]]:
    """Give what the URL says, as libpq names it."""
    named = database.url.translate_connect_args(username="user", database="dbname")
    for name, value in {**database.url.query, **named}.items():
        yield name, ",".join(value) if isinstance(value, tuple) else str(value)


def tool(name: str, database: Database | None = None) -> str:
    """Find a program of PostgreSQL. Raises NoBackupTool where there is none, or one older than the server."""
    needed = server_version(database) if database else None
    which = f"those of PostgreSQL {needed} or newer" if needed else "those of the server's version or newer"
    how = f"install the client programs, {which}, often a package postgresql-client, and have them on the PATH"
    found = shutil.which(name)
    if found is None:
        raise NoBackupTool(f"{name} is not installed here: {how}")
    said = run_tool([found, "--version"])
    version = re.search(r"\) (\d+)", said)
    if needed and (version is None or int(version[1]) < needed):
        raise NoBackupTool(f"{name} is of PostgreSQL {version[1] if version else '?'}, the server of {needed}: {how}")
    return found


def server_version(database: Database) -> int:
    """Give the major version of the server."""
    with database.read() as connection:
        return int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000


def run_tool(line: Sequence[str], environment: dict[str, str] | None = None, look: Callable[[], object] = int) -> str:
    """Run a program to its end and give what it printed. Raises BackupFailed with the reason that it tells."""
    name = Path(line[0]).name
    with subprocess.Popen(
        line,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    out, errors = process.communicate(timeout=LOOK)
                    break
                look()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = [one for one in errors.splitlines() if "error" in one] or errors.splitlines()
        ended = f"ended by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else "failed"
        raise BackupFailed(f"{name}: {said[0].removeprefix(f'{name}: ').strip()}" if said else f"{name} was {ended}")
    return out


# Files


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Give a file to write to, in a folder beside FILE that only its owner reads and that is gone at the end."""
    try:
        with tempfile.TemporaryDirectory(".part", f".{path.name}.", path.absolute().parent) as folder:
            yield Path(folder) / path.name
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror}; no file was left") from error


def seen_on_disk(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sum_of(path: Path) -> Path:
    """Give the file that has the sum of a backup."""
    return path.with_name(f"{path.name}.sha256")


def hold_to_sum(path: Path) -> bool:
    """Hold a backup to the sum beside it. Whether there is one. Raises BackupInvalid."""
    if not path.is_file():
        raise BackupInvalid(f"{path} is not there, or no file")
    try:
        wanted = sum_of(path).read_text("utf-8", "replace")[:64]
    except FileNotFoundError:
        return False
    if sha256_of(path) != wanted:
        raise BackupInvalid(f"{path} is damaged: its SHA-256 is not the one in {sum_of(path).name}")
    return True
