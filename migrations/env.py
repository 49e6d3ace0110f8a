"""How Alembic reaches the database: through the application's own writer, each run in one transaction."""

from typing import Any

from alembic import context
from sqlalchemy import Text

from app import citus, fault
from app.db import Database, lock
from app.models import Base, Codes, Utc
from app.settings import Settings

TEXT = "TEXT"  # the migration defines it: text ordered by code point
INDEX_OF_WORDS = "search_index"


def is_ours(thing: Any, name: str | None, kind: str, reflected: bool, compared: Any) -> bool:
    """Leave the full-text index out of comparisons: each engine has its own, made by hand."""
    return not (name or "").startswith(INDEX_OF_WORDS)


def as_written(kind: str, thing: Any, _: Any) -> str | bool:
    """Write our own column types as the plain ones they are, so that no migration needs this program's code."""
    if kind == "type" and isinstance(thing, Codes):
        return TEXT
    if kind == "type" and isinstance(thing, Utc):
        return "sa.DateTime(timezone=True)"
    return TEXT if kind == "type" and isinstance(thing, Text) else False


def run() -> None:
    """Run the migrations asked for."""
    database: Database = context.config.attributes.get("database") or Database(Settings())
    with database.writer.connect() as connection:
        context.configure(
            connection,
            target_metadata=Base.metadata,
            include_object=is_ours,
            render_item=as_written,
            transactional_ddl=True,
            compare_type=True,
            on_version_apply=lambda **_: fault.point("migrate.revision"),
        )
        with context.begin_transaction():
            lock(connection)
            context.run_migrations()
            citus.distribute(connection, database.settings)
            fault.point("migrate.commit")
        connection.commit()
        fault.point("migrate.committed")


run()
