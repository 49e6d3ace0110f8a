"""Taking an import back, by a new release: its rows end, what they revised holds again, nothing is deleted."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, literal, not_, or_, select, update

from app import fault
from app.codes import ReleaseKind
from app.db import Database
from app.errors import CannotWithdraw
from app.ingest.publish import Changes, Counts, Dataset, add_release, compare, next_release, write
from app.ingest.staging import FLOW, alike, has_rows
from app.models import Release, SearchEntry, Source, TradeFlow


def withdraw(database: Database, number: int, now: datetime | None = None) -> int:
    """Take the release of an import back; give the number of the release that does. Raises CannotWithdraw."""
    with database.publishing() as connection:
        source = source_of(connection, number)
        later = next_release(connection)
        counts = {TradeFlow.__tablename__: take_rows_back(connection, source, number, later)}
        ending = {} if has_rows(connection, source) else said_of(connection, source)
        counts |= {
            model.__tablename__: {"added": 0, "changed": 0, "removed": len(keys)} for model, keys in ending.items()
        }
        told = {name: count for name, count in counts.items() if any(count.values())}
        add_release(connection, later, ReleaseKind.WITHDRAWAL, source, None, told, now, withdraws=number)
        for model, keys in ending.items():
            write(connection, model, Changes([], [], keys), later)
        fault.point("withdraw.commit")
    fault.point("withdraw.committed")
    return later


def source_of(connection: Connection, number: int) -> str:
    """Give the source of an import that can be taken back. Raises CannotWithdraw."""
    found = connection.execute(select(Release.kind, Release.source).where(Release.id == number)).first()
    if found is None:
        raise CannotWithdraw(f"there is no release {number}")
    if found.kind != ReleaseKind.IMPORT:
        raise CannotWithdraw(f"release {number} is of the kind {found.kind}: only an import can be taken back")
    if by := connection.execute(select(Release.id).where(Release.withdraws == number)).scalar():
        raise CannotWithdraw(f"release {number} is taken back already, by release {by}")
    if later := repeating(connection, str(found.source), number):
        raise CannotWithdraw(
            f"release {later} repeats rows that release {number} or one before it brought: take release {later} back "
            "first, and import its files again"
        )
    return str(found.source)


def repeating(connection: Connection, source: str, number: int) -> int | None:
    """Give the newest later import that found rows unchanged: such a row is of the release that brought it."""
    withdrawn = select(Release.withdraws).where(Release.withdraws.is_not(None))
    query = select(Release.id, Release.changes).where(Release.source == source, Release.kind == ReleaseKind.IMPORT)
    later = connection.execute(
        query.where(Release.id > number, Release.id.not_in(withdrawn)).order_by(Release.id.desc())
    )
    return next((id for id, changes in later if changes and json.loads(changes)["trade_flows"].get("unchanged")), None)


def take_rows_back(connection: Connection, source: str, number: int, later: int) -> Counts:
    """End the flows that a release says, and give those that hold without it another version.

    What holds of a key is what the newest release says that is not taken back. What a withdrawal gave another version
    is as it was said before, so it goes with the release that said it.
    """
    said, newer = FLOW.alias("said"), FLOW.alias("newer")
    ours = exists().where(same_key(said, FLOW), said.c.release == number)
    revised = exists().where(same_key(newer, FLOW), newer.c.release > number, speaking(newer, number))
    held_again = and_(FLOW.c.release > number, not_(speaking(FLOW, number)), ours, not_(revised))
    ending = update(FLOW).where(FLOW.c.source == source, FLOW.c.superseded_by.is_(None))
    ended = connection.execute(
        ending.where(or_(FLOW.c.release == number, held_again)).values(superseded_by=later)
    ).rowcount
    fault.point("withdraw.ended")
    gone, old, between = FLOW.alias("gone"), FLOW.alias("old"), FLOW.alias("between")
    nearer = exists().where(
        same_key(between, old),
        between.c.release > old.c.release,
        between.c.release < number,
        speaking(between, number),
    )
    names = [column.name for column in FLOW.columns if column.name not in ("release", "superseded_by")]
    held = (
        select(*(old.c[name] for name in names), literal(later))
        .select_from(gone.join(old, same_key(gone, old)))
        .where(gone.c.source == source, gone.c.superseded_by == later)
        .where(old.c.release < number, speaking(old, number), not_(nearer))
    )
    renewed = insert(FLOW).from_select([*names, "release"], held).execution_options(preserve_rowcount=True)
    again = connection.execute(renewed).rowcount
    fault.point("withdraw.renewed")
    return {"added": 0, "changed": again, "removed": ended - again}


def same_key(one: Any, other: Any) -> ColumnElement[bool]:
    """Tell whether two rows are versions of one flow."""
    return alike(one, other, TradeFlow.key)


def speaking(version: Any, number: int) -> ColumnElement[bool]:
    """Tell whether a version is of a release that still says something when `number` is taken back."""
    taken_back = select(Release.withdraws).where(Release.withdraws.is_not(None))
    silent = or_(Release.kind == ReleaseKind.WITHDRAWAL, Release.id == number, Release.id.in_(taken_back))
    said: ColumnElement[bool] = version.c.release.not_in(select(Release.id).where(silent))
    return said


def said_of(connection: Connection, source: str) -> dict[type[Any], list[tuple[Any, ...]]]:
    """Give the keys of what is said of a source itself: they end with its last flow, until it is imported again."""
    nothing = Dataset(source, ReleaseKind.WITHDRAWAL, (source,), "")
    return {model: compare(connection, model, nothing).removed for model in (Source, SearchEntry)}
