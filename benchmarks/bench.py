"""Prints how Khorgos compares with peers in one run: imports, memory, latency, sums, pages, exports, start; as ratios.

    make bench
    .venv/bin/python benchmarks/bench.py [--rows 1000000] [--rows-large 10000000] [--only import,...] [--postgres URL]

Files are invented (generate.py) and the databases are new. An embedded PostgreSQL does not wait for the disk, for us
and for its peer alike. Peers that have to be installed go into benchmarks/.peers.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from exports import CSV, PARQUET, copy_out, datasette_stream, download, duckdb_parquet, sqlite_csv
from peers.imports import copy, sqlite_import, sqlite_utils_insert
from peers.tools import peer_program
from repeated import GOAL, repeated
from runs import (
    Client,
    Failed,
    Run,
    Workplace,
    connected,
    environment,
    free_port,
    high_water,
    latency,
    rate,
    run,
    serving,
)
from sqlalchemy import URL

PEERS = Path(__file__).parent / "peers"
ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
SMALL = 10_000
PAGE = 100
YEARS = {SMALL: "2019-2021"}
"""Few years in the small file, so that its pages are full too."""
QUERIES = {
    "reporter + year": "/v1/trade/flows?reporter=KAZ&year=2020",
    "reporter + partner": "/v1/trade/flows?reporter=KAZ&partner=CHN",
    "product over partners": "/v1/trade/flows?product=270900&year=2020",
}
TOTALS = "/v1/trade/totals?group_by=year,flow"
BARE = "SELECT year, flow, SUM(value_usd), COUNT(*) FROM trade_flows WHERE superseded_by IS NULL GROUP BY year, flow"
APART = """
SELECT year, flow, length(replace(product, 'TOTAL', '')), classification, frequency, source, stated_by,
       CASE WHEN reporter IN ('WLD', 'XCA') THEN reporter END, CASE WHEN partner IN ('WLD', 'XCA') THEN partner END,
       SUM(value_usd), COUNT(*)
FROM trade_flows WHERE superseded_by IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
"""The sums that `totals` gives: what must not be added is apart."""
PAGES = """
SELECT {columns}, COUNT(*) FROM trade_flows WHERE superseded_by IS NULL GROUP BY {columns} HAVING COUNT(*) >= {page}
"""
PAGE_FILTERS = (("reporter", "year"), ("partner", "year"), ("product", "year"), ("reporter", "partner"))


@dataclass
class Result:
    """A row of the table."""

    work: str
    ours: str
    peer: str
    ratio: float | None = None
    goal: str = ""
    reached: bool | None = None


@dataclass
class Bench:
    """The run: its options, its files and databases."""

    args: argparse.Namespace
    place: Workplace
    databases: dict[tuple[str, int], URL] = field(default_factory=dict)
    imports: dict[tuple[str, int], list[Run]] = field(default_factory=dict)

    def file(self, rows: int) -> Path:
        """Give the file of so many rows."""
        return self.place.file(rows, YEARS.get(rows, "2014-2023"))

    def imported(self, engine: str, rows: int) -> URL:
        """Give a database that has taken in the file; the first import is a measured one."""
        key = engine, rows
        if key not in self.databases:
            url = self.place.database(engine)
            self.imports[key] = [self.place.import_file(url, self.file(rows))]
            self.databases[key] = url
        return self.databases[key]

    def again(self, engine: str, rows: int) -> None:
        """Import the file into one more new database, for a median."""
        url = self.place.database(engine)
        self.imports[engine, rows].append(self.place.import_file(url, self.file(rows)))
        self.place.drop(url)

    def seconds(self, engine: str, rows: int) -> float:
        """Give the median time of the imports so far."""
        return median(one.seconds for one in self.imports[engine, rows])

    def client(self, url: URL, path: str = "/readyz") -> AbstractContextManager[Client]:
        """Run the service over a database until it answers a path; it keeps no answers."""
        port = free_port()
        command = [self.place.khorgos, "serve", "--no-setup", "--port", str(port)]
        return serving(command, port, path, {**environment(url), "KHORGOS_CACHE_BYTES": "0"}, self.place.folder)


