"""Citus, the distributed PostgreSQL: facts are spread over its nodes, all else stands whole on each of them.

Where the extension is not there, nothing here does anything.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from app.db import Database
from app.errors import InvalidSetting, QueryTimeout
from app.models import Base
from app.settings import Settings

FACTS = "trade_flows"
"""The one table that is spread; each of its keys has every column that it may be spread by."""
EMPTIED = "SELECT truncate_local_data_after_distributing_table('{table}')"
KNOWN = text(
    "SELECT logicalrelid::regclass::text AS name, "
    "CASE partmethod WHEN 'h' THEN column_to_column_name(logicalrelid, partkey) END AS by "
    "FROM pg_dist_partition WHERE partmethod = 'h' OR (partmethod = 'n' AND repmodel = 't')"
)
"""Tables that are distributed. A local one that a foreign key ties to them stands in that catalogue as well."""
NODES = text("SELECT nodename, nodeport FROM pg_dist_node WHERE isactive AND groupid <> 0 ORDER BY nodename, nodeport")
REACHED = text("SELECT citus_check_connection_to_node(:host, :port)")
LOOK = 1.0
"""Seconds in which a node has to answer."""


def is_there(connection: Connection) -> bool:
    """Whether the database has the extension."""
    if connection.dialect.name == "sqlite":
        return False
    return connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'citus'")).first() is not None


def statements(connection: Connection, settings: Settings) -> list[str]:
    """Give what makes of local tables what they are to be; nothing where all are. Raises InvalidSetting."""
    if not is_there(connection):
        return []
    known = {row.name: row.by for row in connection.execute(KNOWN)}
    if known.get(FACTS, settings.citus_column) != settings.citus_column:
        raise InvalidSetting(
            f"KHORGOS_CITUS_COLUMN cannot be {settings.citus_column!r}: {FACTS} is spread by {known[FACTS]}; set it "
            f"so, or run SELECT alter_distributed_table('{FACTS}', distribution_column := '{settings.citus_column}')"
        )
    local = [one.name for one in Base.metadata.sorted_tables if one.name not in known]
    there = [name for name in local if connection.dialect.has_table(connection, name)]
    found: list[str] = []
    for name in sorted(there, key=lambda one: one == FACTS):
        found += spread(name, settings) if name == FACTS else whole(name)
    return found


def whole(table: str) -> Iterator[str]:
    """Give the statements by which a table stands on each node."""
    yield f"SELECT create_reference_table('{table}')"
    yield EMPTIED.format(table=table)


def spread(table: str, settings: Settings) -> Iterator[str]:
    """Give the statements by which a table is spread over the nodes."""
    yield (
        f"SELECT create_distributed_table('{table}', '{settings.citus_column}', "
        f"shard_count => {settings.citus_shards}, colocate_with => 'none')"
    )
    yield EMPTIED.format(table=table)


def distribute(connection: Connection, settings: Settings) -> list[str]:
    """Make of local tables what they are to be, in the open transaction; give the statements that were run."""
    run = statements(connection, settings)
    for one in run:
        connection.exec_driver_sql(one)
    return run


def beside_facts(connection: Connection, table: str) -> None:
    """Spread a table as facts are spread, so that it is joined to them where they lie."""
    by = next(row.by for row in connection.execute(KNOWN) if row.name == FACTS)
    connection.exec_driver_sql(f"SELECT create_distributed_table('{table}', '{by}', colocate_with => '{FACTS}')")


def lost(database: Database) -> list[str]:
    """Give the nodes that cannot be reached, by host and port. Raises as `Database.read` does."""
    if database.is_sqlite:
        return []
    with database.read(LOOK) as connection:
        nodes = connection.execute(NODES).all() if is_there(connection) else []
    return [f"{host}:{port}" for host, port in nodes if not reaches(database, host, port)]


def reaches(database: Database, host: str, port: int) -> bool:
    """Whether a node answers the coordinator; one that is frozen does not in time."""
    try:
        with database.read(LOOK) as connection:  # twice: the coordinator may hold a connection of before a restart
            return any(connection.execute(REACHED, {"host": host, "port": port}).scalar() for _ in range(2))
    except QueryTimeout:
        return False
