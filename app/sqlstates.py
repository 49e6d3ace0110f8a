"""What the engines' errors are to a client: SQLSTATE tells PostgreSQL's apart, the text SQLite's."""

import re
import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import Busy, DatabaseUnavailable, KhorgosError, PublishBusy, QueryTimeout, SchemaMismatch, SumTooLarge

REFUSED = re.compile(r"duplicate key value|violates .+ constraint")
CONSTRAINT = re.compile(r"\b((?:ck|uq|fk|pk)_\w+?)(?:_\d{6,})?\b")
"""A constraint's name; Citus puts the number of a shard behind it."""


def translate(error: SQLAlchemyError) -> Exception:
    """Give the error that a client may see; one that is our own fault stays what it is."""
    if isinstance(error, PoolTimeout):
        return Busy("every database connection is in use")
    if not isinstance(error, DBAPIError):
        return error
    return translate_sqlite(error) if isinstance(error.orig, sqlite3.Error) else translate_postgres(error)


def translate_sqlite(error: DBAPIError) -> Exception:
    """Tell SQLite's errors apart by their text: the module's own error codes came with Python 3.11 only in part."""
    said = str(error.orig)
    if said == "interrupted":
        return timed_out()
    if said == "integer overflow":
        return too_large()
    if "database is locked" in said:
        return PublishBusy("another process is writing to the database: try again when it has ended")
    if "no such table" in said:
        return not_made()
    if "disk is full" in said:
        return DatabaseUnavailable("the disk is full; nothing was published")
    if "unable to open" in said or "disk I/O" in said or "malformed" in said or "not a database" in said:
        return DatabaseUnavailable("the database file cannot be read")
    return error


def translate_postgres(error: DBAPIError) -> Exception:
    """Tell PostgreSQL's errors apart by SQLSTATE, never by a constraint's name."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state == "57014":
        return timed_out()
    if state == "22003":
        return too_large()
    if state == "55P03":
        return PublishBusy("another process is publishing: try again when it has ended")
    if state == "40001":  # our readers write nothing: a standby says so of what it must change under a query
        return DatabaseUnavailable("the replica ended the query, to keep up with the primary")
    if state == "42P01":
        return not_made()
    if state == "53100":
        return DatabaseUnavailable("the database's disk is full; nothing was published")
    lost = state is None and isinstance(error, OperationalError)
    if lost or (state or "")[:2] in ("08", "53", "57"):
        return DatabaseUnavailable("the database cannot be reached")
    return error


def refuses(error: DBAPIError) -> bool:
    """Whether the database refuses a row. Citus has the words of it, but not the state, where it moves rows itself."""
    told = getattr(error.orig, "sqlstate", None) == "XX000" and REFUSED.search(str(error.orig))
    return isinstance(error, IntegrityError | DataError) or bool(told)


def reason(error: DBAPIError) -> str:
    """Say why the database refuses a row, by the constraint's name where its message has one."""
    named = CONSTRAINT.search(str(error.orig))
    return f"the database refuses it: {named[1]}" if named else "the database refuses it: its key is there already"


def not_made() -> KhorgosError:
    """The answer where the database has no tables of ours."""
    return SchemaMismatch("the database has no tables of this program: run `khorgos db upgrade`")


def too_large() -> KhorgosError:
    """The answer to a sum of more than 64 bits."""
    return SumTooLarge(f"a sum is above {2**63 - 1:,}, the largest whole number that is given")


def timed_out() -> KhorgosError:
    """The answer to a statement over its limit."""
    return QueryTimeout("the query took longer than its limit")
