"""Whatever breaks an import, and whenever: there is the old release or the new one, and running it again ends it."""

import hashlib
import itertools
import os
import random
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx2
import pytest
from conftest import TORTURE, Workshop, times
from nursery import Done, Nursery
from proxy import CLOSE, HOLE, RESET, Proxy
from sqlalchemy import and_, func, inspect, select
from test_http import served
from tiny import TINY, write
from trade_files import Row, comtrade_text, everything, settled, take, written

from app import __version__, schema
from app.db import Database
from app.models import Base, Release, TradeFlow

ROOT = Path(__file__).parent.parent
COMTRADE = "un-comtrade"
ROWS = 600
"""Rows of the file that is imported: a third as they were, a third revised, a third new."""
BLOCK = 70_000
"""Bytes of a block, so that the file has three."""
POINTS = {
    name
    for path in (*(ROOT / "app").rglob("*.py"), ROOT / "migrations" / "env.py")
    for name in re.findall(r'fault\.point\("([\w.]+)"\)', path.read_text("utf-8"))
}
"""Every point of the code at which a test can make it fail."""
SWEPT_ELSEWHERE = ("migrate.", "backup.", "restore.")
"""Points of what is no publication: below, and in the tests of backups."""
SEEDED = ("seeds.read", "seeds.folder", "seeds.folder:2", "publish.ended", "publish.ended:9", "publish.ended:25")
SEEDED += ("publish.ended:40", "seeds.commit", "seeds.committed")
AFTER_COMMIT = {"import.committed", "withdraw.committed", "seeds.committed", "migrate.committed"}
WEE = """\
sources:
  - slug: wee
    kind: article
    title: A wee article
    publisher: Nobody
    language: en

experts:
  - slug: bob
    name: Bob Birne
    country: KAZ
    role: expert
"""
NUMBERS = (
    "WITH RECURSIVE numbers(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM numbers WHERE x < 200000000) "
    "SELECT count(*) FROM numbers"
)
"""A statement of a minute or more, on either engine."""


def rows(count: int, revised: range) -> list[Row]:
    """Give rows whose keys differ, with other values in a range of them."""
    return [
        {"cmdCode": f"{n:06}", "primaryValue": str(1000 + n + (5_000_000 if n in revised else 0)), "fobvalue": ""}
        for n in range(1, count + 1)
    ]


