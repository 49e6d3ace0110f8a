"""Engines, read-only connections, deadlines and the publishing lock: the one file that knows the dialect."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from app.errors import BadDatabase, Busy, DatabaseUnavailable, PublishBusy
from app.settings import Settings
from app.sqlstates import translate

log = logging.getLogger("khorgos")
PUBLISH_LOCK = 0x6B686F72676F73  # "khorgos", the key of the advisory lock on PostgreSQL
IMPORT_LOCK = PUBLISH_LOCK + 1  # the same of importers
ONE_BY_ONE = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'"  # facts, then dimensions; only Citus reads it
CHANNEL = "khorgos_release"  # of notices on PostgreSQL
STAGING = "khorgos_staging"  # execution option: a transaction that writes to temporary tables alone
OPCODES = 10_000  # SQLite instructions between two looks at the clock
LOOK_EVERY = 1_000_000  # the same of a writer: Python hears a signal only where it runs, and then ends the statement
GONE = 1.0  # seconds within which PostgreSQL lets go the lock of an importer that has ended
LOCK_WAIT = 5.0  # seconds a writer waits for another
BATCH = 1000  # rows fetched at once
CAPS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 300,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 2_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
"""What a reader of SQLite may be asked at most; no statement of ours comes near."""
IDLE = 30.0  # seconds beyond the longest wait for a client, after which PostgreSQL ends an idle transaction
LOST = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""When a host that does not answer any more counts as gone, for libpq."""
FREED = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"  # the same for the server


class Database:
    """One database: readers that cannot write, one for each time limit, and a writer for publishing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = read_url(settings.database_url)
        self._readers: dict[float, Engine] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded engine is used."""
        return self.url.get_backend_name() == "sqlite"

    @cached_property
    def writer(self) -> Engine:
        """The engine that migrations and publishing use."""
        if not self.is_sqlite:
            patient = {**LOST, "tcp_user_timeout": 120_000}  # it may send faster than a server takes in
            return create_engine(self.url, pool_pre_ping=True, connect_args={**patient, "options": FREED})
        engine = create_engine(self.url, connect_args={"timeout": LOCK_WAIT})
        event.listen(engine, "connect", prepare_sqlite_writer)
        event.listen(engine, "begin", begin_immediate)
        return engine

    def reader(self, timeout: float) -> Engine:
        """The read-only engine whose statements end after `timeout` seconds."""
        with self._lock:
            if timeout not in self._readers:
                build = sqlite_reader if self.is_sqlite else postgres_reader
                self._readers[timeout] = build(self.url, timeout, self.settings)
            return self._readers[timeout]

    @contextmanager
    def read(self, timeout: float | None = None) -> Iterator[Connection]:
        """Give a read-only connection. Raises what `translate` makes of the engine's errors."""
        engine = self.reader(timeout or self.settings.statement_timeout)
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            found = translate(error)
            raise (Busy("the database is being changed") if isinstance(found, PublishBusy) else found) from error
        finally:
            if self._is_closed:  # the connection was given back to a pool that nobody empties any more
                engine.pool.dispose()

    @contextmanager
    def publishing(self) -> Iterator[Connection]:
        """Give the one transaction that may publish. Raises PublishBusy while another process has it."""
        try:
            with self.writer.begin() as connection:
                lock(connection)
                yield connection
        except SQLAlchemyError as error:
            raise translate(error) from error

    @contextmanager
    def staging(self) -> Iterator[Connection]:
        """Give the importer's connection; it writes to temporary tables until `publish_staged`.

        The lock of importers dies with its holder, as the tables do. Raises PublishBusy while another importer runs.
        """
        try:
            with ExitStack() as stack:
                if self.is_sqlite:
                    stack.enter_context(beside(Path(f"{self.url.database}-import")))
                connection = stack.enter_context(self.writer.connect())
                stack.callback(forget, connection)
                connection.execution_options(**{STAGING: True})
                if self.is_sqlite:
                    connection.exec_driver_sql("PRAGMA temp.cache_size = -32768")
                    connection.exec_driver_sql("PRAGMA cache_size = -65536")
                else:
                    alone(connection)
                yield connection
        except SQLAlchemyError as error:
            raise translate(error) from error

    def close(self) -> None:
        """Let every connection go; one that is in use goes when its user is done."""
        self._is_closed = True
        for engine in self._readers.values():
            engine.pool.dispose()  # the pool stays the engine's own, so that `read` can empty it once more
        if "writer" in self.__dict__:
            self.writer.dispose()


