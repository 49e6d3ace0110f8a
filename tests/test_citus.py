"""A real Citus cluster: migrate, seed, import a million rows, every answer as plain PostgreSQL gives it, lose a worker.

Runs where KHORGOS_TEST_CITUS_URL names the coordinator: its nodes are on this machine, their owner may be a superuser,
and the database of the URL knows the workers. docs/scaling.md says how such a cluster is made.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, SEEDS, Workshop
from direct import Answer, Direct, direct
from sqlalchemy import URL, create_engine, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from test_examples import OPTIONAL, filled, required, spelled
from test_explorer import PAGES
from test_http import FLOWS, OPERATIONS, within
from trade_files import comtrade_text, run_command, state, take, written

from app import citus, fault, schema
from app.db import Database, copy_in, read_url
from app.errors import DatabaseUnavailable, InvalidSetting
from app.ingest.seeds import seed
from app.ingest.withdraw import withdraw
from app.models import Base, Release
from app.settings import Settings
from app.sqlstates import reason, refuses

GIVEN = os.environ.get("KHORGOS_TEST_CITUS_URL", "")
ROOT = Path(__file__).parent.parent
MILLION = int(os.environ.get("KHORGOS_TEST_CITUS_ROWS", "1000000"))
pytestmark = [pytest.mark.citus, pytest.mark.skipif(not GIVEN, reason="no cluster: KHORGOS_TEST_CITUS_URL is not set")]


@dataclass(frozen=True)
class Node:
    """A server of the cluster."""

    url: URL

    def of(self, database: str) -> URL:
        """Give the URL of a database on it."""
        return self.url.set(database=database)

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement outside a transaction."""
        engine = create_engine(self.of(database), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            found = connection.execute(text(statement))
            return list(found.all()) if found.returns_rows else []

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.url.host}:{self.url.port}"

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the server as it is running, and start it again at the end."""
        folder = Path(self.run("SHOW data_directory")[0][0])
        programs = Path(self.run("SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0])
        started = (folder / "postmaster.opts").read_text().replace('"', "").split()[1:]
        pid, owner = int((folder / "postmaster.pid").read_text().split()[0]), folder.stat()
        try:
            os.kill(pid, signal.SIGKILL)
            assert within(20, lambda: not Path(f"/proc/{pid}").exists())
            assert within(20, lambda: not is_open(self.url))
            yield
        finally:
            line = [programs / "pg_ctl", "start", "-w", "-D", folder, "-l", folder / "log", "-o", " ".join(started[2:])]
            (folder / "postmaster.pid").unlink(missing_ok=True)
            who = {"user": owner.st_uid, "group": owner.st_gid} if os.getuid() == 0 else {}
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL, cwd="/", **who)


def is_open(url: URL) -> bool:
    """Whether a server takes connections."""
    try:
        Node(url).run("SELECT 1")
    except DBAPIError:
        return False
    return True


class Cluster:
    """A coordinator with workers, on which databases are made."""

    def __init__(self, url: str) -> None:
        given = read_url(url)
        self.coordinator = Node(given)
        workers = self.coordinator.run(str(citus.NODES), given.database or "postgres")
        self.workers = [Node(given.set(host=host, port=port)) for host, port in workers]
        self._numbers = count(1)

    def make(self, is_local: bool = False, **settings: Any) -> Database:
        """Give an empty database; a local one has no extension yet."""
        name = f"khorgos_citus_{os.getpid()}_{next(self._numbers)}"
        for node in (self.coordinator, *self.workers):
            node.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            node.run(f"CREATE DATABASE {name}")
        if not is_local:
            self.join(name)
        url = self.coordinator.of(name).render_as_string(hide_password=False)
        return Database(Settings(database_url=url, **settings))

    def join(self, name: str) -> None:
        """Make a database one of the cluster's."""
        for node in (self.coordinator, *self.workers):
            node.run("CREATE EXTENSION citus", name)
        url = self.coordinator.url
        self.coordinator.run(f"SELECT citus_set_coordinator_host('{url.host}', {url.port})", name)
        for one in self.workers:
            self.coordinator.run(f"SELECT citus_add_node('{one.url.host}', {one.url.port})", name)

    def remove(self, database: Database) -> None:
        """Close a database and drop it on every node."""
        database.close()
        for node in (self.coordinator, *self.workers):
            node.run(f"DROP DATABASE IF EXISTS {database.url.database} WITH (FORCE)")


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """Give the cluster."""
    found = Cluster(GIVEN)
    assert len(found.workers) > 1, "the database of KHORGOS_TEST_CITUS_URL knows no two workers"
    return found


