"""Prints what rows, engines and workers cost: imports, bytes, memory, answers; the figures of docs/scaling.md.

    .venv/bin/python benchmarks/scaling.py [--rows 10000,100000] [--engines sqlite,postgres,citus] [--postgres URL]
        [--citus URL] [--workers 1,2,4]

`--citus` names a database on a coordinator that knows its nodes; new databases are made on all of them. Nothing is
answered from memory: the cache is off.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import PAGE, QUERIES, TOTALS, pages_of
from runs import (
    Client,
    Failed,
    Workplace,
    connected,
    driver,
    environment,
    free_port,
    high_water,
    latency,
    rate,
    run,
    serving,
)
from sqlalchemy import URL, make_url

SIZES = {
    "postgres": "SELECT pg_total_relation_size('trade_flows')",
    "citus": "SELECT citus_total_relation_size('trade_flows')",
}
NODES = "SELECT nodename, nodeport FROM pg_dist_node WHERE isactive ORDER BY groupid"
"""The coordinator, then the workers."""


class Cluster(Workplace):
    """A workplace whose databases may be on a Citus cluster."""

    def __init__(self, khorgos: str, folder: str | None, postgres: str | None, citus: str | None) -> None:
        super().__init__(khorgos, folder, postgres)
        self._citus = driver(make_url(citus)) if citus else None

    def nodes(self) -> list[URL]:
        """Give the coordinator and the workers. Raises Failed."""
        if self._citus is None:
            raise Failed("name the coordinator in --citus")
        with connected(self._citus) as connection:
            found = connection.exec_driver_sql(NODES).all()
        return [self._citus.set(host=host, port=port) for host, port in found]

    def database(self, engine: str) -> URL:
        """Make a database with schema and seeds."""
        if engine != "citus":
            return super().database(engine)
        name, (first, *workers) = f"khorgos_bench_{os.getpid()}_{next(self._numbers)}", self.nodes()
        for node in (first, *workers):
            with connected(node) as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            with connected(node.set(database=name)) as connection:
                connection.exec_driver_sql("CREATE EXTENSION citus")
        url = first.set(database=name)
        self._made.append(url)
        with connected(url) as connection:
            connection.exec_driver_sql(f"SELECT citus_set_coordinator_host('{first.host}', {first.port})")
            for node in workers:
                connection.exec_driver_sql(f"SELECT citus_add_node('{node.host}', {node.port})")
        for command in (["db", "upgrade"], ["seed"]):
            run([self.khorgos, *command], environment(url), self.folder)
        return url

    def drop(self, url: URL) -> None:
        """Take a database away, on every node that has it."""
        if self._citus is None or (url.host, url.port) != (self._citus.host, self._citus.port):
            super().drop(url)
            return
        self._made.remove(url)
        for node in self.nodes():
            with connected(node) as connection:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")


def size_of(url: URL, engine: str) -> int:
    """Give the bytes that flows take with their indexes; on SQLite those of the file."""
    if engine == "sqlite":
        return Path(url.database or "").stat().st_size
    with connected(url) as connection:
        return int(connection.exec_driver_sql(SIZES[engine]).scalar_one())


def totals(client: Client) -> str:
    """Give the milliseconds of sums over everything, or that they are not done in time."""
    try:
        return f"{latency(client, TOTALS, 5) * 1000:,.0f}"
    except Failed as error:
        if " 503 " not in str(error):
            raise
        return "503"


def measure(place: Cluster, engine: str, rows: int, args: argparse.Namespace) -> Iterator[str]:
    """Give the cells of one row of the table."""
    url = place.database(engine)
    try:
        before, path = size_of(url, engine), place.file(rows, "2019-2021" if rows == 10_000 else "2014-2023")
        taken = place.import_file(url, path)
        yield f"{taken.seconds:.1f} s"
        yield f"{rows / taken.seconds:,.0f}"
        yield f"{(size_of(url, engine) - before) / rows:.0f}"
        if engine != "sqlite":
            with connected(url) as connection:
                connection.exec_driver_sql("VACUUM ANALYZE trade_flows")
        pages, memory = [f"/v1/trade/flows?{page}&limit={PAGE}" for page in pages_of(url)], 0.0
        rates = []
        for number in args.workers:
            port = free_port()
            command = [place.khorgos, "serve", "--no-setup", "--workers", str(number), "--port", str(port)]
            env = {**environment(url), "KHORGOS_CACHE_BYTES": "0"}
            with serving(command, port, "/readyz", env, place.folder) as client:
                if number == args.workers[0]:
                    for target in QUERIES.values():
                        yield f"{latency(client, f'{target}&limit={PAGE}', args.requests) * 1000:.1f}"
                    yield totals(client)
                    memory = high_water(client.process or 0)
                rate(port, pages * 200, args.seconds)  # names and plans are loaded then
                rates.append(f"{rate(port, pages * 200, args.seconds):,.0f}")
        yield " / ".join(rates)
        yield f"{taken.mib:.0f} / {memory:.0f}"
    finally:
        place.drop(url)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure Khorgos by rows, engine and workers.")
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--engines", default="sqlite,postgres", help="some of sqlite,postgres,citus")
    parser.add_argument("--workers", default="1,2,4", help="processes of `khorgos serve`")
    parser.add_argument("--postgres", help="URL of a server on which databases can be created; else an embedded one")
    parser.add_argument("--citus", help="URL of a database of the coordinator, which knows the nodes")
    parser.add_argument("--requests", type=int, default=60, help="requests of each kind, for a median")
    parser.add_argument("--seconds", type=float, default=4.0, help="time of each rate")
    parser.add_argument("--folder", help="folder for files and databases")
    parser.add_argument("--khorgos", default=str(Path(sys.executable).parent / "khorgos"), help="program to measure")
    args = parser.parse_args()
    args.rows = [int(one) for one in args.rows.split(",")]
    args.workers, args.engines = [int(one) for one in args.workers.split(",")], args.engines.split(",")
    return args


def main() -> None:
    """Measure each size on each engine in turn, and print a row for each as it is done."""
    args = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that servers and files go
    place = Cluster(args.khorgos, args.folder, args.postgres, args.citus)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}")
    columns = ["rows", "engine", "import", "rows/s", "bytes/row", *QUERIES, "totals"]
    columns += [f"pages/s at {' / '.join(map(str, args.workers))} workers", "MiB import / serve"]
    print(f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", sep="\n", flush=True)
    try:
        for rows in args.rows:
            for engine in args.engines:
                try:
                    cells = list(measure(place, engine, rows, args))
                except Failed as error:
                    cells = [f"failed: {str(error)[:200]}"]
                print(f"| {rows:,} | {engine} | {' | '.join(cells)} |", flush=True)
    finally:
        place.close()


if __name__ == "__main__":
    main()
