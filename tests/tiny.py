"""A small article as a seed folder, and what tests ask of a database that it was published to."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.errors import SeedInvalid
from app.ingest.publish import MODELS
from app.ingest.seeds import seed
from app.models import Base, Release
from app.names import visible

TINY = """\
sources:
  - slug: tiny
    kind: article
    title: A tiny article
    publisher: Nobody
    language: en

figures:
  - id: tiny-exports
    as_stated: "$1.5 billion"
    value: 1_500_000_000
    unit: USD
    qualifier: exact
    start: 0
    end: 24
    exact: "exports of $1.5 billion."

topics:
  - slug: apples
    name: Apples
    summary: Round fruit.
  - slug: pears
    name: Pears

experts:
  - slug: ada
    name: Ada Apfel
    country: KAZ
    role: expert

quotes:
  - id: q-ada
    expert: ada
    kind: direct
    text: "Apples are round."
    topics: [apples, trade]
    start: 30
    end: 47
    exact: "Apples are round."
    speaker_basis: stated

trade_flows:
  - reporter: KAZ
    partner: CHN
    flow: export
    period: "2025-01/2025-03"
    value_usd: 1_500_000_000
    inferred: [period]
    note: It follows from the date.
    evidence:
      value_usd: tiny-exports
      flow: {exact: "exports", start: 0, end: 7}

trade_shares:
  - slug: tiny-share
    reporter: KAZ
    partner: CHN
    flow: export
    within: WLD
    share_percent: 12.5
    period: "--01/--04"
"""


def write(folder: Path, text: str | bytes, name: str = "tiny.yaml") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def line(text: str, words: str) -> int:
    """Give the line on which words stand for the first time."""
    return text[: text.index(words)].count("\n") + 1


def newest(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.max(Release.id))).scalar() or 0


def rows_of(database: Database) -> dict[str, list[Any]]:
    """Give every row of every table."""
    with database.read() as connection:
        return {
            name: sorted(map(repr, connection.execute(select(table)).all()))
            for name, table in Base.metadata.tables.items()
        }


def touched(database: Database, column: str, release: int) -> dict[str, list[str]]:
    """Give the keys of the rows that a release added (`release`) or ended (`superseded_by`)."""
    found = {}
    with database.read() as connection:
        for model in MODELS:
            query = select(*(model.__table__.c[name] for name in model.key)).where(model.__table__.c[column] == release)
            if keys := sorted("/".join(map(str, row)) for row in connection.execute(query)):
                found[model.__tablename__] = keys
    return found


def value(database: Database, column: Any, release: int, *where: Any) -> Any:
    """Give one value as of a release; null where there is no row."""
    with database.read() as connection:
        return connection.execute(select(column).where(visible(column.class_, release), *where)).scalar_one_or_none()


def release_row(database: Database, number: int) -> Any:
    with database.read() as connection:
        return connection.execute(select(Release.__table__).where(Release.id == number)).mappings().one()


def refused(database: Database, directory: Path) -> str:
    with pytest.raises(SeedInvalid) as refusal:
        seed(database, directory)
    return refusal.value.detail
