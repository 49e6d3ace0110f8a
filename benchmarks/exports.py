"""Whole tables over HTTP against what engines write of the same rows to a file; and what memory that takes."""

import subprocess
import time
from pathlib import Path

from peers.tools import peer_program, peer_python
from runs import Failed, connected, free_port, program, serving
from sqlalchemy import URL

CSV = "/v1/trade/flows?format=csv"
PARQUET = "/v1/trade/flows?format=parquet"
DUCKDB = """
import sys, time, duckdb
start = time.perf_counter()
duckdb.sql(f"COPY (SELECT * FROM read_parquet('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
print(time.perf_counter() - start)
"""


def download(port: int, path: str, to: Path) -> float:
    """Give the seconds that a download took. Raises Failed."""
    curl = program("curl")
    if curl is None:
        raise Failed("curl is what downloads")
    start = time.perf_counter()
    done = subprocess.run([curl, "-sSf", "-o", str(to), f"http://127.0.0.1:{port}{path}"], capture_output=True)
    if done.returncode:
        raise Failed(done.stderr.decode().strip())
    return time.perf_counter() - start


def sqlite_csv(url: URL, to: Path) -> float | None:
    """Give the seconds that the shell of SQLite takes to write the rows."""
    shell = program("sqlite3")
    if shell is None:
        return None
    start = time.perf_counter()
    with to.open("wb") as out:
        query = "SELECT * FROM trade_flows WHERE superseded_by IS NULL"
        subprocess.run([shell, "-csv", "-header", str(url.database), query], stdout=out, check=True)
    return time.perf_counter() - start


def copy_out(url: URL, to: Path) -> float:
    """Give the seconds that COPY TO takes to hand the rows to a client, which writes them."""
    start = time.perf_counter()
    with connected(url) as connection, to.open("wb") as out:
        driver = connection.connection.driver_connection
        query = "COPY (SELECT * FROM trade_flows WHERE superseded_by IS NULL) TO STDOUT (FORMAT csv, HEADER)"
        with driver.cursor() as cursor, cursor.copy(query) as copy:
            for part in copy:
                out.write(part)
    return time.perf_counter() - start


def datasette_stream(url: URL, folder: Path) -> float | None:
    """Give the seconds that Datasette takes to stream the rows as CSV."""
    if not (datasette := peer_program("datasette")):
        return None
    port = free_port()
    limits = ["--setting", "max_csv_mb", "0", "--setting", "sql_time_limit_ms", "600000"]
    table = f"/{Path(url.database or '').stem}/trade_flows.csv?_stream=on&_size=max"
    with serving(
        [datasette, "serve", str(url.database), "--port", str(port), *limits], port, "/-/versions.json", {}, folder
    ):
        return download(port, table, folder / "datasette.csv")


def duckdb_parquet(source: Path, folder: Path) -> float | None:
    """Give the seconds that DuckDB takes to write the rows of our Parquet file as its own, reading included."""
    if not (python := peer_python("duckdb")):
        return None
    done = subprocess.run(
        [python, "-c", DUCKDB, str(source), str(folder / "duckdb.parquet")], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
