"""Invented files in the true formats of UN Comtrade and BACI, and what tests ask of an import of them."""

import csv
import gzip
import io
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import func, select

from app.db import Database
from app.errors import PublishBusy
from app.ingest.importer import Format, Job, Summary, baci_format, blocks_of, comtrade_format, run_import
from app.models import Base, Release, TradeFlow

Row = dict[str, Any]
AREAS = {"": "WLD", "398": "KAZ", "156": "CHN", "842": "USA", "860": "UZB"}
PLUS_HEADER = (
    "typeCode,freqCode,refPeriodId,refYear,refMonth,period,reporterCode,reporterISO,reporterDesc,flowCode,flowDesc,"
    "partnerCode,partnerISO,partnerDesc,partner2Code,partner2ISO,partner2Desc,classificationCode,"
    "classificationSearchCode,isOriginalClassification,cmdCode,cmdDesc,aggrLevel,isLeaf,customsCode,customsDesc,"
    "mosCode,motCode,motDesc,qtyUnitCode,qtyUnitAbbr,qty,isQtyEstimated,altQtyUnitCode,altQtyUnitAbbr,altQty,"
    "isAltQtyEstimated,netWgt,isNetWgtEstimated,grossWgt,isGrossWgtEstimated,cifvalue,fobvalue,primaryValue,"
    "legacyEstimationFlag,isReported,isAggregate"
)
PLUS = PLUS_HEADER.split(",")
PLUS_ROW = {
    **{"typeCode": "C", "freqCode": "A", "refPeriodId": "20230101", "refYear": "2023", "refMonth": "52"},
    **{"period": "2023", "reporterCode": "398", "reporterISO": "KAZ", "reporterDesc": "Kazakhstan"},
    **{"flowCode": "X", "flowDesc": "Export", "partnerCode": "156", "partnerISO": "CHN", "partnerDesc": "China"},
    **{"partner2Code": "0", "partner2ISO": "W00", "partner2Desc": "World", "classificationCode": "H6"},
    **{"classificationSearchCode": "HS", "isOriginalClassification": "true", "cmdCode": "740311"},
    **{"cmdDesc": "Invented copper", "aggrLevel": "6", "isLeaf": "true", "customsCode": "C00"},
    **{"customsDesc": "TOTAL CPC", "mosCode": "0", "motCode": "0", "motDesc": "TOTAL MOT", "qtyUnitCode": "8"},
    **{"qtyUnitAbbr": "kg", "qty": "250", "isQtyEstimated": "false", "altQtyUnitCode": "-1"},
    **{"altQtyUnitAbbr": "N/A", "altQty": "0", "isAltQtyEstimated": "false", "netWgt": "250"},
    **{"isNetWgtEstimated": "false", "grossWgt": "0", "isGrossWgtEstimated": "false", "cifvalue": ""},
    **{"fobvalue": "1000", "primaryValue": "1000", "legacyEstimationFlag": "0", "isReported": "true"},
    **{"isAggregate": "false"},
}
FLOW: Row = {
    **{"reporter": "KAZ", "partner": "CHN", "flow": "export", "product": "740311", "classification": "H6"},
    **{"frequency": "A", "period": "2023", "breakdown": "-", "value_usd": 1000, "net_weight_kg": 250.0},
    **{"net_weight_estimated": False, "valuation": "FOB", "obs_status": "A"},
}
"""What PLUS_ROW is as a flow."""
LEGACY_HEADER = (
    "Classification,Year,Period,Period Desc.,Aggregate Level,Is Leaf Code,Trade Flow Code,Trade Flow,Reporter Code,"
    "Reporter,Reporter ISO,Partner Code,Partner,Partner ISO,2nd Partner Code,2nd Partner,2nd Partner ISO,"
    "Customs Proc. Code,Customs,Mode of Transport Code,Mode of Transport,Commodity Code,Commodity,Qty Unit Code,"
    "Qty Unit,Qty,Alt Qty Unit Code,Alt Qty Unit,Alt Qty,Netweight (kg),Gross weight (kg),Trade Value (US$),"
    "CIF Trade Value (US$),FOB Trade Value (US$),Flag"
)
LEGACY = LEGACY_HEADER.split(",")
LEGACY_ROW = {
    **{"Classification": "S4", "Year": "2010", "Period": "2010", "Period Desc.": "2010", "Aggregate Level": "2"},
    **{"Is Leaf Code": "0", "Trade Flow Code": "2", "Trade Flow": "Export", "Reporter Code": "398"},
    **{"Reporter": "Kazakhstan", "Reporter ISO": "KAZ", "Partner Code": "156", "Partner": "China, invented"},
    **{"Partner ISO": "CHN", "Commodity Code": "00", "Commodity": "Live animals", "Qty Unit Code": "1"},
    **{"Qty Unit": "No Quantity", "Trade Value (US$)": "700", "Flag": "0"},
}
SHORT_HEADER = (
    "Classification,Year,Trade Flow Code,Trade Flow,Reporter Code,Reporter,Partner Code,Partner,Commodity Code,"
    "Commodity,Trade Value (US$),Flag"
)
SHORT = SHORT_HEADER.split(",")
BACI = ("t", "i", "j", "k", "v", "q")
BACI_ROW = {"t": "2021", "i": "398", "j": "156", "k": "740311", "v": "1.500", "q": "0.250"}


def comtrade_text(*rows: Mapping[str, str], names: Sequence[str] = PLUS, trailing: bool = True) -> str:
    """Give a file of today's layout: each row is PLUS_ROW but for what it says; filled fields are quoted."""
    lines = [",".join(names)]
    for row in rows:
        fields = ({**PLUS_ROW, **row}[name] for name in PLUS)
        lines.append(",".join(f'"{one}"' if one else "" for one in fields) + ("," if trailing else ""))
    return "\n".join(lines) + "\n"


