"""The database itself refuses every row that breaks a rule of the models, on each engine."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, timedelta, timezone
from typing import Any

import psycopg
import pytest
from conftest import Workshop
from examples import BREAKS, EXAMPLES, NOW, Row
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import CheckConstraint, Connection, Index, Table, event, insert, literal, select, text
from sqlalchemy.exc import IntegrityError

from app import schema
from app.db import Database
from app.models import Base, Codes, Country, Release, TradeFlow, Utc

TABLES = Base.metadata.tables

ROW_NUMBERS = [("releases", "id"), ("search_entries", "id")]
"""Keys that SQLite takes for its row number: it fills in what is null instead of refusing it."""


def checks() -> Iterator[tuple[Table, CheckConstraint]]:
    for table in TABLES.values():
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint):
                yield table, constraint


def breaks(table: Table, name: str) -> list[Row]:
    """Give the changes that break a check: those written down, or those that its name stands for."""
    if name in BREAKS:
        return BREAKS[name]
    rule = name.removeprefix(f"ck_{table.name}_")
    if rule == "superseded_later":
        return [{"superseded_by": 1}, {"superseded_by": 1, "release": 2}]
    if rule.endswith("_not_blank"):
        return [{rule.removesuffix("_not_blank"): ""}]
    if rule.endswith("_not_negative"):
        return [{rule.removesuffix("_not_negative"): -1}]
    if rule in table.columns and "codes" in table.columns[rule].info:
        return [{rule: "nonsense"}, {rule: ""}]
    return []


def unique_indexes() -> Iterator[tuple[Table, Index]]:
    for table in TABLES.values():
        for index in sorted(table.indexes, key=lambda one: one.name):
            if index.unique:
                yield table, index


BROKEN = [
    pytest.param(table, constraint.name, change, id=f"{constraint.name}-{number}")
    for table, constraint in sorted(checks(), key=lambda pair: pair[1].name)
    for number, change in enumerate(breaks(table, constraint.name))
]
REQUIRED = [
    pytest.param(column, id=f"{table.name}.{column.name}")
    for table in TABLES.values()
    for column in table.columns
    if not column.nullable and (table.name, column.name) not in ROW_NUMBERS
]
KEYS = [pytest.param(table, id=table.name) for table in TABLES.values()]
UNIQUE = [pytest.param(table, index, id=index.name) for table, index in unique_indexes()]
REFERENCES = [
    pytest.param(column, id=f"{table.name}.{column.name}")
    for table in TABLES.values()
    for column in table.columns
    if column.foreign_keys
]


@pytest.fixture(scope="module")
def migrated(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a database with releases 1 to 3 and nothing else."""
    database = workshop.make(engine)
    schema.upgrade(database)
    with database.writer.begin() as connection:
        connection.execute(insert(Release), [EXAMPLES["releases"] | {"id": number} for number in (1, 2, 3)])
    yield database
    workshop.remove(database)


@pytest.fixture
def connection(migrated: Database) -> Iterator[Connection]:
    """Give a connection whose changes are taken back."""
    with migrated.writer.connect() as opened:
        yield opened
        opened.rollback()


def refusal(connection: Connection, table: Table, row: Row) -> str:
    """Insert a row that must be refused; give the rule by which it was, as the engine names it."""
    with pytest.raises(IntegrityError) as refused:
        connection.execute(insert(table).values(row))
    if connection.dialect.name == "sqlite":
        return str(refused.value.orig)
    told = refused.value.orig.diag
    return f"{refused.value.orig.sqlstate} {told.table_name} {told.constraint_name or told.column_name}"


def unique_refusal(connection: Connection, table: Table, name: str, columns: Iterable[Any]) -> str:
    """Give what an engine says of a second row with the same key."""
    if connection.dialect.name == "sqlite":
        return "UNIQUE constraint failed: " + ", ".join(f"{table.name}.{column.name}" for column in columns)
    return f"23505 {table.name} {name}"


@pytest.mark.parametrize("table", KEYS)
def test_a_whole_row_is_let_in(connection: Connection, table: Table) -> None:
    connection.execute(insert(table).values(EXAMPLES[table.name]))
    assert connection.execute(select(table).where(*same_key(table))).mappings().one() == EXAMPLES[table.name]


def same_key(table: Table) -> list[Any]:
    return [column == EXAMPLES[table.name][column.name] for column in table.primary_key]


