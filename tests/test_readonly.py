"""Nothing can be written by who serves: a role that may only read, a file that may only be read, readers that cannot
write, and a file that another takes the place of."""

import ctypes
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Workshop, run
from direct import direct
from sqlalchemy import event, make_url, text, update
from sqlalchemy.exc import DBAPIError
from test_http import URLS

from app.db import CAPS, Database
from app.models import Topic
from app.settings import Settings

README = Path(__file__).parent.parent / "README.md"
ROLE = re.compile(r"```sql\n(CREATE ROLE .*?)```", re.DOTALL)
WRITES = (
    "INSERT INTO topics SELECT * FROM topics",
    "UPDATE topics SET name = 'x'",
    "DELETE FROM topics",
    "CREATE TABLE x (y integer)",
    "CREATE INDEX x ON topics (name)",
    "DROP TABLE topics",
    "ALTER TABLE topics ADD COLUMN x integer",
)
ONLY = {
    "sqlite": (
        *("ATTACH DATABASE ':memory:' AS x", "VACUUM", "VACUUM INTO '/tmp/khorgos-x.db'", "REINDEX", "ANALYZE"),
        *("PRAGMA user_version = 7", "PRAGMA application_id = 7"),
    ),
    "postgres": (
        *(
            "TRUNCATE topics",
            "CREATE SCHEMA x",
            "SELECT lo_create(0)",
            "GRANT SELECT ON topics TO PUBLIC",
            "SELECT * FROM topics FOR UPDATE",
        ),
    ),
}
"""Statements of one engine that would write."""


def test_a_reader_cannot_write(seeded: Database, engine: str) -> None:
    for statement in (*WRITES, *ONLY[engine]):
        with seeded.reader(5.0).connect() as connection, pytest.raises(DBAPIError) as refused:
            connection.execute(text(statement))
        said = str(refused.value.orig)
        assert re.search(r"read-?only|too many attached|query_only", said), (statement, said)


def test_a_reader_of_sqlite_is_read_only_in_every_way(workshop: Workshop) -> None:
    with workshop.seeded("sqlite").reader(5.0).connect() as connection:
        told = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("query_only", "trusted_schema")}
        driver: Any = connection.connection.driver_connection
        limits = {limit: driver.getlimit(limit) for limit in CAPS}
        connection.execute(text("PRAGMA writable_schema = ON"))
        with pytest.raises(DBAPIError):
            connection.execute(text("DELETE FROM sqlite_schema"))
        connection.execute(text("PRAGMA query_only = OFF"))  # even so the file is opened to be read
        with pytest.raises(DBAPIError, match="readonly"):
            connection.execute(text("UPDATE topics SET name = 'x'"))
        connection.invalidate()
    assert (told, limits) == ({"query_only": 1, "trusted_schema": 0}, CAPS)


def test_a_reader_of_postgres_is_read_only_and_sees_one_moment(workshop: Workshop) -> None:
    with workshop.seeded("postgres").reader(5.0).connect() as connection:
        names = ("default_transaction_read_only", "transaction_read_only", "transaction_isolation", "statement_timeout")
        told = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
    assert told == ["on", "on", "repeatable read", "5s"]


def test_our_largest_statements_are_well_within_the_limits(workshop: Workshop, record_property: Any) -> None:
    codes = ",".join(f"{number}" for number in range(100, 300))
    years, months = ",".join(map(str, range(1900, 2100))), ",".join(f"{year}-01" for year in range(1900, 2100))
    voices = "reporter=asia,sco&partner=sco,central-asia&country=asia,sco,eaeu"
    query = f"{voices}&product={codes}&year={years}&period={months}&value_min=1&value_max=9"
    largest = [0, 0]

    def measure(*given: Any) -> None:
        statement, values = given[2], given[3]
        largest[:] = max(largest[0], len(statement)), max(largest[1], len(values))

    with direct(workshop.seeded("sqlite"), url_bytes=2**20) as service:
        running = service.app.state.service
        event.listen(running.database.reader(running.settings.statement_timeout), "before_cursor_execute", measure)
        for path in ("flows", "totals", "coverage"):
            more = "&group_by=reporter,partner,year,product,source" if path == "totals" else ""
            answer = service.ask(f"/v1/trade/{path}?{query.replace('asia,', 'central-asia,')}{more}")
            assert answer.status == 200, answer.body[:600]
    record_property("figure", f"largest statement {largest[0]:,} characters, {largest[1]:,} values")
    assert largest[0] * 4 < CAPS[sqlite3.SQLITE_LIMIT_SQL_LENGTH]
    assert largest[1] * 2 < CAPS[sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER]


# A role that may only read


@pytest.fixture(scope="module")
def granted(workshop: Workshop) -> Iterator[str]:
    """Give the address of a seeded database for the role that the README tells to make."""
    database = workshop.copy("postgres")
    statements = ROLE.search(README.read_text("utf-8"))[1]
    name = database.url.database
    statements = statements.replace("DATABASE khorgos", f"DATABASE {name}")
    url = database.settings.database_url
    run(url, statements)
    yield database.url.set(username="khorgos_reader", password="choose-one").render_as_string(hide_password=False)
    run(url, "DROP OWNED BY khorgos_reader")
    workshop.remove(database)
    run(make_url(url).set(database="postgres").render_as_string(hide_password=False), "DROP ROLE khorgos_reader")