def read_url(text: str) -> URL:
    """Read a database URL. Raises BadDatabase."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise BadDatabase("KHORGOS_DATABASE_URL is no SQLAlchemy URL, such as sqlite:///khorgos.db") from error
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadDatabase(f"{backend} is not supported: use SQLite or PostgreSQL")
    if not url.database or url.database == ":memory:":
        raise BadDatabase("SQLite in memory cannot be shared: name a file, such as sqlite:///khorgos.db")
    return url


def sqlite_reader(url: URL, timeout: float, settings: Settings) -> Engine:
    """Make an engine that opens the file read-only and interrupts what runs too long."""
    path = Path(url.database or "").absolute()
    engine = create_engine("sqlite://", creator=lambda: open_to_read(path), poolclass=QueuePool, **pool(settings))

    @event.listens_for(engine, "connect")
    def watch(connection: DBAPIConnection, record: Any) -> None:
        record.info["deadline"] = None
        connection.set_progress_handler(
            lambda: time.monotonic() > (record.info["deadline"] or time.monotonic()), OPCODES
        )

    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Connection, *_: Any) -> None:
        connection.info["deadline"] = time.monotonic() + timeout

    @event.listens_for(engine, "checkout")
    def look(connection: Any, *_: Any) -> None:
        is_new, connection.is_new = connection.is_new, False
        if not is_new and identity(path) not in (None, connection.file):
            raise DisconnectionError("another file has taken the place of the database")  # the pool opens that one

    return engine


class Reader(sqlite3.Connection):
    """A connection that knows which file it reads."""

    file: tuple[int, int] | None = None
    is_new = True


def open_to_read(path: Path) -> Reader:
    """Open a file that cannot be written through this connection.

    Where its folder is read-only too, there is no place for what SQLite keeps beside it: nobody changes it then.
    """
    address = f"file:{quote(str(path))}?mode=ro"
    if not (os.access(path.parent, os.W_OK) or os.access(path, os.W_OK) or Path(f"{path}-wal").exists()):
        address += "&immutable=1"
    file = identity(path)
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=LOCK_WAIT, factory=Reader)
    connection.file = file
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    for limit, most in CAPS.items():
        connection.setlimit(limit, most)
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from another that takes its name; null where there is none, whose readers go on."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def postgres_reader(url: URL, timeout: float, settings: Settings) -> Engine:
    """Make an engine whose sessions are read-only, see one snapshot and end what runs too long."""
    options = (
        f"-c statement_timeout={max(1, int(timeout * 1000))} -c default_transaction_read_only=on "
        "-c default_transaction_isolation=repeatable\\ read -c lock_timeout=1000 -c timezone=UTC -c work_mem=64MB "
        f"-c idle_in_transaction_session_timeout={int((settings.stall_timeout + IDLE) * 1000)}"
    )
    return create_engine(url, connect_args={"options": options, **LOST}, pool_pre_ping=True, **pool(settings))


def pool(settings: Settings) -> dict[str, Any]:
    """Bound the connections of a reader; who finds none in time is told so."""
    return {
        "pool_size": settings.connections,
        "max_overflow": 0,
        "pool_timeout": settings.wait,
        "pool_recycle": 1800,
    }


def prepare_sqlite_writer(connection: DBAPIConnection, _: Any) -> None:
    """Hold foreign keys, let readers go on while a release is published, hear signals, and leave BEGIN to us."""
    connection.isolation_level = None
    connection.set_progress_handler(lambda: False, LOOK_EVERY)
    for pragma in ("foreign_keys = ON", "journal_mode = WAL", "trusted_schema = ON"):
        connection.execute(f"PRAGMA {pragma}")


def begin_immediate(connection: Connection) -> None:
    """Take SQLite's write lock at once, not at the first write; what only stages needs none."""
    staging = connection.get_execution_options().get(STAGING)
    connection.exec_driver_sql("BEGIN" if staging else "BEGIN IMMEDIATE")