@pytest.mark.parametrize(("table", "name", "change"), BROKEN)
def test_a_row_that_breaks_a_check_is_refused(connection: Connection, table: Table, name: str, change: Row) -> None:
    expected = {"sqlite": f"CHECK constraint failed: {name}", "postgresql": f"23514 {table.name} {name}"}
    assert refusal(connection, table, {**EXAMPLES[table.name], **change}) == expected[connection.dialect.name]


@pytest.mark.parametrize("column", REQUIRED)
def test_a_row_without_a_required_value_is_refused(connection: Connection, column: Any) -> None:
    table = column.table
    said = refusal(connection, table, {**EXAMPLES[table.name], column.name: None})
    if connection.dialect.name == "sqlite":
        assert said == f"NOT NULL constraint failed: {table.name}.{column.name}"
    else:
        assert said.startswith(f"23502 {table.name} ") and column.name in said


@pytest.mark.parametrize(("name", "column"), ROW_NUMBERS)
def test_a_row_number_is_never_null(connection: Connection, name: str, column: str) -> None:
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(TABLES[name]).values({**EXAMPLES[name], column: None}))
    assert connection.execute(select(TABLES[name]).where(TABLES[name].c[column].is_(None))).all() == []


@pytest.mark.parametrize("table", KEYS)
def test_a_second_row_with_the_same_primary_key_is_refused(connection: Connection, table: Table) -> None:
    row = EXAMPLES[table.name]
    is_versioned = "superseded_by" in row
    connection.execute(insert(table).values(row | ({"superseded_by": 2} if is_versioned else {})))
    again = row | ({"superseded_by": 3} if is_versioned else {})
    expected = unique_refusal(connection, table, table.primary_key.name, table.primary_key.columns)
    assert refusal(connection, table, again) == expected


@pytest.mark.parametrize(("table", "index"), UNIQUE)
def test_a_second_current_row_of_a_key_is_refused(connection: Connection, table: Table, index: Index) -> None:
    row = EXAMPLES[table.name]
    connection.execute(insert(table).values(row))
    again = row | {"release": 2} | ({"id": 10} if table.name == "search_entries" else {})
    assert refusal(connection, table, again) == unique_refusal(connection, table, index.name, index.columns)


@pytest.mark.parametrize(("table", "index"), UNIQUE)
def test_a_superseded_row_stays_beside_its_next_version(connection: Connection, table: Table, index: Index) -> None:
    row = EXAMPLES[table.name]
    connection.execute(insert(table).values(row | {"superseded_by": 2}))
    connection.execute(
        insert(table).values(row | {"release": 2} | ({"id": 10} if table.name == "search_entries" else {}))
    )
    assert len(connection.execute(select(table.c.release)).all()) == 2


@pytest.mark.parametrize("column", REFERENCES)
def test_a_release_that_is_not_there_is_refused(connection: Connection, column: Any) -> None:
    table = column.table
    said = refusal(connection, table, {**EXAMPLES[table.name], column.name: 99})
    name = f"fk_{table.name}_{column.name}"
    expected = {"sqlite": "FOREIGN KEY constraint failed", "postgresql": f"23503 {table.name} {name}"}
    assert said == expected[connection.dialect.name]


def test_every_check_of_the_models_has_a_row_that_breaks_it() -> None:
    assert [name for table, one in checks() if not breaks(table, name := one.name)] == []


def test_every_written_break_belongs_to_a_check() -> None:
    assert set(BREAKS) <= {constraint.name for _, constraint in checks()}


def test_every_constraint_is_of_a_kind_that_is_tested() -> None:
    kinds = {type(constraint).__name__ for table in TABLES.values() for constraint in table.constraints}
    assert kinds == {"CheckConstraint", "PrimaryKeyConstraint", "ForeignKeyConstraint"}


def test_every_table_has_a_whole_example() -> None:
    assert {name: set(row) for name, row in EXAMPLES.items()} == {
        name: set(table.columns.keys()) for name, table in TABLES.items()
    }


def test_every_table_keeps_one_current_row_a_key() -> None:
    held = {table.name: tuple(column.name for column in index.columns) for table, index in unique_indexes()}
    keys = {mapper.class_.__tablename__: getattr(mapper.class_, "key", None) for mapper in Base.registry.mappers}
    distributed = {"trade_flows", "releases"}
    assert held == {name: key for name, key in keys.items() if name not in distributed}


