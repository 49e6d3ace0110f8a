"""Other ways to take in the file: the tools that people use today, each as it comes."""

import shutil
import time
from pathlib import Path
from typing import Any

from peers.tools import peer_program
from runs import Run, connected, program, run
from sqlalchemy import URL, Connection


def sqlite_import(path: Path, folder: Path) -> Run | None:
    """Take the file into SQLite by its shell, unchecked and without a key."""
    sqlite = program("sqlite3")
    if not sqlite:
        return None
    database = folder / "peer.db"
    # It says of every row that it has a field more than the header; nobody should wait for that to be shown.
    taken = run(["/bin/sh", "-c", '"$0" "$1" ".mode csv" ".import $2 t" 2>/dev/null', sqlite, str(database), str(path)])
    database.unlink()
    return taken


def sqlite_utils_insert(path: Path, folder: Path) -> Run | None:
    """Take the file into SQLite by sqlite-utils."""
    tool = peer_program("sqlite-utils")
    if not tool:
        return None
    database = folder / "peer-utils.db"
    taken = run([tool, "insert", str(database), "t", str(path), "--csv", "--encoding=latin-1", "--silent"])
    database.unlink()
    return taken


def copy(url: URL, folder: Path) -> Run:
    """Copy the flows that the database has, as they are, into a table with the same columns, key and indexes."""
    rows = folder / "flows.csv"
    with connected(url) as connection:
        connection.exec_driver_sql("CREATE TABLE peer (LIKE trade_flows INCLUDING INDEXES INCLUDING DEFAULTS)")
        # In the order of the file, not of an index.
        flows = "COPY (SELECT * FROM trade_flows ORDER BY year, ctid) TO STDOUT (FORMAT csv)"
        with (
            rows.open("wb") as file,
            cursor_of(connection) as cursor,
            cursor.copy(flows) as found,
        ):
            for block in found:
                file.write(block)
        connection.exec_driver_sql("CHECKPOINT")
        taken = copy_in(url, rows)
        connection.exec_driver_sql("DROP TABLE peer")
    rows.unlink()
    return taken


def copy_in(url: URL, rows: Path) -> Run:
    """Copy by psql, or where there is none by the driver."""
    if psql := shutil.which("psql"):
        uri = url.set(drivername="postgresql").render_as_string(hide_password=False)
        return run([psql, uri, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"\\copy peer FROM '{rows}' (FORMAT csv)"])
    with (
        connected(url) as connection,
        rows.open("rb") as file,
        cursor_of(connection) as cursor,
    ):
        start = time.perf_counter()
        with cursor.copy("COPY peer FROM STDIN (FORMAT csv)") as into:
            while block := file.read(2**20):
                into.write(block)
        return Run(time.perf_counter() - start, 0.0)


def cursor_of(connection: Connection) -> Any:  # Any: a psycopg cursor, of which SQLAlchemy's types know nothing
    """Give a cursor of the driver, which can COPY."""
    driver: Any = connection.connection.driver_connection
    return driver.cursor()