@contextmanager
def beside(path: Path) -> Iterator[None]:
    """Hold the lock of a file beside the database, which the system lets go when its holder dies."""
    holder = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        try:
            holder.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise DatabaseUnavailable(f"{path.name} cannot be written: {error}") from error
            raise PublishBusy("another import is running: try again when it has ended") from error
        yield
    finally:
        holder.close()


def alone(connection: Connection) -> None:
    """Be the one importer on PostgreSQL, which hears late that the last one has ended. Raises PublishBusy."""
    end = time.monotonic() + GONE
    while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({IMPORT_LOCK})").scalar():
        if time.monotonic() > end:
            raise PublishBusy("another import is running: try again when it has ended")
        time.sleep(GONE / 20)
    connection.exec_driver_sql("SET work_mem = '128MB'")
    connection.exec_driver_sql("SET temp_buffers = '64MB'")
    connection.commit()


def forget(connection: Connection) -> None:
    """Close the session, so that its lock, settings and temporary tables go."""
    connection.invalidate()


def publish_staged(connection: Connection) -> None:
    """End staging: what follows is the one transaction that publishes, under the publishing lock."""
    connection.commit()
    connection.execution_options(**{STAGING: False})
    lock(connection)


def load(connection: Connection, table: str, rows: Any) -> None:
    """Append a polars frame to a table with its columns in their order: COPY, or prepared statements on SQLite."""
    if connection.dialect.name == "sqlite":
        holes = ", ".join("?" * rows.width)
        if rows.height:
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({holes})", rows.rows())
    else:
        copy_in(connection, f"COPY {table} FROM STDIN (FORMAT csv)", rows.write_csv(include_header=False).encode())


def copy_in(connection: Connection, statement: str, content: bytes) -> None:
    """Send rows by COPY. Raises DBAPIError, as SQLAlchemy makes of the driver's errors where it runs the statement."""
    driver: Any = connection.connection.driver_connection
    errors = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(content)
    except errors as error:
        raise DBAPIError.instance(statement, None, error, errors, dialect=connection.dialect) from error


def analyze(database: Database, table: str) -> None:
    """Let the planner know what a table holds now; what is published stays so if it cannot be told."""
    try:
        with database.writer.begin() as connection:
            if database.is_sqlite:
                connection.exec_driver_sql("PRAGMA analysis_limit = 1000")
            connection.exec_driver_sql(f"ANALYZE {table}")
    except SQLAlchemyError as error:
        log.warning(
            "published, but ANALYZE %s failed, and queries may be slow until it is run: %s", table, translate(error)
        )


class Heard:
    """What is told over a connection that listens."""

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection

    def fileno(self) -> int:
        """Give what can be waited for."""
        return int(self._driver.fileno())

    def take(self) -> bool:
        """Whether a release was told since."""
        return len(list(self._driver.notifies(timeout=0))) > 0


@contextmanager
def listening(database: Database) -> Iterator[Heard]:
    """Listen for releases over a connection of its own. Raises DatabaseUnavailable once it is lost, or tells none."""
    engine = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=LOST)
    try:
        with engine.connect() as connection:
            try:
                connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                yield Heard(connection)
            finally:
                forget(connection)
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise DatabaseUnavailable("the database cannot be reached, or is a standby, which tells none") from error


def notify(connection: Connection, number: int) -> None:
    """Tell who listens on PostgreSQL of a release, once it is committed."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '{number}')")


def lock(connection: Connection) -> None:
    """Take the publishing lock, which dies with its holder, or wait for it. On SQLite BEGIN IMMEDIATE has taken it."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(LOCK_WAIT * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PUBLISH_LOCK})")
        connection.exec_driver_sql("SET LOCAL lock_timeout = DEFAULT")
        connection.exec_driver_sql(ONE_BY_ONE)