@pytest.fixture
def make(cluster: Cluster) -> Iterator[Callable[..., Database]]:
    """Make databases on the cluster."""
    made: list[Database] = []

    def one(**options: Any) -> Database:
        made.append(cluster.make(**options))
        return made[-1]

    yield one
    for database in made:
        cluster.remove(database)


def standing(database: Database) -> dict[str, str | None]:
    """Give the tables that are distributed, those that are spread with the column."""
    with database.read() as connection:
        return {row.name: row.by for row in connection.execute(citus.KNOWN)}


WHOLE: dict[str, str | None] = {name: None for name in Base.metadata.tables if name != citus.FACTS}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give a file of a million invented rows, and the same with revisions."""
    folder = tmp_path_factory.mktemp("files")
    line = [sys.executable, ROOT / "benchmarks" / "generate.py", "comtrade"]
    for name, options in (("first", ()), ("revised", ("--revise-share", "0.1"))):
        subprocess.run([*line, folder / f"{name}.csv", "--rows", str(MILLION), *options], check=True)
    return [folder / "first.csv", folder / "revised.csv"]


def fill(database: Database, files: Sequence[Path]) -> None:
    """Publish seeds, imports and a withdrawal."""
    schema.upgrade(database)
    seed(database, SEEDS, now=NOW)
    for path in files:
        take(database, path)
    withdraw(database, state(database)[0])


@pytest.fixture(scope="module")
def both(cluster: Cluster, workshop: Workshop, files: list[Path]) -> Iterator[dict[str, Direct]]:
    """Give the service over the cluster and over plain PostgreSQL, with equal data."""
    spread, plain = cluster.make(), workshop.make("postgres")
    for database in (spread, plain):
        fill(database, files)
        with database.writer.begin() as connection:
            connection.execute(update(Release).values(published_at=NOW))
    with direct(spread, statement_timeout=120) as one, direct(plain, statement_timeout=120) as other:
        yield {"citus": one, "postgres": other}
    cluster.remove(spread)
    workshop.remove(plain)


def test_each_table_stands_as_it_is_to_be_and_upgrading_again_changes_nothing(make: Callable[..., Database]) -> None:
    database = make()
    schema.upgrade(database)
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}
    with database.read() as connection:
        shards = text(
            "SELECT count(*), count(DISTINCT nodeport) FROM citus_shards WHERE citus_table_type = 'distributed'"
        )
        assert connection.execute(shards).one() == (32, 2)
    schema.upgrade(database)
    assert schema.distribute(database) == []
    schema.downgrade(database, "base")
    assert standing(database) == {}
    schema.upgrade(database)
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}


def test_an_older_schema_that_is_spread_is_upgraded(make: Callable[..., Database]) -> None:
    database = make()
    schema.upgrade(database, "0001")
    assert standing(database)[citus.FACTS] == "reporter"
    schema.upgrade(database)
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}
    assert seed(database, SEEDS, now=NOW)
    schema.downgrade(database, "0001")
    schema.upgrade(database)
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}


def test_a_database_that_joins_a_cluster_is_spread_with_its_data(
    make: Callable[..., Database], cluster: Cluster
) -> None:
    database = make(is_local=True, citus_shards=4)
    schema.upgrade(database)
    seed(database, SEEDS, now=NOW)
    before = state(database)
    assert run_command(database, "db", "distribute", "--dry-run")[1].startswith("nothing to do")
    cluster.join(database.url.database or "")
    told = schema.distribute(database, dry_run=True)
    assert len(told) == 2 * len(Base.metadata.tables)
    assert "create_distributed_table('trade_flows', 'reporter', shard_count => 4" in told[-2]
    assert standing(database) == {}
    assert schema.distribute(database) == told
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}
    assert state(database) == before
    assert run_command(database, "db", "distribute") == (
        0,
        "nothing to do: no table is local, or the database is not Citus\n",
        "",
    )


def test_facts_are_spread_by_the_column_that_is_set(make: Callable[..., Database], tmp_path: Path) -> None:
    database = make(citus_column="product")
    schema.upgrade(database)
    assert standing(database)[citus.FACTS] == "product"
    seed(database, SEEDS, now=NOW)
    path = written(tmp_path / "few.csv", comtrade_text({"cmdCode": "010121"}, {"cmdCode": "010129"}))
    assert take(database, path).added == 2
    with direct(database) as asked:
        assert asked.ask(f"{FLOWS}?source=un-comtrade").json()["meta"]["total"] == 2
    other = Database(Settings(database_url=database.settings.database_url, citus_column="reporter"))
    with pytest.raises(InvalidSetting, match="spread by product"):
        schema.distribute(other)
    other.close()


def requests() -> Iterator[str]:
    """Give requests of every path, parameter and form of an answer."""
    for path in OPERATIONS:
        query = "&".join(f"{name}={value}" for name, value in required(path).items())
        yield f"{filled(path)}?{query}" if query else filled(path)
    for path, parameter in OPTIONAL:
        query = {**required(path), parameter["name"]: spelled(parameter["example"])}
        yield f"{filled(path)}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
    yield from PAGES
    for filters, sort in product(FILTERS, SORTS):
        yield f"{FLOWS}?source=un-comtrade&limit=300&sort={sort}&{filters}"
    for filters, group in product(FILTERS, GROUPS):
        yield f"/v1/trade/totals?source=un-comtrade&flow=import&group_by={group}&{filters}"
    for filters, form in product(FILTERS[:4], ("csv", "ndjson", "json-stat", "sdmx-csv", "xlsx", "parquet")):
        yield f"{FLOWS}?source=un-comtrade&year=2020&{filters}&format={form}"
    yield from (f"/v1/trade/coverage?{filters}" for filters in FILTERS[:4])
    yield from SDMX


FILTERS = (
    *("reporter=KAZ", "reporter=KAZ,UZB&partner=CHN", "product=85", "partner=CHN&product=TOTAL", "year=2020"),
    *("year_from=2018&year_to=2019&partner=W00", "product=TOTAL&count=true", "release=4"),
)
SORTS = ("-value_usd", "value_usd", "year,product", "-period,reporter", "partner,-net_weight_kg")
GROUPS = ("reporter", "partner", "year", "product", "reporter,year", "partner,year,product")
SDMX = (
    "/sdmx/2.1/data/TRADE/A.KAZ.CHN.T.....",
    "/sdmx/2.1/data/TRADE/A.KAZ.CHN......?startPeriod=2020&endPeriod=2020&format=csv",
    "/sdmx/2.1/codelist/KHORGOS/all",
    "/sdmx/2.1/availableconstraint/TRADE/A.KAZ.......",
)


def test_every_answer_is_that_of_plain_postgresql(both: dict[str, Direct], record_property: Any) -> None:
    asked, good, different = sorted(set(requests())), 0, []
    for target in asked:
        ours, theirs = both["citus"].ask(target), both["postgres"].ask(target)
        good += ours.status == 200
        if (ours.status, ours.said) != (theirs.status, theirs.said):
            different.append((target, ours.status, ours.body[:300], theirs.status, theirs.body[:300]))
    assert different == []
    assert good > 0.75 * len(asked)
    record_property("figure", f"{len(asked)} requests over {MILLION:,} imported rows, {good} of them 200, 0 different")


def test_pages_to_the_end_are_those_of_plain_postgresql(both: dict[str, Direct]) -> None:
    target = f"{FLOWS}?source=un-comtrade&reporter=KAZ&limit=100"
    pages = 0
    while target:
        ours, theirs = (both[name].ask(target) for name in ("citus", "postgres"))
        assert ours.body == theirs.body
        target, pages = ours.json()["links"]["next"], pages + 1
    assert pages > 2


def told(answer: Answer) -> tuple[int, str | None, bool]:
    """Give the status of an answer, the code of its problem, and whether it says when to come back."""
    return answer.status, answer.json().get("code"), any(name.lower() == "retry-after" for name, _ in answer.headers)


def test_a_dead_worker_fails_only_what_needs_it_and_comes_back(
    both: dict[str, Direct], cluster: Cluster, tmp_path: Path
) -> None:
    asked = both["citus"]
    database = asked.app.state.service.database
    worker, path = cluster.workers[1], written(tmp_path / "few.csv", comtrade_text({"cmdCode": "010121"}))
    lives, dies = (reporter_on(database, one) for one in cluster.workers)
    before = state(database)
    assert asked.ask("/readyz").json()["status"] == "ready"
    with worker.killed():
        assert asked.ask("/readyz").json() | {"release": 0} == {
            "status": "degraded",
            "release": 0,
            "lost": [worker.name],
        }
        assert asked.ask("/v1/countries?limit=1").status == 200
        assert asked.ask("/v1/projects").status == 200
        assert asked.ask(f"{FLOWS}?reporter={lives}&year=2020&source=un-comtrade&limit=7").status == 200
        assert told(asked.ask(f"{FLOWS}?reporter={dies}&year=2020&source=un-comtrade&limit=7")) == (503, "KHG503", True)
        assert told(asked.ask(f"{FLOWS}?year=2020&source=un-comtrade&limit=7")) == (503, "KHG503", True)
        with pytest.raises(DatabaseUnavailable):
            take(database, path)
    assert within(30, lambda: asked.ask("/readyz").json()["status"] == "ready")
    assert asked.ask(f"{FLOWS}?reporter={dies}&year=2020&source=un-comtrade&limit=7").status == 200
    assert state(database) == before
    assert take(database, path).release


def reporter_on(database: Database, node: Node) -> str:
    """Give a reporter whose flows lie on a node."""
    with database.read() as connection:
        reporters = connection.execute(text("SELECT DISTINCT reporter FROM trade_flows WHERE year = 2020")).scalars()
        place = text(
            "SELECT nodeport FROM citus_shards WHERE shardid = "
            "get_shard_id_for_distribution_column('trade_flows', CAST(:reporter AS text))"
        )
        return next(
            one for one in sorted(reporters) if connection.execute(place, {"reporter": one}).scalar() == node.url.port
        )


def test_a_killed_import_leaves_nothing_that_hinders_the_next(
    make: Callable[..., Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make()
    schema.upgrade(database)
    seed(database, SEEDS, now=NOW)
    path = written(tmp_path / "few.csv", comtrade_text({"cmdCode": "010121"}, {"cmdCode": "010129"}))
    monkeypatch.setenv("KHORGOS_FAULT", "import.settled=exit")
    assert run_command(database, "import", "comtrade", path)[0] == fault.EXIT
    monkeypatch.delenv("KHORGOS_FAULT")
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM staged_flows")).scalar() == 2
    assert take(database, path).added == 2
    with database.read() as connection:
        assert connection.execute(text("SELECT to_regclass('staged_flows')")).scalar() is None


def test_what_the_cluster_refuses_is_told_as_on_one_server(both: dict[str, Direct]) -> None:
    database = both["citus"].app.state.service.database
    with pytest.raises(DBAPIError) as refused, database.writer.begin() as connection:
        rows = connection.connection.driver_connection.cursor()
        with rows.copy("COPY (SELECT * FROM trade_flows WHERE year = 2020 LIMIT 3) TO STDOUT") as copy:
            twice = b"".join(map(bytes, copy))
        copy_in(connection, "COPY trade_flows FROM STDIN", twice)
    assert refuses(refused.value)
    assert reason(refused.value) == "the database refuses it: pk_trade_flows"


def test_a_backup_of_a_cluster_is_restored_to_it_spread(make: Callable[..., Database], tmp_path: Path) -> None:
    database = make()
    schema.upgrade(database)
    seed(database, SEEDS, now=NOW)
    take(database, written(tmp_path / "few.csv", comtrade_text({"cmdCode": "010121"}, {"cmdCode": "010129"})))
    before = state(database)
    assert run_command(database, "backup", tmp_path / "one.dump")[0] == 0
    withdraw(database, before[0])
    status, said, errors = run_command(database, "restore", tmp_path / "one.dump", "--force")
    assert (status, errors) == (0, ""), said
    assert standing(database) == {**WHOLE, citus.FACTS: "reporter"}
    assert state(database) == before