def table_text(names: Sequence[str], usual: Mapping[str, str], *rows: Mapping[str, str]) -> str:
    """Give a plain CSV file: each row is the usual one but for what it says, blank where neither says."""
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**usual, **row} for row in rows)
    return out.getvalue()


def legacy_text(*rows: Mapping[str, str]) -> str:
    """Give a file of the layout of 35 columns."""
    return table_text(LEGACY, LEGACY_ROW, *rows)


def short_text(*rows: Mapping[str, str]) -> str:
    """Give a file of the layout of 12 columns."""
    usual = {name: value for name, value in LEGACY_ROW.items() if name in SHORT}
    return table_text(SHORT, {**usual, "Classification": "H5"}, *rows)


def baci_text(*rows: Mapping[str, str]) -> str:
    """Give a BACI file."""
    return table_text(BACI, BACI_ROW, *rows)


def written(path: Path, text: str | bytes) -> Path:
    """Write a file, compressed as its name says; give its path."""
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)
    return path


def zipped(path: Path, **members: str) -> Path:
    """Write an archive of the members, an underscore for the dot of each name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return path


def partners(count: int, **more: str) -> list[Row]:
    """Give rows whose keys differ by product, with values 1001, 1002 and so on."""
    return [{"cmdCode": f"{n:06}", "primaryValue": str(1000 + n), **more} for n in range(1, count + 1)]


def parsed(path: Path, form: Format | None = None) -> tuple[list[Row], list[Row], dict[str, int]]:
    """Read a file without a database: its flows, its bad lines, and what was left out for which reason."""
    form = form or comtrade_format(all_breakdowns=False)
    flows: list[Row] = []
    bad: list[Row] = []
    left_out: Counter[str] = Counter()
    for _, name, block in blocks_of(path, form):
        found = form.parse_of(name)(block.rows, AREAS)
        flows += found.flows.drop("line").to_dicts()
        bad += pl.concat([block.bad, found.bad]).drop("text").to_dicts()
        left_out.update(found.left_out)
    return flows, bad, dict(left_out)


def take(database: Database, *paths: Path, form: Format | None = None, **more: Any) -> Summary:
    """Import files; bad rows are told beside the first."""
    report = paths[0].with_name("bad.csv")
    return run_import(database, Job(paths, form or comtrade_format(False), report, **more))


def take_baci(database: Database, *paths: Path, version: str = "V202301", **more: Any) -> Summary:
    """Import BACI files of HS 1992."""
    return take(database, *paths, form=baci_format(version, "92", ()), **more)


def counts(done: Summary) -> dict[str, int]:
    """Give what came of an import, and prove that its counts add up to the rows read."""
    told = {"added": done.added, "revised": done.revised, "unchanged": done.unchanged}
    told |= {"left_out": done.left_out.total(), "bad": done.bad}
    assert sum(told.values()) == done.read
    return {name: count for name, count in told.items() if count}


def stored(database: Database, source: str = "un-comtrade", *names: str) -> list[tuple[Any, ...]]:
    """Give the current flows of a source, in the order of their keys."""
    columns = [getattr(TradeFlow, name) for name in names or FLOW]
    query = select(*columns).where(TradeFlow.source == source, TradeFlow.superseded_by.is_(None))
    order = [getattr(TradeFlow, name) for name in TradeFlow.key]
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(*order))]


def values(database: Database, source: str = "un-comtrade") -> dict[str, int]:
    """Give the current value of each product of a source."""
    return {row[0]: row[1] for row in stored(database, source, "product", "value_usd")}


def last_release(database: Database) -> Row:
    """Give the newest release."""
    with database.read() as connection:
        query = select(*Release.__table__.c).order_by(Release.id.desc()).limit(1)
        return dict(connection.execute(query).mappings().one())


def everything(database: Database) -> dict[str, int]:
    """Count the rows of every table."""
    with database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Base.metadata.tables.items()
        }


def reported(path: Path) -> list[tuple[str, int, str]]:
    """Give file, line and reason of each bad row of a report."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["file"], int(row["line"]), row["reason"]) for row in csv.DictReader(file)]


COMMAND = "import app.cli; app.cli.main()"


def start(database: Database, *arguments: str | Path, code: str = COMMAND) -> subprocess.Popen[str]:
    """Start a `khorgos` command over a database."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "KHORGOS_DATABASE_URL": database.settings.database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(database: Database, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command; give its exit status, output and errors."""
    process = start(database, *arguments)
    out, errors = process.communicate()
    return process.returncode, out, errors


def state(database: Database) -> tuple[int, int, int]:
    """Count the releases, the flows of UN Comtrade and those of them that are of no release."""
    ours = select(func.count()).select_from(TradeFlow).where(TradeFlow.source == "un-comtrade")
    known = select(Release.id)
    with database.read() as connection:
        releases = connection.execute(select(func.count()).select_from(Release)).scalar_one()
        flows = connection.execute(ours).scalar_one()
        return releases, flows, connection.execute(ours.where(TradeFlow.release.not_in(known))).scalar_one()


def settled(database: Database) -> list[tuple[Any, ...]]:
    """Give flows once the server has seen that its client is dead; SQLite has seen it already."""
    for _ in range(200):
        try:
            with database.staging():
                return stored(database, "un-comtrade", "product", "period", "value_usd")
        except PublishBusy:
            time.sleep(0.05)
    raise AssertionError("the lock of a dead importer is held")