def bench_import(bench: Bench) -> Iterator[Result]:
    """Imports against what takes in the same rows unchecked, in turn."""
    rows, folder = bench.args.rows, bench.place.folder
    for engine in bench.args.engines:
        peers: list[float] = []
        for number in range(bench.args.repeat):
            url = bench.imported(engine, rows)
            if number:
                bench.again(engine, rows)
            taken = sqlite_import(bench.file(rows), folder) if engine == "sqlite" else copy(url, folder)
            peers += [taken.seconds] if taken else []
        ours = bench.seconds(engine, rows)
        goal, name = (4.0, "sqlite3 .import") if engine == "sqlite" else (2.5, "\\copy")
        work = f"import {rows:,}, {ENGINES[engine]}"
        if peers:
            yield at_most(work, ours, median(peers), goal, f"{name} {median(peers):.1f} s", f"{ours:.1f} s")
        if engine == "sqlite" and (taken := sqlite_utils_insert(bench.file(rows), folder)):
            yield at_least(work, ours, taken.seconds, 10, f"sqlite-utils {taken.seconds:.1f} s", f"{ours:.1f} s")


def bench_memory(bench: Bench) -> Iterator[Result]:
    """Peak memory of the importer, small against large."""
    for engine in bench.args.engines:
        small, large = (peak(bench, engine, rows) for rows in (bench.args.rows, bench.args.rows_large))
        work, ours = f"peak memory, {ENGINES[engine]}", f"{large:.0f} MiB"
        at = f"{bench.args.rows:,}: {small:.0f} MiB"
        fits = large - small < 64 and large < 400
        yield Result(work, ours, at, large / small if small else None, "< +64 and < 400 MiB", fits)


def peak(bench: Bench, engine: str, rows: int) -> float:
    """Give the most memory that an import of so many rows took."""
    bench.imported(engine, rows)
    return max(one.mib for one in bench.imports[engine, rows])


def bench_reimport(bench: Bench) -> Iterator[Result]:
    """The same file again, against the first time."""
    rows = bench.args.rows
    for engine in bench.args.engines:
        url = bench.imported(engine, rows)
        again = median(bench.place.import_file(url, bench.file(rows)).seconds for _ in range(bench.args.repeat))
        first = bench.seconds(engine, rows)
        yield at_most(
            f"import again, {ENGINES[engine]}", again, first, 0.5, f"first time {first:.1f} s", f"{again:.2f} s"
        )


def bench_latency(bench: Bench) -> Iterator[Result]:
    """The three ways in at three sizes, with as many rows a page as the smallest has."""
    sizes = (SMALL, bench.args.rows, bench.args.rows_large)
    for engine in bench.args.engines:
        taken: dict[str, list[float]] = {name: [] for name in QUERIES}
        limits: dict[str, int] = {}
        for rows in sizes:
            with bench.client(bench.imported(engine, rows)) as client:
                for name, path in QUERIES.items():
                    limit = limits.setdefault(name, rows_of(client, path))
                    taken[name].append(latency(client, f"{path}&limit={limit}", bench.args.requests))
        for name, (small, *larger) in taken.items():
            shown = " / ".join(f"{seconds * 1000:.2f}" for seconds in larger)
            at = f"{small * 1000:.2f} ms, {limits[name]} rows"
            yield at_most(f"{name}, {ENGINES[engine]}", max(larger), small, 1.5, at, f"{shown} ms")


def rows_of(client: Client, path: str) -> int:
    """Give how many rows a page has, at least 1."""
    return max(1, len(rows_in(client.get(path))))


def rows_in(body: bytes) -> list[object]:
    """Give the rows of an answer: ours, a bare list, or Datasette's."""
    found = json.loads(body)
    rows: list[object] = found if isinstance(found, list) else found["data"] if "data" in found else found["rows"]
    return rows


def page_rate(client: Client, paths: list[str], seconds: float) -> float:
    """Give the pages a second, once it is seen that a page is one. Raises Failed."""
    if (found := len(rows_in(client.get(paths[0])))) != PAGE:
        raise Failed(f"{paths[0]} has {found} rows, not {PAGE}")
    return rate(client.port, paths[1:], seconds)


def bench_totals(bench: Bench) -> Iterator[Result]:
    """Sums over HTTP against the engine's own, with the same groups and with two only."""
    for engine in bench.args.engines:
        url = bench.imported(engine, bench.args.rows)
        with bench.client(url) as client:
            ours = latency(client, TOTALS, 10)
        work = f"totals by year, flow, {ENGINES[engine]}"
        same, bare = (sql_time(url, statement) for statement in (APART, BARE))
        yield at_most(work, ours, same, 1.3, f"SQL, same groups {same * 1000:.0f} ms", f"{ours * 1000:.0f} ms")
        yield Result(work, f"{ours * 1000:.0f} ms", f"SQL, year and flow alone {bare * 1000:.0f} ms", ours / bare)