CHANGED = rows(ROWS, range(ROWS // 3, 2 * ROWS // 3))


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Give the warm process that runs commands."""
    warm = Nursery(tmp_path_factory.mktemp("nursery"))
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def template(engine: str, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Give a seeded database with one import, to copy."""
    database = workshop.copy(engine)
    path = tmp_path_factory.mktemp("first") / "first.csv"
    take(database, written(path, comtrade_text(*rows(2 * ROWS // 3, range(0)))))
    database.close()
    return database


@dataclass(frozen=True)
class World:
    """A database, the file that is to be imported, and what it is before and after."""

    nursery: Nursery
    database: Database
    path: Path
    old: str
    new: str
    number: int

    def imported(self, url: str | None = None, **order: Any) -> Done:
        """Run the import."""
        environment = {"KHORGOS_DATABASE_URL": url or self.database.settings.database_url}
        environment |= order.pop("environment", {})
        arguments = ("import", "comtrade", self.path, "--max-bad", "0.01", "--report", self.path.with_name("bad.csv"))
        return self.nursery.run(*arguments, environment=environment, block=BLOCK, **order)

    def judge(self, done: Done) -> bool:
        """Hold what is there to old or new, and say whether it is new; what failed says so in one line."""
        if done.status > 0 and done.status != 9:
            assert_one_line(done)
        is_new = self.glance()
        assert done.status != 0 or is_new
        return is_new

    def glance(self) -> bool:
        """Whether the new release is there, by its sums; anything between it and the old one is a failure."""
        settled(self.database)
        told = sums(self.database)
        assert told in (self.old, self.new), f"{told} is neither {self.old} nor {self.new}"
        return told == self.new

    def completes(self) -> None:
        """Prove that running the import again ends it as if nothing had been, and take it back."""
        done = self.imported()
        assert (done.status, done.errors) == (0, ""), done
        assert sums(self.database) == self.new
        assert content(self.database) == NEW[self.database.is_sqlite]
        assert_whole(self.database)
        self.undo()

    def nothing_to_do(self) -> None:
        """Prove that what was published is found so, and take it back."""
        done = self.imported()
        assert (done.status, done.errors) == (0, "")
        assert done.out == f"nothing to do: release {self.number} is of these very files\n"
        self.undo()

    def undo(self) -> None:
        """Take the release away by hand, which no command does."""
        undo(self.database, self.number)
        assert sums(self.database) == self.old


NEW: dict[bool, str] = {}
"""Hash of the whole content that an undisturbed import makes, by whether it is SQLite's."""


@pytest.fixture
def world(engine: str, nursery: Nursery, workshop: Workshop, template: Database, tmp_path: Path) -> Iterator[World]:
    """Give a copy of the database with a file to import, which revises rows and adds some."""
    database = workshop.make(engine, template)
    path = written(tmp_path / "second.csv", comtrade_text(*CHANGED))
    old = sums(database)
    made = World(nursery, database, path, old, "", 0)
    done = made.imported()
    assert (done.status, done.errors) == (0, ""), done
    NEW.setdefault(database.is_sqlite, content(database))
    with database.read() as connection:
        number = connection.execute(select(func.max(Release.id))).scalar_one()
    made = World(nursery, database, path, old, sums(database), number)
    made.undo()
    yield made
    workshop.remove(database)


def sums(database: Database) -> str:
    """Give what tells the states of the flows apart, by one query: releases, rows, values, versions."""
    said = select(
        func.count(), func.sum(TradeFlow.value_usd), func.sum(TradeFlow.release), func.sum(TradeFlow.superseded_by)
    )
    with database.read() as connection:
        releases = connection.execute(select(func.count(), func.sum(Release.rows_added))).one()
        flows = connection.execute(said.where(TradeFlow.source == COMTRADE)).one()
    return str([int(one or 0) for one in (*releases, *flows)])


def content(database: Database) -> str:
    """Give a hash of every row of every table; the hour of a publication is left out."""
    found = hashlib.sha256()
    with database.read() as connection:
        for name, table in sorted(Base.metadata.tables.items()):
            columns = [column for column in table.columns if column.name != "published_at"]
            told = connection.execute(select(*columns))
            for line in sorted(repr(tuple(row)) for row in told):
                found.update(f"{name} {line}\n".encode())
    return found.hexdigest()


def assert_whole(database: Database) -> None:
    """Hold the file and its constraints together, and the releases to their control totals."""
    flows, other = TradeFlow.__table__, TradeFlow.__table__.alias("other")
    same = and_(*(flows.c[name] == other.c[name] for name in TradeFlow.key))
    twice = select(func.count()).select_from(flows).join(other, same)
    with database.read() as connection:
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        twice = twice.where(
            flows.c.superseded_by.is_(None), other.c.superseded_by.is_(None), flows.c.release < other.c.release
        )
        assert connection.execute(twice).scalar() == 0
        known = select(Release.id)
        lost = select(func.count()).select_from(flows).where(flows.c.release.not_in(known))
        assert connection.execute(lost).scalar() == 0
        told = select(Release.id, Release.rows_added + Release.rows_changed).where(Release.source == COMTRADE)
        for number, count in connection.execute(told):
            ours = select(func.count()).select_from(flows).where(flows.c.release == number)
            assert connection.execute(ours).scalar() in (count, count - 2)  # the source and its words are two
    if not database.is_sqlite:
        assert_indexes(database)


def assert_indexes(database: Database) -> None:
    """Hold PostgreSQL's indexes to their tables, where the server has the means."""
    here = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'"
    every = (
        "SELECT count(bt_index_check(c.oid, true)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE a.amname = 'btree' AND n.nspname = 'public' AND i.indisvalid"
    )
    with database.writer.begin() as connection:
        if connection.exec_driver_sql(here).scalar():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS amcheck")
            assert connection.exec_driver_sql(every).scalar()


def undo(database: Database, number: int) -> None:
    """Take the newest release away by hand."""
    with database.writer.begin() as connection:
        for name in sorted(set(Base.metadata.tables) - {"releases"}):
            connection.exec_driver_sql(f"DELETE FROM {name} WHERE release = {number}")
            connection.exec_driver_sql(f"UPDATE {name} SET superseded_by = NULL WHERE superseded_by = {number}")
        connection.exec_driver_sql(f"DELETE FROM releases WHERE id = {number}")


def assert_one_line(done: Done) -> None:
    """Hold a command that failed to one clear line."""
    assert done.errors.count("\n") == 1 and "Traceback" not in done.errors, done.errors
    assert done.status == 1 or done.status > 128, done


def sweep(run: Callable[[str], Done], hit: set[str], at: Iterable[str] = ()) -> Iterator[tuple[Done, str]]:
    """Fail at the first point that is passed, the second, the third, by error and by exit, until all ends well.

    In the short form of what has many points, at those named in `at` alone, and then not at all.
    """
    every = (f"*:{nth}" for nth in itertools.count(1))
    for fault in every if TORTURE or not at else [*at, ""]:
        failed = run(fault)
        if failed.status == 0:
            assert fault not in (*at, "*:1"), fault
            return
        found = re.search(r"KHORGOS_FAULT asks for a failure here, at ([\w.]+)", failed.errors)
        assert found, failed
        assert_one_line(failed)
        hit.add(found[1])
        yield failed, found[1]
        died = run(f"{fault}=exit")
        assert died.status == 9, died
        yield died, found[1]


@pytest.mark.torture
def test_failing_at_every_point_leaves_the_old_release_or_the_new(
    world: World, tmp_path: Path, record_property: Any
) -> None:
    hit: set[str] = set()
    runs = 0
    for done, name in sweep(lambda fault: world.imported(environment={"KHORGOS_FAULT": fault}), hit):
        runs += 1
        assert world.judge(done) == (name in AFTER_COMMIT), name
        if name in AFTER_COMMIT:
            world.nothing_to_do()
    assert world.glance()
    assert content(world.database) == NEW[world.database.is_sqlite]
    assert_whole(world.database)
    runs += fail_at_the_report(world, hit)
    runs += sweep_withdrawal(world, hit)
    runs += sweep_seeds(world, tmp_path / "seeds", hit)
    runs += sweep_export(world, tmp_path / "out", hit)
    record_property("figure", f"{runs} failures and exits at {len(hit)} points, 0 violations")
    assert {name for name in POINTS if not name.startswith(SWEPT_ELSEWHERE)} == hit


def fail_at_the_report(world: World, hit: set[str]) -> int:
    """Fail where bad rows are told."""
    before = content(world.database)
    path = written(world.path.with_name("bad-row.csv"), comtrade_text(*CHANGED, {"flowCode": "Q"}))
    report = path.with_name("bad.csv")
    run = command(world, "import", "comtrade", path, "--max-bad", "0.01", "--report", report)
    failed, died = run("import.report"), run("import.report=exit")
    assert_one_line(failed)
    assert (died.status, content(world.database)) == (9, before)
    hit.add("import.report")
    return 2


def command(world: World, *arguments: str | Path) -> Callable[[str], Done]:
    """Give what runs a command with a fault."""
    url = world.database.settings.database_url

    def run(fault: str) -> Done:
        environment = {"KHORGOS_DATABASE_URL": url, "KHORGOS_FAULT": fault}
        return world.nursery.run(*arguments, environment=environment)

    return run


def sweep_withdrawal(world: World, hit: set[str]) -> int:
    """Fail a withdrawal everywhere: the import holds, or what it revised holds again."""
    before, runs = (sums(world.database), everything(world.database)), 0
    for _, name in sweep(command(world, "withdraw", str(world.number)), hit):
        runs += 1
        settled(world.database)
        if name in AFTER_COMMIT:
            undo(world.database, world.number + 1)
        assert (sums(world.database), everything(world.database)) == before
    assert_whole(world.database)
    return runs


def sweep_seeds(world: World, folder: Path, hit: set[str]) -> int:
    """Fail the publication of seeds everywhere: all folders are there, or none."""
    folder.mkdir()
    write(folder / "one", TINY)
    write(folder / "two", WEE)
    before, rows_before, runs, newest = content(world.database), everything(world.database), 0, world.number + 1
    for _, name in sweep(command(world, "seed", folder), hit, SEEDED):
        runs += 1
        settled(world.database)
        if name in AFTER_COMMIT:
            for number in (newest + 2, newest + 1):
                undo(world.database, number)
        assert everything(world.database) == rows_before
    undo(world.database, newest + 2)
    undo(world.database, newest + 1)
    assert content(world.database) == before
    done = command(world, "seed", folder)("")
    assert (done.status, done.errors) == (0, "")
    assert everything(world.database) != rows_before
    assert_whole(world.database)
    return runs


def sweep_export(world: World, folder: Path, hit: set[str]) -> int:
    """Fail the writing of files everywhere: what has its name is whole."""
    runs = 0
    whole: dict[str, bytes] = {}
    for done, _ in sweep(command(world, "export", folder, "countries"), hit):
        runs += 1
        seen = {path.name: path.read_bytes() for path in folder.glob("[!.]*")} if folder.exists() else {}
        for name, bytes_seen in seen.items():
            assert whole.setdefault(name, bytes_seen) == bytes_seen
        if done.status != 9:
            assert not list(folder.glob(".*"))
    assert whole.keys() == {path.name for path in folder.glob("[!.]*")}
    return runs


@pytest.mark.torture
@pytest.mark.parametrize("how", ["full", "exit", "lost"])
def test_breaking_every_statement_leaves_the_old_release_or_the_new(
    world: World, how: str, record_property: Any
) -> None:
    if how == "lost" and world.database.is_sqlite:
        pytest.skip("SQLite is a file: there is no server that could end the session")
    published = 0
    for nth in itertools.count(1):
        done = world.imported(statement=(nth, how))
        is_new = world.judge(done)
        if done.status == 0 and not done.errors:
            break
        assert done.status in ({9} if how == "exit" else {0, 1}), done
        assert done.status != 0 or "published, but ANALYZE" in done.errors
        if is_new:
            published += 1
            world.nothing_to_do()
    assert nth > 20
    assert content(world.database) == NEW[world.database.is_sqlite]
    assert_whole(world.database)
    record_property("figure", f"{nth - 1} statements, {published} of them after the commit, 0 violations")


@pytest.mark.torture
def test_an_import_killed_at_random_leaves_the_old_release_or_the_new(
    world: World, engine: str, record_property: Any
) -> None:
    chance, found, began = random.Random(len(engine)), Counter[str](), time.monotonic()
    whole = sorted(undisturbed(world) for _ in range(3))[1]
    kills = times({"sqlite": 200, "postgres": 40}[engine], 1000)
    for nth in range(kills):
        done = world.imported(after=chance.uniform(whole * 0.6 * (nth % 2), whole * 1.1))
        assert done.status in (0, -9), done
        is_new = world.judge(done)
        found[f"{'ended' if done.status == 0 else 'killed'}, {'new' if is_new else 'old'}"] += 1
        if is_new:
            world.undo()
        if nth % 20 == 0:
            world.completes()
    world.completes()
    took = time.monotonic() - began
    record_property("figure", f"{kills} kills, 0 violations, {took:.0f} s: {dict(sorted(found.items()))}")
    assert found["killed, old"] > kills / 5


def undisturbed(world: World) -> float:
    """Give the seconds that an import takes."""
    done = world.imported()
    world.undo()
    return done.seconds


@pytest.fixture
def proxied(world: World, postgres: Any) -> Iterator[Proxy]:
    """Give a breakable way to the server of the world."""
    if world.database.is_sqlite:
        pytest.skip("SQLite is a file: there is no connection to cut")
    way = Proxy(postgres.url)
    yield way
    way.close()


@pytest.mark.torture
def test_a_connection_cut_at_any_message_leaves_the_old_release_or_the_new(
    world: World, proxied: Proxy, record_property: Any
) -> None:
    url = proxied.url_of(world.database.settings.database_url)
    assert world.imported(url).status == 0
    world.undo()
    messages, longest, found = proxied.passed, 0.0, Counter[str]()
    points = sorted({1 + round(n * messages / 30) for n in range(30)} | set(range(messages - 24, messages + 1)))
    for nth, at in enumerate(points):
        for how in (CLOSE, RESET) if TORTURE else [(CLOSE, RESET)[nth % 2]]:
            proxied.break_after(at, how)
            done = world.imported(url)
            assert done.status in (0, 1), done
            is_new = world.judge(done)
            found[f"{'ended' if done.status == 0 else 'failed'}, {'new' if is_new else 'old'}"] += 1
            longest = max(longest, done.seconds)
            if is_new:
                world.undo()
    proxied.break_after(0, CLOSE)
    world.completes()
    assert longest < 30
    told = f"{found.total()} cuts over {messages} messages, 0 violations, longest {longest:.1f} s"
    record_property("figure", f"{told}: {dict(sorted(found.items()))}")


@pytest.mark.torture
def test_a_connection_that_is_silent_for_a_while_goes_on_or_ends_in_time(world: World, proxied: Proxy) -> None:
    url = proxied.url_of(world.database.settings.database_url)
    assert world.imported(url).status == 0
    world.undo()
    silent = times(2, 10)
    for at in (proxied.passed // 3, 2 * proxied.passed // 3):
        proxied.break_after(at, HOLE, silent)
        done = world.imported(url)
        assert (done.status, done.errors) == (0, "")
        assert silent < done.seconds < silent + 20
        assert world.judge(done)
        world.undo()


@pytest.mark.torture
def test_a_full_disk_leaves_the_old_release(world: World, record_property: Any) -> None:
    if not world.database.is_sqlite:
        pytest.skip("the disk is the server's: statements broken as by a full disk are above")
    full = 0
    for largest in range(4_096, 400_000, times(25_000, 2_500)):  # what it says is a file too
        done = world.imported(largest=largest)
        if world.judge(done):
            break
        assert_one_line(done)
        assert done.errors.startswith(("KHG503 ", "File too large")), done
        full += 1
    assert full > 3
    world.undo()
    world.completes()
    record_property("figure", f"{full} sizes at which the disk is full, 0 violations")


@pytest.mark.torture
@pytest.mark.parametrize(("number", "name"), [(2, "SIGINT"), (15, "SIGTERM")])
def test_an_import_that_is_told_to_stop_says_so_and_stops(world: World, number: int, name: str) -> None:
    whole, chance = undisturbed(world), random.Random(number)
    for _ in range(times(10, 100)):
        done = world.imported(after=chance.uniform(0.0, 0.9) * whole, signal=number)
        is_new = world.judge(done)
        assert done.status == 128 + number or (is_new and done.status in (0, -number)), done
        if done.status > 0:
            assert done.errors == f"stopped by {name}; what was not published is undone: run it again\n"
        if is_new:
            world.undo()
    world.completes()


STRUCK = {
    "at its end": """
        forget = app.stop.Stop.forget
        def struck():
            app.stop.Stop.forget = staticmethod(forget)
            strike()
            forget()
        app.stop.Stop.forget = staticmethod(struck)
        """,
    "where it is let fall": """
        class Falls:
            def __del__(self):
                strike()
        app.stop.Stop.listen = lambda stop, listen=app.stop.Stop.listen: (listen(stop), Falls())[0]
        """,
    "where it is told and made another": """
        def struck(stop, listen=app.stop.Stop.listen):
            listen(stop)
            try:
                strike()
            except SystemExit:
                logging.getLogger("a.library").exception("left in its midst")
                raise SystemExit(3) from None
        app.stop.Stop.listen = struck
        """,
}
"""Ways in which a signal meets a command, as code that goes before it."""
COMMAND = """
import logging, os, signal, sys
import app.cli, app.stop
strike = lambda: os.kill(os.getpid(), signal.SIGTERM)
{struck}
sys.argv = ["khorgos", "version"]
app.cli.main()
"""


@pytest.mark.parametrize("where", STRUCK)
def test_a_signal_is_told_in_one_line_wherever_it_comes(where: str) -> None:
    code = COMMAND.format(struck=textwrap.dedent(STRUCK[where]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    told = "stopped by SIGTERM; what was not published is undone: run it again\n"
    said = "" if "another" in where else f"{__version__}\n"
    assert (done.returncode, done.stdout, done.stderr) == (143, said, told)


@pytest.mark.torture
@pytest.mark.parametrize("number", [2, 15])
def test_a_long_statement_is_stopped_within_five_seconds(world: World, number: int) -> None:
    done = world.imported(heavy=NUMBERS, after=1.5, signal=number)
    assert (done.status, done.out) == (128 + number, "heavy\n"), done
    assert done.seconds < 1.5 + 5
    assert not world.judge(done)
    world.completes()


@pytest.mark.torture
def test_failing_at_every_point_of_a_migration_leaves_it_out_or_in(
    engine: str, nursery: Nursery, workshop: Workshop, record_property: Any
) -> None:
    database, hit, runs = workshop.make(engine), set[str](), 0
    environment = {"KHORGOS_DATABASE_URL": database.settings.database_url}

    def run(fault: str) -> Done:
        return nursery.run("db", "upgrade", environment={**environment, "KHORGOS_FAULT": fault})

    for _, name in sweep(run, hit):
        runs += 1
        found = tables(database)
        if name in AFTER_COMMIT:
            assert (found, schema.current(database)) == ({*Base.metadata.tables, "alembic_version"}, schema.head())
            schema.downgrade(database, "base")
            with database.writer.begin() as connection:
                connection.exec_driver_sql("DROP TABLE alembic_version")
        else:
            assert found == set()
    assert {name for name in POINTS if name.startswith("migrate.")} == hit
    assert (tables(database), schema.current(database)) == ({*Base.metadata.tables, "alembic_version"}, schema.head())
    again = nursery.run("db", "upgrade", environment=environment)
    assert (again.status, again.errors, schema.current(database)) == (0, "", schema.head())
    record_property("figure", f"{runs} failures and exits in {len(hit)} kinds of points, 0 violations")
    workshop.remove(database)


def tables(database: Database) -> set[str]:
    """Give the tables that are there, the full-text index left out."""
    with database.writer.connect() as connection:
        return {name for name in inspect(connection).get_table_names() if not name.startswith("search_index")}


@pytest.mark.torture
def test_two_migrations_at_once_are_one(engine: str, nursery: Nursery, workshop: Workshop, tmp_path: Path) -> None:
    other = Nursery(tmp_path)
    for _ in range(times(3, 30)):
        database = workshop.make(engine)
        environment = {"KHORGOS_DATABASE_URL": database.settings.database_url}
        for one in (nursery, other):
            one.start("db", "upgrade", environment=environment)
        ended = [one.end() for one in (nursery, other)]
        assert [(done.status, done.errors) for done in ended] == [(0, ""), (0, "")]
        assert schema.current(database) == schema.head()
        workshop.remove(database)
    other.close()


@pytest.mark.torture
@pytest.mark.parametrize("revision", ["0001", "9999"])
def test_a_command_refuses_a_database_of_another_version(world: World, revision: str) -> None:
    with world.database.writer.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    done = world.imported()
    told = f"KHG203 the database has schema {revision}, this program reads {schema.head()}: run `khorgos db upgrade`"
    assert done.status == 1 and done.errors.startswith(told)
    assert_one_line(done)


PUBLISHES, SIZE, PAGE = 20, 250, 100
RATE = 50.0
"""Requests a second, of all readers together."""


@pytest.mark.torture
def test_readers_meet_no_error_and_no_mixed_release_while_releases_are_published(
    world: World, tmp_path: Path, record_property: Any
) -> None:
    answers: list[tuple[int, int, int]] = []
    faults: list[str] = []
    over = Event()
    with served(world.database) as (port, _):
        readers = [Thread(target=read, args=(port, over, n, answers, faults)) for n in range(2)]
        for one in readers:
            one.start()
        try:
            for nth in range(times(PUBLISHES, 200)):
                path = written(tmp_path / "next.csv", comtrade_text(*numbered(nth)))
                environment = {"KHORGOS_DATABASE_URL": world.database.settings.database_url}
                done = world.nursery.run("import", "comtrade", path, environment=environment)
                assert (done.status, done.errors) == (0, ""), done
                time.sleep(0.15)
        finally:
            over.set()
            for one in readers:
                one.join()
    assert faults == []
    totals = {number: totals_of(world.database, number) for number in {one[0] for one in answers}}
    assert [one for one in answers if totals[one[0]] != one[1:]] == []
    assert len(totals) > PUBLISHES / 2
    told = f"{len(answers)} answers over {len(totals)} releases, 0 errors, 0 mixed"
    record_property("figure", told)


def numbered(nth: int) -> list[Row]:
    """Give the rows of one of the publications: all have other values."""
    return [
        {"cmdCode": f"{n:06}", "primaryValue": str(1 + n + nth * 1_000), "fobvalue": ""} for n in range(1, SIZE + 1)
    ]


def totals_of(database: Database, number: int) -> tuple[int, int]:
    """Give how many flows a release has and their sum, from the versions."""
    held = (TradeFlow.release <= number, TradeFlow.superseded_by.is_(None) | (TradeFlow.superseded_by > number))
    said = select(func.count(), func.sum(TradeFlow.value_usd)).where(TradeFlow.source == COMTRADE, *held)
    with database.read() as connection:
        count, total = connection.execute(said).one()
    return int(count), int(total)


def read(port: int, over: Event, nth: int, answers: list[tuple[int, int, int]], faults: list[str]) -> None:
    """Read whole lists page by page, and sums, at a steady rate; tell release, rows and sum of each."""
    period, due = 2 / RATE, time.monotonic() + nth / RATE
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

        def get(path: str) -> Any:
            nonlocal due
            time.sleep(max(0.0, due - time.monotonic()))
            due += period
            answer = client.get(path)
            if answer.status_code != 200:
                raise ValueError(f"{answer.status_code} {path}: {answer.text[:300]}")
            return answer.json()

        try:
            while not over.is_set():
                answers.append(walk(get))
                answers.append(total(get))
        except (ValueError, httpx2.HTTPError) as error:
            faults.append(repr(error))


def walk(get: Callable[[str], Any]) -> tuple[int, int, int]:
    """Read a list to its end; all pages must be of one release."""
    path, rows, releases = f"/v1/trade/flows?source={COMTRADE}&limit={PAGE}", [], set()
    while path:
        page = get(path)
        rows += page["data"]
        releases.add(page["meta"]["release"])
        path = page["links"]["next"]
    if len(releases) != 1:
        raise ValueError(f"pages of releases {releases}")
    return releases.pop(), len(rows), sum(row["value_usd"] for row in rows)


def total(get: Callable[[str], Any]) -> tuple[int, int, int]:
    """Read the sum of the same rows."""
    page = get(f"/v1/trade/totals?source={COMTRADE}&reporter=KAZ&group_by=reporter")
    rows = page["data"]
    return page["meta"]["release"], sum(row["rows"] for row in rows), sum(row["value_usd"] for row in rows)


@pytest.mark.long
def test_millions_of_rows_take_little_memory(
    engine: str, workshop: Workshop, tmp_path: Path, record_property: Any
) -> None:
    database, count = workshop.copy(engine), times(500_000, 5_000_000)
    path, began = tmp_path / "big.csv", time.monotonic()
    with path.open("w", encoding="utf-8") as file:
        head, first, *_ = comtrade_text({"cmdCode": "CODE", "primaryValue": "VALUE", "fobvalue": ""}).splitlines()
        file.write(head + "\n")
        before, between, after = re.split("CODE|VALUE", first)
        periods = [f"{year}{month:02}" for year in range(2010, 2020) for month in range(1, 13)]
        made = before.replace('"A"', '"M"').replace('"2023"', '"YEAR"', 1).replace('"2023"', '"PERIOD"', 1)
        starts = [made.replace("YEAR", one[:4]).replace("PERIOD", one) for one in periods]
        for n in range(count):
            file.write(f"{starts[n % len(starts)]}{n // len(starts):06}{between}{1000 + n}{after}\n")
    began = time.monotonic()
    environment = {**os.environ, "KHORGOS_DATABASE_URL": database.settings.database_url}
    code = "import app.cli; app.cli.main()"
    process = subprocess.Popen([sys.executable, "-c", code, "import", "comtrade", path], cwd=ROOT, env=environment)
    most = 0
    while process.poll() is None:
        most = max(most, highest(process.pid))
        time.sleep(0.05)
    took = time.monotonic() - began
    assert process.returncode == 0
    record_property("figure", f"{count:,} rows, {most} MiB, {took:.0f} s, {count / took:,.0f} rows a second")
    assert totals_of(database, 10**6)[0] == count
    assert most <= 300
    workshop.remove(database)


def highest(process: int) -> int:
    """Give the memory of a process at its highest, in MiB; what it was before it became its program is left out."""
    with suppress(OSError):
        told = Path(f"/proc/{process}/status").read_text()
        return int(found[1]) // 1024 if (found := re.search(r"VmHWM:\s+(\d+) kB", told)) else 0
    return 0
