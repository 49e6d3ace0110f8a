"""The migrations make the database of the models, on each engine, and take it away again."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from conftest import NOW, SEEDS
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Inspector, Table, func, inspect, select

from app import schema
from app.db import Database
from app.errors import DatabaseUnavailable, SchemaMismatch
from app.ingest.seeds import seed
from app.models import Base

TABLES = Base.metadata.tables
Make = Callable[[str], Database]


def table_names(database: Database) -> set[str]:
    with database.read() as connection:
        return {name for name in inspect(connection).get_table_names() if not name.startswith("search_index")}


def row_counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in TABLES.items()
        }


def names_in_database(inspector: Inspector, table: str) -> Mapping[str, set[str | None]]:
    return {
        "checks": {one["name"] for one in inspector.get_check_constraints(table)},
        "references": {one["name"] for one in inspector.get_foreign_keys(table)},
        "key": {inspector.get_pk_constraint(table)["name"]},
        "indexes": {one["name"] for one in inspector.get_indexes(table)},
    }


def names_in_models(table: Table) -> Mapping[str, set[Any]]:
    return {
        "checks": {one.name for one in table.constraints if isinstance(one, CheckConstraint)},
        "references": {one.name for one in table.constraints if isinstance(one, ForeignKeyConstraint)},
        "key": {table.primary_key.name},
        "indexes": {one.name for one in table.indexes},
    }


def set_revision(database: Database, revision: str) -> None:
    with database.writer.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory(str(schema.folder("migrations"))).get_heads()) == 1


def test_an_upgrade_makes_every_table(engine: str, make_database: Make) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    assert table_names(database) == {*TABLES, "alembic_version"}


def test_an_upgrade_reaches_the_head(engine: str, make_database: Make) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    assert schema.current(database) == schema.head()


def test_a_second_upgrade_keeps_every_row(private_seeded: Database) -> None:
    before = row_counts(private_seeded)
    schema.upgrade(private_seeded)
    assert row_counts(private_seeded) == before


def test_a_downgrade_to_base_leaves_no_table(private_seeded: Database) -> None:
    schema.downgrade(private_seeded, "base")
    assert table_names(private_seeded) == {"alembic_version"}


def test_a_downgrade_to_base_leaves_no_revision(private_seeded: Database) -> None:
    schema.downgrade(private_seeded, "base")
    assert schema.current(private_seeded) is None


def test_after_down_and_up_the_seeds_give_every_row_again(private_seeded: Database) -> None:
    before = row_counts(private_seeded)
    schema.downgrade(private_seeded, "base")
    schema.upgrade(private_seeded)
    seed(private_seeded, SEEDS, now=NOW)
    assert row_counts(private_seeded) == before


def test_every_table_has_rows_once_it_is_seeded(seeded: Database) -> None:
    assert [name for name, rows in row_counts(seeded).items() if rows == 0] == []


def test_both_engines_hold_as_many_rows(seeded_both: dict[str, Database]) -> None:
    assert row_counts(seeded_both["sqlite"]) == row_counts(seeded_both["postgres"])


def test_the_models_need_no_further_migration(private_seeded: Database) -> None:
    command.check(schema.config(private_seeded))


@pytest.mark.parametrize("table", TABLES)
def test_constraints_have_the_names_of_the_models(seeded: Database, table: str) -> None:
    with seeded.read() as connection:
        found = names_in_database(inspect(connection), table)
    if table == "search_entries":
        found["indexes"].discard("search_index_words")
    assert found == names_in_models(TABLES[table])


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_null_where_the_models_let_them(seeded: Database, table: str) -> None:
    with seeded.read() as connection:
        found = {one["name"]: one["nullable"] for one in inspect(connection).get_columns(table)}
    assert found == {column.name: column.nullable for column in TABLES[table].columns}


@pytest.mark.parametrize("table", TABLES)
def test_keys_have_their_columns_in_the_order_of_the_models(seeded: Database, table: str) -> None:
    with seeded.read() as connection:
        found = inspect(connection).get_pk_constraint(table)["constrained_columns"]
    assert found == TABLES[table].primary_key.columns.keys()


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"releases", "trade_flows"}))
def test_one_current_row_a_key_is_held_by_a_partial_unique_index(seeded: Database, table: str) -> None:
    with seeded.read() as connection:
        indexes = {one["name"]: one for one in inspect(connection).get_indexes(table)}
    index = indexes[f"uq_{table}_current"]
    wheres = {str(value).strip("()") for name, value in index["dialect_options"].items() if name.endswith("_where")}
    assert index["unique"] and wheres == {"superseded_by IS NULL"}


def test_the_head_is_accepted(seeded: Database) -> None:
    assert schema.require_head(seeded) is None


def test_a_database_of_another_revision_is_refused(private_seeded: Database) -> None:
    set_revision(private_seeded, "9999")
    with pytest.raises(SchemaMismatch) as refusal:
        schema.require_head(private_seeded)
    assert f"schema 9999, this program reads {schema.head()}" in str(refusal.value)


def test_a_database_without_tables_is_refused(engine: str, make_database: Make) -> None:
    database = make_database(engine)
    with database.writer.connect():
        pass
    with pytest.raises(SchemaMismatch) as refusal:
        schema.require_head(database)
    assert "schema none" in str(refusal.value)


def test_a_file_that_is_not_there_is_told_apart_from_an_old_one(make_database: Make) -> None:
    with pytest.raises(DatabaseUnavailable):
        schema.require_head(make_database("sqlite"))


def test_a_refusal_of_the_schema_says_how_to_repair_it(private_seeded: Database) -> None:
    schema.downgrade(private_seeded, "base")
    with pytest.raises(SchemaMismatch, match="run `khorgos db upgrade`"):
        schema.require_head(private_seeded)


def test_a_migration_that_fails_leaves_the_database_as_it_was(engine: str, make_database: Make) -> None:
    database = make_database(engine)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE topics (slug TEXT)")
    with pytest.raises(Exception, match="topics"):
        schema.upgrade(database)
    assert table_names(database) - {"alembic_version"} == {"topics"}