def sql_time(url: URL, statement: str, times: int = 7) -> float:
    """Give the median time of a statement."""
    taken = []
    with connected(url) as connection:
        for _ in range(times):
            start = time.perf_counter()
            connection.exec_driver_sql(statement).fetchall()
            taken.append(time.perf_counter() - start)
    return median(taken[1:])


def bench_pages(bench: Bench) -> Iterator[Result]:
    """Pages of 100 rows that nobody asked for before: ours, the plain way's, Datasette's, on one SQLite file."""
    url = bench.imported("sqlite", bench.args.rows)
    pages = pages_of(url)
    with bench.client(url) as client:
        ours = page_rate(client, [f"/v1/trade/flows?{page}" for page in pages], bench.args.seconds)
    port, folder = free_port(), bench.place.folder
    orm = [sys.executable, "-m", "uvicorn", "orm_app:app", "--app-dir", str(PEERS), "--port", str(port)]
    env = {"BENCH_DATABASE_URL": str(url)}
    with serving([*orm, "--log-level", "warning"], port, "/flows?limit=1", env, folder) as client:
        peer = page_rate(client, [f"/flows?{page}" for page in pages], bench.args.seconds)
    yield at_least("new pages a second", 1 / ours, 1 / peer, 5, f"FastAPI + ORM {peer:.0f} / s", f"{ours:.0f} / s")
    if not (datasette := peer_program("datasette")):
        return
    table = f"/{Path(url.database or '').stem}/trade_flows.json"
    tail = "_size=100&_shape=objects&_nocount=1&_nofacet=1&_nosuggest=1"
    command = [datasette, "serve", str(url.database), "--port", str(port), "--setting", "default_cache_ttl", "0"]
    with serving(command, port, "/-/versions.json", {}, folder) as client:
        peer = page_rate(client, [f"{table}?{page}&{tail}" for page in pages], bench.args.seconds)
    yield at_least("new pages a second", 1 / ours, 1 / peer, 6, f"Datasette {peer:.0f} / s", f"{ours:.0f} / s")


def bench_exports(bench: Bench) -> Iterator[Result]:
    """Whole tables over HTTP, the first time, against what writes the same rows to a file; and the memory it takes."""
    folder, rows = bench.place.folder, bench.args.rows
    for engine in bench.args.engines:
        url = bench.imported(engine, rows)
        work = f"CSV of {rows:,}, {ENGINES[engine]}"
        with bench.client(url) as client:
            ours = download(client.port, CSV, folder / "ours.csv")
            parquet = download(client.port, PARQUET, folder / "ours.parquet")
        if engine == "postgres":
            peer = copy_out(url, folder / "peer.csv")
            yield at_most(work, ours, peer, 2, f"COPY TO {peer:.1f} s", f"{ours:.1f} s")
            continue
        if peer := sqlite_csv(url, folder / "peer.csv"):
            yield at_most(work, ours, peer, 2.5, f"sqlite3 -csv {peer:.1f} s", f"{ours:.1f} s")
        if peer := datasette_stream(url, folder):
            yield at_least(work, ours, peer, 8, f"Datasette _stream {peer:.1f} s", f"{ours:.1f} s")
        if peer := duckdb_parquet(folder / "ours.parquet", folder):
            shown = f"{parquet:.1f} s"
            yield at_most(f"Parquet of {rows:,}, SQLite", parquet, peer, 5, f"DuckDB {peer:.1f} s", shown)
    yield from bench_export_memory(bench)


def bench_export_memory(bench: Bench) -> Iterator[Result]:
    """Peak memory of the service after one export, large against a tenth of it."""
    for name, path in (("CSV", CSV), ("Parquet", PARQUET)):
        taken = []
        for rows in (bench.args.rows // 10, bench.args.rows):
            with bench.client(bench.imported("sqlite", rows)) as client:
                download(client.port, path, bench.place.folder / "memory")
                taken.append(high_water(client.process or 0))
        small, large = taken
        against = f"{bench.args.rows // 10:,}: {small:.0f} MiB"
        yield Result(f"memory of {name}", f"{large:.0f} MiB", against, None, "< +16 MiB", large - small < 16)


def bench_repeated(bench: Bench) -> Iterator[Result]:
    """A page that was asked before, against a bare application that gives the same bytes."""
    for kind, ours, peer, ratio in repeated(bench.place, SMALL, bench.args.seconds, bench.args.repeat):
        if kind == "page":
            against = f"the JSON it shows {peer:,.0f} / s"
            yield Result("explorer page again", f"{ours:,.0f} / s", against, ratio, "at least 0.5", ratio >= 0.5)
            continue
        against = f"bare uvicorn {peer:,.0f} / s"
        yield Result(f"page again, {kind}", f"{ours:,.0f} / s", against, ratio, f"at least {GOAL}", ratio >= GOAL)


def bench_start(bench: Bench) -> Iterator[Result]:
    """From the command to its first answer, on a seeded database, against an empty application."""
    url, times = bench.place.database("sqlite"), []
    run([bench.place.khorgos, "seed"], environment(url))
    for _ in range(bench.args.repeat):
        began = time.perf_counter()
        with bench.client(url, "/v1/trade/flows?country=kazakhstan&year=2024"):
            ours = time.perf_counter() - began
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(PEERS), "empty:app", "--port", str(port)]
        began = time.perf_counter()
        with serving(command, port, "/", dict(os.environ), bench.place.folder):
            times.append((ours, time.perf_counter() - began))
    ours, peer = (median(one) for one in zip(*times, strict=True))
    work, against = "start to first answer", f"uvicorn, empty FastAPI {peer:.2f} s"
    yield Result(work, f"{ours:.2f} s", against, ours / peer, "at most 1 s more", ours - peer <= 1)


