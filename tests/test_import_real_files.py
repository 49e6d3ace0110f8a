"""The real files that lie beside a checkout of the project's house import whole; elsewhere there is nothing to test."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Workshop
from sqlalchemy import func, select
from trade_files import counts, take

from app.db import Database
from app.ingest.baci import read_codes
from app.ingest.importer import read_areas
from app.models import TradeFlow

DATA = Path(__file__).parents[2] / "shared" / "data"
THAILAND = "tha_8542_imports_2014_2024.csv"
FILES = {
    THAILAND: {"added": 1178},
    "services_usa_deu_chn.csv": {"added": 120},
    "comtrade.csv": {"added": 3184},
    "us_cn_monthly_or_total.csv": {"added": 290},
}
OFF = {2014: -3, 2015: -1, 2016: 1, 2017: 3, 2018: -8, 2019: -1, 2020: 5, 2021: 3, 2022: 4, 2023: -1, 2024: 0}
"""Dollars by which the World differs from its partners: each row is rounded to whole dollars, in 2014 by Comtrade."""
CODES = {
    "country_codes_V202201.csv": (238, 0),
    "country_codes_V202301.csv": (238, 0),
    "product_codes_HS17_V202201.csv": (0, 5384),
    "product_codes_HS92_V202301.csv": (0, 5021),
}
HERE = [name for name in FILES if (DATA / "comtrade" / name).exists()]
HAS_THAILAND = [THAILAND] if THAILAND in HERE else []


@pytest.fixture(scope="module")
def imported(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database that the real files are imported to."""
    database = workshop.copy(engine)
    yield database
    workshop.remove(database)


@pytest.mark.parametrize("name", HERE)
def test_every_row_of_a_real_file_is_accounted_for(imported: Database, name: str, tmp_path: Path) -> None:
    link = tmp_path / name
    link.symlink_to(DATA / "comtrade" / name)
    assert counts(take(imported, link, dry_run=True)) == FILES[name]


@pytest.mark.parametrize("name", HAS_THAILAND)
def test_the_partners_of_thailand_make_the_world_but_for_rounding(
    imported: Database, name: str, tmp_path: Path
) -> None:
    link = tmp_path / name
    link.symlink_to(DATA / "comtrade" / name)
    take(imported, link)
    is_world = TradeFlow.partner == "WLD"
    query = select(TradeFlow.year, is_world, func.count(), func.sum(TradeFlow.value_usd))
    ours = query.where(TradeFlow.reporter == "THA", TradeFlow.source == "un-comtrade")
    with imported.read() as connection:
        rows = connection.execute(ours.group_by(TradeFlow.year, is_world)).all()
    world = {year: int(total) for year, whole, _, total in rows if whole}
    sums = {year: int(total) for year, whole, _, total in rows if not whole}
    assert sum(count for _, _, count, _ in rows) == 1178
    assert Counter(bool(whole) for _, whole, _, _ in rows) == {True: 11, False: 11}
    assert {year: world[year] - sums[year] for year in world} == OFF


@pytest.mark.parametrize("name", [name for name in CODES if (DATA / "baci" / name).exists()])
def test_the_real_tables_of_baci_are_read(seeded: Database, name: str) -> None:
    found = read_codes([DATA / "baci" / name])
    with seeded.read() as connection:
        areas = read_areas(connection)
    assert (len(found.areas), len(found.products)) == CODES[name]
    assert {len(code) for code in found.products} <= {6}
    assert [number for number in found.areas if number not in areas] == []