def test_no_foreign_key_leads_from_or_to_trade_flows() -> None:
    flows = TradeFlow.__table__
    assert flows.foreign_keys == set()
    assert [key for table in TABLES.values() for key in table.foreign_keys if key.column.table is flows] == []


def test_the_key_of_trade_flows_starts_with_the_reporter() -> None:
    assert TradeFlow.__table__.primary_key.columns[0].name == "reporter"


def test_the_key_of_trade_flows_can_be_distributed() -> None:
    names = set(TradeFlow.__table__.primary_key.columns.keys())
    assert names == {*TradeFlow.key, "release"} and {"product", "source", "stated_by"} <= names


def test_every_unique_rule_of_trade_flows_holds_the_reporter() -> None:
    flows = TradeFlow.__table__
    assert [index.name for index in flows.indexes if index.unique and "reporter" not in index.columns] == []


def test_a_fragment_is_measured_in_code_points(connection: Connection) -> None:
    words = "🚂 за 2024 год"
    row = EXAMPLES["figures"] | {"exact": words, "start": 10, "end": 10 + len(words)}
    connection.execute(insert(TABLES["figures"]).values(row))
    assert connection.execute(select(TABLES["figures"].c.exact)).scalar_one() == words


def test_text_sorts_by_code_point(connection: Connection) -> None:
    topics, slugs = TABLES["topics"], ["Z", "a", "a-b", "aa", "É", "Ж", "🚂"]
    for slug in reversed(slugs):
        connection.execute(insert(topics).values(EXAMPLES["topics"] | {"slug": slug}))
    assert connection.execute(select(topics.c.slug).order_by(topics.c.slug)).scalars().all() == slugs


@pytest.mark.parametrize("codes", [(), ("KAZ",), ("CHN", "KAZ", "UZB"), ("Ж",)])
def test_a_set_of_codes_comes_back_in_its_order(connection: Connection, codes: tuple[str, ...]) -> None:
    connection.execute(insert(Country).values(EXAMPLES["countries"] | {"aliases": codes}))
    assert connection.execute(select(Country.aliases)).scalar_one() == codes


@given(some.lists(some.text(some.characters(codec="utf-8", exclude_characters="|\0"), min_size=1)).map(tuple))
def test_any_codes_without_the_bar_come_back(seeded_both: dict[str, Database], codes: tuple[str, ...]) -> None:
    for database in seeded_both.values():
        with database.read() as connection:
            assert connection.execute(select(literal(codes, Codes()))).scalar_one() == codes


def test_a_set_of_codes_is_found_by_a_pattern(connection: Connection) -> None:
    connection.execute(insert(Country).values(EXAMPLES["countries"] | {"aliases": ("Q1", "Q12")}))
    patterns = ("%|Q1|%", "%|Q12|%", "%|Q|%")
    found = [connection.execute(select(Country.iso3).where(Country.aliases.like(like))).scalar() for like in patterns]
    assert found == ["KAZ", "KAZ", None]


@pytest.mark.parametrize("hours", [0, 5, -8])
def test_a_moment_comes_back_in_utc(connection: Connection, hours: int) -> None:
    moment = NOW.astimezone(timezone(timedelta(hours=hours)))
    connection.execute(insert(Release).values(EXAMPLES["releases"] | {"published_at": moment}))
    found = connection.execute(select(Release.published_at).where(Release.id == 9)).scalar_one()
    assert (found, found.tzinfo) == (NOW, UTC)


def test_a_moment_that_is_null_stays_null(connection: Connection) -> None:
    assert connection.execute(select(literal(None, Utc()))).scalar_one() is None


def test_a_connection_that_is_given_back_just_as_its_database_is_closed_is_closed(private_seeded: Database) -> None:
    database = Database(private_seeded.settings)
    engine = database.reader(database.settings.statement_timeout)
    event.listen(engine, "checkin", lambda *_: database.close())
    with database.read() as held:
        opened = held.connection.dbapi_connection
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError)):
        opened.cursor().execute("SELECT 1")


def test_a_connection_that_outlives_its_database_is_closed(private_seeded: Database) -> None:
    database = Database(private_seeded.settings)
    with database.read() as held:
        database.close()
        opened = held.connection.dbapi_connection
        assert held.execute(text("SELECT 1")).scalar_one() == 1
    with database.read() as later:
        again = later.connection.dbapi_connection
        assert later.execute(text("SELECT 1")).scalar_one() == 1
    for one in (opened, again):
        with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError)):
            one.cursor().execute("SELECT 1")
