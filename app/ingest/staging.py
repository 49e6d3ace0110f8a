"""Staged flows: what an import has read, in a temporary table that dies with it, until one transaction publishes it.

The statements are the same on each engine: ordinary joins and INSERT ... SELECT, in sets.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import polars as pl
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Float,
    Integer,
    MetaData,
    Table,
    and_,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import SQLAlchemyError

from app import citus, fault
from app.codes import NOT_STATED, Method
from app.db import load
from app.ingest.flows_read import FLOW_COLUMNS
from app.models import ByteOrdered, TradeFlow
from app.periods import parse_period

KEY = ("reporter", "partner", "flow", "product", "classification", "frequency", "period", "breakdown")
VALUES = ("value_usd", "net_weight_kg", "net_weight_estimated", "valuation", "obs_status")
TYPES: dict[Any, Any] = {pl.String: ByteOrdered, pl.Int64: BigInteger, pl.Float64: Float, pl.Boolean: Boolean}


def staged(kind: str) -> Table:
    """Describe the table of staged flows."""
    return Table(
        "staged_flows",
        MetaData(),
        *(Column(name, TYPES[of], primary_key=name in KEY) for name, of in FLOW_COLUMNS.items() if name != "line"),
        Column("line", Integer, primary_key=True, autoincrement=False),
        Column("file", Integer, primary_key=True, autoincrement=False),
        prefixes=[kind],
        sqlite_with_rowid=False,
    )


STAGED = staged("TEMPORARY")
"""Flows in the order of their key, with file and line. The key alone may be there twice, and is then told."""
SPREAD = staged("UNLOGGED")
"""The same on Citus, whose nodes see no temporary table of another: it is dropped at the end."""
PERIODS = Table(
    "staged_periods",
    MetaData(),
    Column("period", ByteOrdered, primary_key=True),
    Column("period_start", Date),
    Column("period_end", Date),
    Column("year", Integer),
    prefixes=["TEMPORARY"],
)
"""The days of each period that was read."""
FLOW: Table = TradeFlow.__table__  # type: ignore[assignment]  # a mapped class has a table


@contextmanager
def tables(connection: Connection) -> Iterator[None]:
    """Make the tables; they go with the session, or on Citus at the end, or as the next import begins."""
    fault.point("import.locked")
    is_spread = citus.is_there(connection)
    if is_spread:
        SPREAD.drop(connection, checkfirst=True)
        SPREAD.create(connection)
        citus.beside_facts(connection, SPREAD.name)
    else:
        STAGED.create(connection, checkfirst=False)
    PERIODS.create(connection, checkfirst=False)
    connection.commit()
    try:
        yield
    finally:
        if is_spread:
            with suppress(SQLAlchemyError):
                connection.rollback()
                SPREAD.drop(connection)
                connection.commit()


def stage(connection: Connection, flows: pl.DataFrame, file: int) -> None:
    """Append flows of one file."""
    ordered = flows.sort(KEY).with_columns(pl.lit(file).alias("file"))
    load(connection, STAGED.name, ordered.select([column.name for column in STAGED.columns]))
    connection.commit()


def settle_periods(connection: Connection) -> None:
    """Work out the days of every period once."""
    known = connection.execute(select(STAGED.c.period).distinct()).scalars()
    periods = [(text, parse_period(text)) for text in known]
    rows = [
        {"period": text, "period_start": one.start, "period_end": one.end, "year": one.year} for text, one in periods
    ]
    if rows:
        connection.execute(insert(PERIODS), rows)
    connection.commit()


def take_doubled(connection: Connection) -> tuple[list[tuple[int, int]], int]:
    """Take out rows whose key is there more than once: all where their values differ, else all but the first.

    Gives file and line of those that differ, and how many were the same again.
    """
    keys = [STAGED.c[name] for name in KEY]
    twice = select(literal(1)).select_from(STAGED).group_by(*keys).having(func.count() > 1).limit(1)
    if connection.execute(twice).first() is None:
        return [], 0
    other = STAGED.alias("other")
    same = alike(other, STAGED, KEY)
    differing = exists().where(same, differs(other))
    query = select(STAGED.c.file, STAGED.c.line).where(differing).order_by(STAGED.c.file, STAGED.c.line)
    places = [(row.file, row.line) for row in connection.execute(query)]
    if places:
        connection.execute(delete_from(STAGED).where(differing))
    before = or_(other.c.file < STAGED.c.file, and_(other.c.file == STAGED.c.file, other.c.line < STAGED.c.line))
    again = connection.execute(delete_from(STAGED).where(exists().where(same, before))).rowcount
    connection.commit()
    return places, again


def count(connection: Connection) -> int:
    """Count the staged rows."""
    return connection.execute(select(func.count()).select_from(STAGED)).scalar_one()


def current(source: str) -> Any:
    """Tell whether a published row is the current version of a staged one."""
    return and_(
        alike(FLOW, STAGED, KEY),
        FLOW.c.source == source,
        FLOW.c.stated_by == NOT_STATED,
        FLOW.c.superseded_by.is_(None),
    )


def alike(one: Any, other: Any, names: Sequence[str]) -> ColumnElement[bool]:
    """Tell whether two rows have the same in each of some columns, none of which is null."""
    return and_(*(one.c[name] == other.c[name] for name in names))


def differs(row: Any) -> ColumnElement[bool]:
    """Tell whether a row says something else than the staged one."""
    return or_(*(row.c[name].is_distinct_from(STAGED.c[name]) for name in VALUES))


def has_rows(connection: Connection, source: str) -> bool:
    """Tell whether the source has current flows."""
    query = select(literal(1)).where(FLOW.c.source == source, FLOW.c.superseded_by.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def supersede(connection: Connection, source: str, number: int) -> int:
    """End the current versions that staged rows revise; give how many."""
    ended = update(FLOW).where(current(source), differs(FLOW)).values(superseded_by=number)
    return connection.execute(ended).rowcount


def add(connection: Connection, source: str, method: Method, number: int, is_first: bool) -> int:
    """Add the staged rows that have no current version; give how many."""
    named = [*KEY, *VALUES]
    constant = {
        "source": literal(source),
        "stated_by": literal(NOT_STATED),
        "release": literal(number),
        "method": literal(str(method)),
        "inferred": literal(""),
    }
    dated = [PERIODS.c.period_start, PERIODS.c.period_end, PERIODS.c.year]
    query = select(*(STAGED.c[name] for name in named), *constant.values(), *dated)
    joined: Any = STAGED.join(PERIODS, PERIODS.c.period == STAGED.c.period)
    if is_first:
        query = query.select_from(joined)
    else:
        query = query.select_from(joined.outerjoin(FLOW, current(source))).where(FLOW.c.reporter.is_(None))
    columns = [*named, *constant, *(column.name for column in dated)]
    ordered = query.order_by(*(STAGED.c[name] for name in KEY))
    added = insert(FLOW).from_select(columns, ordered).execution_options(preserve_rowcount=True)
    return connection.execute(added).rowcount


def affected(connection: Connection, source: str, number: int) -> dict[str, Sequence[Any]]:
    """Give the reporters and years whose flows a release adds or revises."""
    here = (FLOW.c.source == source, FLOW.c.release == number)
    pairs = connection.execute(select(FLOW.c.reporter, FLOW.c.year).where(*here).distinct()).all()
    return {"reporters": sorted({row[0] for row in pairs}), "years": sorted({row[1] for row in pairs})}
