"""The version of the database schema: upgrade, downgrade, and whether it is the one this program reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app import citus
from app.db import Database
from app.errors import SchemaMismatch
from app.sqlstates import not_made, translate

PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Give a folder that ships with the program: inside an installed package, or beside it in a checkout."""
    installed = PACKAGE / f"_{name}"
    return installed if installed.is_dir() else PACKAGE.parent / name


def config(database: Database) -> Config:
    """Give Alembic's configuration for a database."""
    found = Config()
    found.set_main_option("script_location", str(folder("migrations")))
    found.attributes["database"] = database
    return found


@contextmanager
def translated() -> Iterator[None]:
    """Tell the engine's errors as ours."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from error


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to a revision, in one transaction; two at once wait for each other."""
    with translated():
        command.upgrade(config(database), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to a revision; `base` empties the database."""
    with translated():
        command.downgrade(config(database), revision)


def distribute(database: Database, dry_run: bool = False) -> list[str]:
    """Spread what is local over the nodes of Citus, in one transaction; give the statements. Raises InvalidSetting."""
    with database.publishing() as connection:
        make = citus.statements if dry_run else citus.distribute
        return make(connection, database.settings)


@cache
def head() -> str | None:
    """Give the revision that this program reads."""
    return ScriptDirectory(str(folder("migrations"))).get_current_head()


def current(database: Database) -> str | None:
    """Give the revision of a database; null where there is none."""
    with database.read() as connection:
        return current_of(connection)


def current_of(connection: Connection) -> str | None:
    """Give the revision of the database that a connection is of; null where there is none."""
    return MigrationContext.configure(connection).get_current_revision()


def is_known(revision: str) -> bool:
    """Whether a revision is one that this program can upgrade from."""
    return revision in {one.revision for one in ScriptDirectory(str(folder("migrations"))).walk_revisions()}


def require_any(database: Database) -> None:
    """Refuse a database without tables of ours. Raises SchemaMismatch, DatabaseUnavailable."""
    if current(database) is None:
        raise not_made()


def require_head(database: Database) -> None:
    """Refuse a database of another version. Raises SchemaMismatch, DatabaseUnavailable."""
    found, wanted = current(database), head()
    if found != wanted:
        raise SchemaMismatch(
            f"the database has schema {found or 'none'}, this program reads {wanted}: run `khorgos db upgrade`, "
            "or use the version of Khorgos that made it"
        )