def pages_of(url: URL) -> list[str]:
    """Give different filters that leave at least a page, in no order. Raises Failed when there is none."""
    pages = []
    with connected(url) as connection:
        for names in PAGE_FILTERS:
            for *values, _ in connection.exec_driver_sql(PAGES.format(columns=", ".join(names), page=PAGE)):
                pages.append("&".join(f"{name}={value}" for name, value in zip(names, values, strict=True)))
    random.Random(1).shuffle(pages)
    if not pages:
        raise Failed(f"no filter leaves {PAGE} rows: take more --rows")
    return pages


def at_most(work: str, ours: float, peer: float, goal: float, against: str, shown: str) -> Result:
    """Compare times of which ours may be so many times the peer's."""
    return Result(work, shown, against, ours / peer, f"at most {goal:g}", ours / peer <= goal)


def at_least(work: str, ours: float, peer: float, goal: float, against: str, shown: str) -> Result:
    """Compare times of which the peer's shall be so many times ours."""
    return Result(work, shown, against, peer / ours, f"at least {goal:g}", peer / ours >= goal)


WORKS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "import": bench_import,
    "reimport": bench_reimport,
    "latency": bench_latency,
    "totals": bench_totals,
    "pages": bench_pages,
    "exports": bench_exports,
    "repeated": bench_repeated,
    "start": bench_start,
    "memory": bench_memory,
}


def show(results: list[Result]) -> None:
    """Print the table."""
    lines = [("work", "ours", "against", "ratio", "goal", "reached")]
    for one in results:
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        reached = "" if one.reached is None else "yes" if one.reached else "no"
        lines.append((one.work, one.ours, one.peer, ratio, one.goal, reached))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare Khorgos with peers; ratios in one run.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-large", type=int, default=10_000_000)
    parser.add_argument("--only", default=",".join(WORKS), help=f"some of {','.join(WORKS)}")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"some of {','.join(ENGINES)}")
    parser.add_argument("--postgres", help="URL of a server on which databases can be created; else an embedded one")
    parser.add_argument("--repeat", type=int, default=3, help="imports of each kind, for a median")
    parser.add_argument("--requests", type=int, default=300, help="requests of each kind, for a median")
    parser.add_argument("--seconds", type=float, default=5.0, help="time of each rate")
    parser.add_argument("--folder", help="folder for files and databases; 10 million rows need some 20 GB")
    parser.add_argument("--khorgos", default=str(Path(sys.executable).parent / "khorgos"), help="program to measure")
    args = parser.parse_args()
    args.only, args.engines = args.only.split(","), args.engines.split(",")
    for given, known in ((args.only, WORKS), (args.engines, ENGINES)):
        if wrong := [one for one in given if one not in known]:
            parser.error(f"{wrong[0]!r} is none of {', '.join(known)}")
    return args


def main() -> None:
    """Run what is asked and print the table; what fails is a row that says so."""
    args = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that servers and files go
    place = Workplace(args.khorgos, args.folder, args.postgres)
    bench = Bench(args, place)
    results: list[Result] = []
    try:
        for name in args.only:
            print(f"{time.strftime('%H:%M:%S')} {name} ...", file=sys.stderr, flush=True)
            try:
                results.extend(WORKS[name](bench))
            except Failed as error:
                results.append(Result(name, "failed", str(error)[:100]))
    finally:
        place.close()
    print(f"{args.rows:,} and {args.rows_large:,} rows, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    show(results)


if __name__ == "__main__":
    main()