def test_every_operation_is_answered_to_a_role_that_may_only_read(granted: str) -> None:
    with direct(Database(Settings(database_url=granted))) as service:
        answers = {url: service.ask(url).status for url in (*URLS.values(), "/readyz", "/v1/search?q=trade", "/trade")}
    assert set(answers.values()) == {200}, answers


def test_a_role_that_may_only_read_cannot_write_even_if_it_says_so(granted: str) -> None:
    with psycopg.connect(make_url(granted).set(drivername="postgresql").render_as_string(hide_password=False)) as one:
        one.autocommit = True
        one.execute("SET default_transaction_read_only = off")
        for statement in (*WRITES, "CREATE SCHEMA x", "TRUNCATE topics"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                one.execute(statement)


# A file that may only be read


@pytest.fixture
def shut() -> Iterator[Path]:
    """Give an open folder for a file that is to be closed; pytest's own are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="khorgos-"))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from direct import direct
from app.db import Database
from app.settings import Settings
with direct(Database(Settings(database_url="sqlite:///" + sys.argv[2], export_folder=sys.argv[3]))) as service:
    for url in sys.argv[4:]:
        print(service.ask(url).status, url)
"""


def without_rights() -> None:
    """Let the superuser too be held to what files permit, once another program is begun."""
    if os.getuid() == 0:
        library = ctypes.CDLL(None, use_errno=True)
        for right in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            assert library.prctl(24, right, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def ask_as_reader(file: Path, exports: Path, *urls: str) -> list[str]:
    """Give statuses of requests, answered by a process that may not write to the file nor to its folder."""
    exports.mkdir(exist_ok=True)
    exports.chmod(0o777)
    arguments = [sys.executable, "-c", ASK, str(Path(__file__).parent), str(file), str(exports), *urls]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=120, check=False, preexec_fn=without_rights
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_every_operation_is_answered_from_a_file_that_may_only_be_read(
    workshop: Workshop, shut: Path, journal: str
) -> None:
    folder = shut / "data"
    folder.mkdir()
    file = folder / "khorgos.db"
    shutil.copyfile(workshop.seeded("sqlite").url.database, file)
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.close()
    file.chmod(0o444)
    folder.chmod(0o555)
    shut.chmod(0o755)
    try:
        answers = ask_as_reader(file, shut / "exports", *URLS.values())
    finally:
        folder.chmod(0o755)
    assert [one for one in answers if not one.startswith("200 ")] == []
    assert [one.name for one in folder.iterdir()] == ["khorgos.db"]


# Another file in its place


def replacement(workshop: Workshop, name: str) -> Path:
    """Give the file of a build whose topic has another name."""
    database = workshop.copy("sqlite")
    with database.writer.begin() as connection:
        connection.execute(update(Topic).where(Topic.slug == "technology").values(name=name))
    database.close()
    return Path(database.url.database)


def test_a_file_that_is_replaced_is_read_anew_and_old_readers_end_on_the_old(workshop: Workshop) -> None:
    database = workshop.copy("sqlite")
    path = Path(database.url.database)
    name = text("SELECT name FROM topics WHERE slug = 'technology'")
    with database.read() as old:
        before = old.execute(name).scalar_one()
        replacement(workshop, "Replaced").replace(path)
        with database.read() as new:
            assert new.execute(name).scalar_one() == "Replaced"
        assert old.execute(name).scalar_one() == before
    with database.read() as again:
        assert again.execute(name).scalar_one() == "Replaced"
    workshop.remove(database)


def test_a_file_is_replaced_under_load_without_an_error(workshop: Workshop) -> None:
    database = workshop.copy("sqlite")
    path, names = Path(database.url.database), text("SELECT name FROM topics ORDER BY slug")
    files = [replacement(workshop, f"Build {number}") for number in range(8)]
    seen: list[set[str]] = []
    failures: list[Exception] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                with database.read() as connection:
                    seen.append({one for one in connection.execute(names).scalars() if one.startswith("Build")})
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for reader in readers:
        reader.start()
    for file in files:
        file.replace(path)
        done = len(seen) + 8
        while len(seen) < done and not failures:
            threading.Event().wait(0.002)
    ended.set()
    for reader in readers:
        reader.join()
    with database.read() as connection:
        assert "Build 7" in connection.execute(names).scalars().all()
    workshop.remove(database)
    assert failures == []
    assert {frozenset({f"Build {number}"}) for number in (0, 3, 6)} < set(map(frozenset, seen))


# Files that are none of ours

OTHERS = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "run `khorgos db upgrade`"),
    "text": (b"no database at all, but long enough to be looked at\n" * 100, "cannot be read"),
    "another program's": ("other", "run `khorgos db upgrade`"),
    "cut short": ("cut", "cannot be read"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_none_of_ours_is_refused_at_the_start_in_clear_words(
    workshop: Workshop, tmp_path: Path, kind: str
) -> None:
    content, said = OTHERS[kind]
    path = tmp_path / "khorgos.db"
    if content == "other":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE notes (words text)")
        connection.close()
    elif content == "cut":
        path.write_bytes(Path(workshop.seeded("sqlite").url.database).read_bytes()[:5000])
    elif content is not None:
        path.write_bytes(content)
    environment = {**os.environ, "KHORGOS_DATABASE_URL": f"sqlite:///{path}"}
    command = [sys.executable, "-c", "from app.cli import main; main()", "check"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert said in done.stderr, done.stderr
