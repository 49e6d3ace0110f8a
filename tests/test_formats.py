"""The formats of tables: each has the rows of JSON, in the types that its readers know, and fails where it is seen."""

import csv
import gc
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xlsxwriter.worksheet
from conftest import ENGINES, NOW, Workshop
from hypothesis import given
from hypothesis import strategies as some
from openpyxl.utils.escape import unescape  # Excel does it itself
from pyarrow import parquet
from starlette.testclient import TestClient
from test_http import (
    FLOWS,
    NAMES,
    OPERATIONS,
    PARQUET,
    SOURCE,
    STREAMED,
    URLS,
    XLSX,
    assert_problem,
    flow,
    project,
    publish_invented,
    served,
    service,
)

import app.answer
import app.formats.parquet
from app.db import Database
from app.formats import WRITTEN
from app.formats.base import Column, Format, Kind, Repeated, Sheet
from app.formats.csv import FORMULA, CsvWriter
from app.formats.json_stat import DIMENSIONS
from app.models import Project, Source, TradeFlow

Row = dict[str, Any]
TABLES = {
    path: URLS[path]
    for path, one in OPERATIONS.items()
    if {"format", "fields"} <= {parameter["name"] for parameter in one.get("parameters", ())}
}
"""A request of every list and of every computed table."""
TABLES |= {"wide": f"{FLOWS}?shape=wide&frequency=A", "latest": f"{FLOWS}?latest=true"}
WHOLE_TABLES = ("/v1/trade/compare", "/v1/projects/summary", "/v1/checks")
"""Those that are computed, and have no pages."""
BEYOND = 2**53 + 1
ODD_NAMES = [*NAMES, "_x0041_ is no escape", "\u2028 line", "\ufeffmark", " blanks around ", "'"]
"""The first whole number that no double is."""


def also(url: str, query: str) -> str:
    """Ask a request for more."""
    return f"{url}{'&' if '?' in url else '?'}{query}"


# Rows that are hard to write

WEIGHTS = [None, 0.1 + 0.2, 1e17, 2.0**60, 1234.5, 0.0, 7.0]
ODD_FLOWS = [
    *(flow(number, net_weight_kg=weight, note=ODD_NAMES[number]) for number, weight in enumerate(WEIGHTS)),
    flow(10, value_usd=2**62 + 1, net_weight_kg=5.5, net_weight_estimated=True),
    flow(11, value_usd=BEYOND, net_weight_kg=5.5, net_weight_estimated=False),
    flow(12, value_usd=0, obs_status="E"),
    *(flow(13, **{name: value}) for name, value in (("stated_by", "kaz-bns"), ("breakdown", "0_C00_0_1000"))),
    *(flow(13, classification=edition) for edition in ("-", "H5", "S4")),
]
OLD_BOOK = {**SOURCE, "slug": "old-book", "source": "old-book", "published_on": date(1898, 5, 1), "licence": "=1+1"}


@pytest.fixture(scope="module")
def both(workshop: Workshop) -> Iterator[dict[str, TestClient]]:
    """Give clients of both engines over one and the same data, the seeds and rows that are hard to write."""
    with ExitStack() as stack:
        made = {}
        for engine in ENGINES:
            database = workshop.copy(engine)
            stack.callback(workshop.remove, database)
            projects = [project(number, name) for number, name in enumerate(ODD_NAMES)]
            publish_invented(database, {Source: [SOURCE, OLD_BOOK], Project: projects, TradeFlow: ODD_FLOWS})
            made[engine] = stack.enter_context(service(database))
        yield made


@pytest.fixture(scope="module")
def rich(both: dict[str, TestClient], engine: str) -> TestClient:
    """Give each of them in turn."""
    return both[engine]


def rows_of(client: TestClient, url: str) -> list[Row]:
    """Give the rows of a table as JSON has them, page by page."""
    following: str | None = url if url.partition("?")[0] in WHOLE_TABLES else also(url, "limit=1000")
    rows = []
    while following:
        response = client.get(following)
        assert response.status_code == 200, response.text
        rows += response.json()["data"]
        following = response.json()["links"]["next"]
    return rows


def is_nested(value: Any) -> bool:
    """Whether a value is no cell of its own."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def flat(row: Row, spreads: bool) -> Row:
    """Give a row of JSON as a format without nesting must have it."""
    found: Row = {}
    for name, value in row.items():
        if name == "evidence":
            found[name] = list(dict.fromkeys(one["figure"] for one in value if one["figure"]))
        elif name == "values" and spreads:
            found |= value
        else:
            found[name] = value
    return found


def assert_cell(value: Any, wanted: Any, name: str) -> None:
    """Hold a cell that was read to the value that JSON has."""
    if isinstance(wanted, dict | list) and isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(wanted)
        assert value.replace(tzinfo=UTC) == (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), name
    elif isinstance(value, date):
        assert value.isoformat() == wanted, name
    else:
        assert value == wanted, name
        assert isinstance(value, bool) == isinstance(wanted, bool), name


def assert_rows(found: Sequence[Row], wanted: Sequence[Row], spreads: bool) -> None:
    """Hold rows that were read to those of JSON, in their order."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        expected = flat(other, spreads)
        assert list(one) == list(expected)
        for name, value in expected.items():
            assert_cell(one[name], value, name)


# Every format, every table


@pytest.mark.parametrize("table", TABLES)
def test_ndjson_has_the_rows_of_json(rich: TestClient, table: str) -> None:
    response = rich.get(also(TABLES[table], "format=ndjson"))
    found = [json.loads(line) for line in response.content.splitlines()]
    assert_rows(found, rows_of(rich, TABLES[table]), spreads=False)


@pytest.mark.parametrize("table", [table for table in TABLES if table not in (*WHOLE_TABLES, "wide")])
def test_array_is_the_rows_of_json_without_envelope(rich: TestClient, table: str) -> None:
    response = rich.get(also(TABLES[table], "shape=array"))
    assert response.headers["content-type"] == "application/json"
    assert "content-disposition" not in response.headers
    assert response.json() == rows_of(rich, TABLES[table])


@pytest.mark.parametrize("table", TABLES)
def test_parquet_has_the_rows_of_json(rich: TestClient, table: str) -> None:
    response = rich.get(also(TABLES[table], "format=parquet"))
    assert (response.status_code, response.headers["content-type"]) == (200, PARQUET)
    assert_rows(parquet.read_table(io.BytesIO(response.content)).to_pylist(), rows_of(rich, TABLES[table]), True)


@pytest.mark.parametrize("table", TABLES)
def test_csv_has_the_rows_of_json(rich: TestClient, table: str) -> None:
    content = rich.get(also(TABLES[table], "format=csv")).content.decode()
    found = list(csv.DictReader(io.StringIO(content, newline=""), strict=True))
    wanted = [flat(row, spreads=True) for row in rows_of(rich, TABLES[table])]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert list(one) == list(other)
        for name, value in other.items():
            assert_text(one[name], value, name)


def assert_text(cell: str, wanted: Any, name: str) -> None:
    """Hold a cell of CSV to the value that JSON has."""
    if cell.startswith(("{", "[")) and isinstance(wanted, dict | list):
        assert json.loads(cell) == wanted, name
    elif isinstance(wanted, bool):
        assert cell == ("true" if wanted else "false"), name
    elif isinstance(wanted, int | float):
        assert type(wanted)(cell) == wanted, name
    elif isinstance(wanted, list):
        assert cell == ";".join(wanted), name
    elif wanted and wanted.startswith(FORMULA):
        assert cell == f"'{wanted}", name
    else:
        assert cell == (wanted or ""), name


@pytest.mark.parametrize("table", TABLES)
def test_xlsx_has_the_rows_of_json(rich: TestClient, table: str) -> None:
    response = rich.get(also(TABLES[table], "format=xlsx"))
    assert (response.status_code, response.headers["content-type"]) == (200, XLSX)
    header, *found = openpyxl.load_workbook(io.BytesIO(response.content))["Data"].iter_rows(values_only=True)
    wanted = [flat(row, spreads=True) for row in rows_of(rich, TABLES[table])]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert list(header) == list(other)
        for name, cell in zip(header, one, strict=True):
            assert_excel(cell, other[name], name)


def assert_excel(cell: Any, wanted: Any, name: str) -> None:
    """Hold a cell of a workbook to the value that JSON has: a number to fifteen digits, or as text to all."""
    if isinstance(wanted, list) and not is_nested(wanted) and not str(cell).startswith("["):
        assert (cell or "") == ";".join(wanted), name
    elif isinstance(wanted, int | float) and not isinstance(wanted, bool) and isinstance(cell, str):
        assert (int(cell), abs(int(cell)) > 10**15) == (wanted, True), name
    elif isinstance(wanted, float):
        assert cell == pytest.approx(wanted, rel=1e-15), name
    else:
        assert_cell(unescape(cell) if isinstance(cell, str) else cell, wanted, name)


FORMATS = ("format=csv", "format=ndjson", "format=parquet", "format=xlsx", "shape=array", "format=json-stat")


def takes(table: str, query: str) -> bool:
    """Whether a table has a format."""
    of_lists = "array" in query and table in (*WHOLE_TABLES, "wide")
    return not of_lists and ("json-stat" not in query or table in (FLOWS, "latest"))


@pytest.mark.parametrize(("table", "query"), [one for one in product(TABLES, FORMATS) if takes(*one)])
def test_both_engines_write_the_same_bytes(both: dict[str, TestClient], table: str, query: str) -> None:
    one, other = (client.get(also(TABLES[table], query)) for client in both.values())
    assert (one.status_code, one.content) == (200, other.content)
    assert one.headers["etag"] == other.headers["etag"]


@pytest.mark.parametrize("query", FORMATS)
def test_page_of_a_format_is_the_page_of_json(rich: TestClient, query: str) -> None:
    asked = f"{FLOWS}?limit=5&sort=-id"
    link, links = rich.get(asked).links["next"]["url"], rich.get(f"{asked}&{query}").links
    assert links["next"]["url"].partition("cursor=")[2].partition("&")[0] in link


# CSV


TEXTS = some.text(some.characters(codec="utf-8"), max_size=12)
RISKY = some.sampled_from(["=", "+", "-", "@", "\t", "\r", "\n", '"', ",", "'", ";", " "])


@given(some.lists(some.tuples(*[some.none() | some.lists(RISKY | TEXTS, max_size=4).map("".join)] * 2), max_size=8))
def test_csv_gives_back_any_text(rows: list[tuple[str | None, str | None]]) -> None:
    for width in (1, 2):
        taken = [row[:width] for row in rows]
        columns = tuple(Column(f"c{place}", Kind.TEXT) for place in range(width))
        writer = CsvWriter(Sheet("made", columns, 1, "/", lambda _: []))
        content = writer.start() + writer.rows(list(zip(*taken, strict=True))) + b"".join(writer.end())
        _, *found = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        assert found == [[f"'{one}" if (one or "").startswith(FORMULA) else one or "" for one in row] for row in taken]


KINDS = (
    Column("code", Kind.TEXT),
    Column("day", Kind.DAY),
    Column("is_it", Kind.TRUTH),
    Column("words", Kind.LIST),
    Column("value", Kind.INTEGER),
    Column("weight", Kind.NUMBER),
    Column("told", Kind.TEXT),
)
MANY = (
    some.sampled_from([None, "KAZ", "a,b", "=1"]),
    some.sampled_from([None, date(2024, 1, 1), date(2025, 4, 30)]),
    some.sampled_from([None, False, True]),
    some.sampled_from([[], ["reporter"], ["a", "b"]]),
    some.integers(0, 2**53),
    some.one_of(some.none(), some.integers(0, 9), some.floats(0, 1e9)),
    some.text(max_size=3),
)


@pytest.mark.parametrize("name", ["csv", "ndjson", "array", "parquet"])
@given(rows=some.lists(some.tuples(*MANY), min_size=1, max_size=20), repeated=some.sets(some.integers(0, 6)))
def test_columns_that_repeat_are_written_as_any_others(name: str, rows: list[Row], repeated: set[int]) -> None:
    columns = list(zip(*rows, strict=True))
    together = list(dict.fromkeys(repr(row) for row in rows))
    places = [together.index(repr(row)) for row in rows]
    firsts = [places.index(number) for number in range(len(together))]
    packed = [
        Repeated([column[first] for first in firsts], places) if place in repeated else column
        for place, column in enumerate(columns)
    ]
    sheet = Sheet("invented", KINDS, 1, "/v1/invented", lambda slugs: [])
    plainly, shortly = (WRITTEN[name].writer(sheet) for _ in range(2))
    assert shortly.rows(packed) == plainly.rows(columns)
    assert b"".join(shortly.end()) == b"".join(plainly.end())


def test_csv_of_one_column_has_a_record_for_each_row(rich: TestClient) -> None:
    content = rich.get(f"{FLOWS}?fields=note&format=csv").content
    assert len(pd.read_csv(io.BytesIO(content))) == len(rows_of(rich, FLOWS))


# Parquet


def table_of(client: TestClient, url: str) -> pa.Table:
    """Give the table of a request, read back."""
    return parquet.read_table(io.BytesIO(client.get(also(url, "format=parquet")).content))


def test_parquet_has_a_type_for_each_kind_of_column(rich: TestClient) -> None:
    schema = table_of(rich, FLOWS).schema
    kinds = {
        "reporter": pa.string(),
        "period_start": pa.date32(),
        "year": pa.int64(),
        "value_usd": pa.int64(),
        "net_weight_kg": pa.float64(),
        "net_weight_estimated": pa.bool_(),
        "inferred": pa.list_(pa.string()),
        "evidence": pa.list_(pa.string()),
        "note": pa.string(),
    }
    assert {name: schema.field(name).type for name in kinds} == kinds
    assert table_of(rich, "/v1/releases").schema.field("published_at").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("url", "narrowed"),
    [
        (FLOWS, f"{FLOWS}?year=1999"),
        (f"{FLOWS}?fields=year,evidence", f"{FLOWS}?fields=year,evidence&year=1999&limit=5"),
        ("/v1/trade/shares", "/v1/trade/shares?year=1999"),
        ("/v1/trade/compare?reporter=KAZ&partner=CHN", "/v1/trade/compare?reporter=ITA&partner=JPN"),
        ("/v1/checks", "/v1/checks?source=old-book"),
    ],
)
def test_parquet_has_the_same_columns_when_empty(rich: TestClient, url: str, narrowed: str) -> None:
    empty, whole = table_of(rich, narrowed), table_of(rich, url)
    assert (empty.num_rows, whole.num_rows > 0) == (0, True)
    assert empty.schema.equals(whole.schema)


def test_parquet_says_what_columns_mean_and_which_release_it_is(rich: TestClient) -> None:
    schema = table_of(rich, f"{FLOWS}?fields=value_usd,evidence").schema
    assert schema.field("value_usd").metadata[b"description"] == b"whole current US dollars"
    assert schema.field("evidence").metadata[b"description"] == b"figures whose words stand behind the row"
    release = rich.get(FLOWS).json()["meta"]["release"]
    assert schema.metadata[b"khorgos.release"] == str(release).encode()
    assert schema.metadata[b"khorgos.link"].startswith(FLOWS.encode())


def test_parquet_has_codes_by_dictionary(rich: TestClient) -> None:
    group = parquet.ParquetFile(io.BytesIO(rich.get(f"{FLOWS}?format=parquet").content)).metadata.row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    for name in ("reporter", "partner", "flow", "product", "frequency", "source", "obs_status"):
        assert "RLE_DICTIONARY" in columns[name].encodings, name
        assert columns[name].has_dictionary_page


@pytest.mark.parametrize("rows", [1, 7, 10, 1000])
def test_parquet_has_row_groups_of_one_size(rich: TestClient, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.formats.parquet, "GROUP", rows)
    monkeypatch.setattr(app.answer, "BATCH", 3)
    content = rich.get(f"{FLOWS}?fields=id&sort=-id&format=parquet&value_min={rows}").content
    file = parquet.ParquetFile(io.BytesIO(content))
    wanted = [row["id"] for row in rows_of(rich, f"{FLOWS}?fields=id&sort=-id&value_min={rows}")]
    sizes = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
    assert file.read()["id"].to_pylist() == wanted
    assert sizes == [rows] * (len(wanted) // rows) + ([len(wanted) % rows] if len(wanted) % rows else [])


READERS: dict[str, Callable[[Path], list[Row]]] = {
    "pyarrow": lambda path: parquet.read_table(path).to_pylist(),
    "pandas": lambda path: pd.read_parquet(path, dtype_backend="pyarrow").to_dict("records"),
    "polars": lambda path: pl.read_parquet(path).to_dicts(),
    "duckdb": lambda path: duckdb.read_parquet(str(path)).to_arrow_table().to_pylist(),
}


@pytest.mark.parametrize("reader", READERS)
def test_parquet_is_read_alike_by_who_reads_it(both: dict[str, TestClient], reader: str, tmp_path: Path) -> None:
    path = tmp_path / "flows.parquet"
    names = "id,reporter,period_start,year,value_usd,net_weight_kg,net_weight_estimated,note"
    path.write_bytes(both["sqlite"].get(f"{FLOWS}?format=parquet&fields={names}").content)
    found = [{name: None if value is pd.NA else value for name, value in row.items()} for row in READERS[reader](path)]
    assert_rows(found, rows_of(both["sqlite"], f"{FLOWS}?fields={names}"), spreads=True)


# Excel


def book_of(client: TestClient, url: str) -> Any:
    """Give the workbook of a request."""
    response = client.get(also(url, "format=xlsx"))
    assert response.status_code == 200, response.text
    return openpyxl.load_workbook(io.BytesIO(response.content))


def sheet(book: Any, name: str) -> list[Row]:
    """Give the rows of a sheet by its header."""
    header, *rows = book[name].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_xlsx_keeps_what_looks_like_a_formula_as_text(rich: TestClient) -> None:
    book = book_of(rich, "/v1/projects?source=invented&fields=slug,name,source")
    cells = [row[1] for row in book["Data"].iter_rows(min_row=2)]
    assert [unescape(cell.value) for cell in cells] == ODD_NAMES
    assert {cell.data_type for cell in cells} == {"s"}
    book = book_of(rich, "/v1/sources")
    for name in ("Data", "Sources"):
        (old,) = [row for row in book[name].iter_rows(min_row=2) if row[0].value == "old-book"]
        assert [cell.data_type for cell in old if cell.value == "=1+1"] == ["s"]


def test_xlsx_has_dates_as_dates_and_older_ones_than_it_knows_as_text(rich: TestClient) -> None:
    days = [
        row[0] for row in book_of(rich, f"{FLOWS}?fields=period_start&source=invented")["Data"].iter_rows(min_row=2)
    ]
    assert {(cell.is_date, cell.value, cell.number_format) for cell in days} == {
        (True, datetime(2023, 1, 1), "yyyy-mm-dd")
    }
    known = {row["slug"]: row["published_on"] for row in sheet(book_of(rich, "/v1/sources"), "Data")}
    assert known["old-book"] == "1898-05-01"
    assert sheet(book_of(rich, "/v1/releases"), "Data")[0]["published_at"] == NOW.replace(tzinfo=None)


def test_xlsx_has_every_digit_of_large_whole_numbers(rich: TestClient) -> None:
    data = sheet(book_of(rich, f"{FLOWS}?fields=product,value_usd&source=invented"), "Data")
    values = {row["product"]: row["value_usd"] for row in data}
    assert (values["000010"], values["000011"], values["000012"]) == (str(2**62 + 1), str(BEYOND), 0)


@pytest.mark.parametrize(
    ("url", "slugs"),
    [
        (f"{FLOWS}?source=invented", {"invented"}),
        (f"{FLOWS}?source=invented&limit=2", {"invented"}),
        ("/v1/trade/compare?reporter=KAZ&partner=CHN&year=2023&product=000001&fields=flow", {"invented"}),
        ("/v1/trade/totals?group_by=year&source=invented", {"invented"}),
        ("/v1/sources?sort=-slug&limit=1", {"old-book"}),
        (f"{FLOWS}?year=1999", set()),
    ],
)
def test_xlsx_cites_the_sources_of_its_rows(rich: TestClient, url: str, slugs: set[str]) -> None:
    cited = sheet(book_of(rich, url), "Sources")
    assert {row["slug"] for row in cited} == slugs
    for row in cited:
        year = "1898" if row["slug"] == "old-book" else "n.d."
        assert row["citation"] == f"Nobody ({year}). An invented dataset."


def test_xlsx_of_the_article_cites_it(rich: TestClient) -> None:
    source = next(row for row in rows_of(rich, "/v1/sources") if row["kind"] == "article")
    for url in ("/v1/projects/summary", "/v1/checks", "/v1/events", "/v1/figures?limit=3"):
        cited = {row["slug"]: row for row in sheet(book_of(rich, url), "Sources")}[source["slug"]]
        for name in ("title", "publisher", "published_on", "url", "licence"):
            assert cited[name] == source[name]
        assert source["publisher"] in cited["citation"]
        assert source["title"] in cited["citation"]


def test_xlsx_has_notes(rich: TestClient) -> None:
    notes = {row["about"]: row["note"] for row in sheet(book_of(rich, FLOWS), "Notes")}
    assert notes["release"] == str(rich.get(FLOWS).json()["meta"]["release"])
    assert notes["request"] == f"{FLOWS}?format=xlsx"
    assert notes["value_usd"] == "whole current US dollars"
    assert "sources" not in notes
    uncited = {row["about"]: row["note"] for row in sheet(book_of(rich, f"{FLOWS}?fields=id"), "Notes")}
    assert "field source" in uncited["sources"]


def test_xlsx_is_of_the_time_of_its_release(rich: TestClient) -> None:
    content = rich.get(f"{FLOWS}?format=xlsx").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        core = archive.read("docProps/core.xml").decode()
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 31, 0, 0, 0)}
    assert f">{NOW:%Y-%m-%dT%H:%M:%SZ}</dcterms:created>" in core


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of temporary files, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_xlsx_leaves_no_file_behind(rich: TestClient, folder: Path) -> None:
    for url in (f"{FLOWS}?sort=year", "/v1/checks?kind=sum", f"{FLOWS}?year=1999&sort=year"):
        assert rich.get(also(url, "format=xlsx")).status_code == 200
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("where", ["rows", "sources", "close"])
def test_xlsx_that_fails_leaves_no_file_behind(
    seeded: Database, folder: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10_000))
    written = xlsxwriter.worksheet.Worksheet.write_number

    def failing(*given: Any) -> Any:
        if where != "rows" or next(calls) > 20:
            raise OSError("no space left")
        return written(*given)

    places: Mapping[str, tuple[Any, str]] = {
        "rows": (xlsxwriter.worksheet.Worksheet, "write_number"),
        "sources": (app.answer, "cited"),
        "close": (xlsxwriter.Workbook, "_store_workbook"),
    }
    monkeypatch.setattr(*places[where], failing)
    with service(seeded) as client:
        response = client.get(f"{FLOWS}?format=xlsx")
    gc.collect()
    assert_problem(response, 500, "KHG500")
    assert list(folder.iterdir()) == []


def test_xlsx_refuses_text_that_a_cell_would_cut(private_seeded: Database, folder: Path) -> None:
    publish_invented(private_seeded, {TradeFlow: [flow(1, note="long " * 7000)]})
    with service(private_seeded) as client:
        refused = client.get(f"{FLOWS}?source=invented&format=xlsx")
        assert client.get(f"{FLOWS}?source=invented&format=xlsx&fields=id,source").status_code == 200
    gc.collect()
    assert_problem(refused, 422, "KHG106")
    assert "note" in refused.json()["detail"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["xlsx", "json-stat"])
def test_a_format_of_so_many_rows_refuses_more(both: dict[str, TestClient], name: str) -> None:
    client, url = both["sqlite"], f"{FLOWS}?source=invented&breakdowns=true"
    kept: Format = WRITTEN[name]
    with pytest.MonkeyPatch.context() as narrowed:
        narrowed.setitem(WRITTEN, name, replace(kept, most_rows=len(ODD_FLOWS) - 1))
        refused = client.get(f"{url}&sort=id&format={name}")
        narrowed.setitem(WRITTEN, name, replace(kept, most_rows=len(ODD_FLOWS)))
        taken = client.get(f"{url}&sort=-id&format={name}")
        following = client.get(f"{url}&limit=1").links["next"]["url"].replace("&limit=1", "")
        narrowed.setitem(WRITTEN, name, replace(kept, most_rows=len(ODD_FLOWS) - 2))
        assert_problem(client.get(f"{following}&format={name}"), 422, "KHG106")
    assert_problem(refused, 422, "KHG106")
    (error,) = refused.json()["errors"]
    assert (error["parameter"], error["value"]) == ("format", name)
    assert f"takes {len(ODD_FLOWS) - 1} rows" in error["message"]
    assert taken.status_code == 200


# JSON-stat


def cube_of(client: TestClient, query: str = "") -> Row:
    """Give the cube of a request."""
    response = client.get(f"{FLOWS}?format=json-stat&{query}".rstrip("&"))
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    return response.json()


def cells_of(cube: Row) -> dict[tuple[str, ...], tuple[int, str]]:
    """Read a cube as its specification says: a cell stands where its codes do, the last dimension fastest."""
    codes = [cube["dimension"][name]["category"]["index"] for name in cube["id"]]
    assert [len(one) for one in codes] == cube["size"]
    found = {}
    for place, value in cube["value"].items():
        rest, key = int(place), []
        for one in reversed(codes):
            rest, here = divmod(rest, len(one))
            key.append(one[here])
        assert rest == 0
        found[tuple(reversed(key))] = (value, cube["status"][place])
    assert cube["status"].keys() == cube["value"].keys()
    return found


@pytest.mark.parametrize("query", ["", "breakdowns=true", "source=invented&breakdowns=true", "latest=true", "limit=3"])
def test_cube_has_each_flow_in_a_cell_of_its_own(rich: TestClient, query: str) -> None:
    rows = rich.get(f"{FLOWS}?limit=1000&{query}" if "limit" not in query else f"{FLOWS}?{query}").json()["data"]
    wanted = {tuple(row[name] or "-" for name in DIMENSIONS): (row["value_usd"], row["obs_status"]) for row in rows}
    assert len(wanted) == len(rows) > 2
    assert cells_of(cube_of(rich, query)) == wanted


def test_cube_is_a_dataset_of_json_stat_2(rich: TestClient) -> None:
    cube = cube_of(rich)
    assert (cube["version"], cube["class"]) == ("2.0", "dataset")
    assert cube["dimension"].keys() == set(cube["id"])
    assert len(set(cube["id"])) == len(cube["id"]) == len(cube["size"])
    assert cube["role"].keys() <= {"time", "geo", "metric"}
    assert {name for names in cube["role"].values() for name in names} <= set(cube["id"])
    assert all(place.isdecimal() and int(place) < prod(cube["size"]) for place in cube["value"])
    for dimension in cube["dimension"].values():
        category = dimension["category"]
        assert len(set(category["index"])) == len(category["index"])
        assert category.get("label", {}).keys() <= set(category["index"])
    assert cube["extension"]["release"] == rich.get(FLOWS).json()["meta"]["release"]


def test_cube_says_what_codes_are_called(rich: TestClient) -> None:
    dimension = cube_of(rich)["dimension"]
    assert dimension["reporter"]["category"]["label"]["KAZ"] == "Kazakhstan"
    assert dimension["product"]["category"]["label"]["TOTAL"]
    assert "label" not in dimension["period"]["category"]


def test_cube_of_nothing_has_dimensions_without_codes(rich: TestClient) -> None:
    cube = cube_of(rich, "year=1999")
    assert (cube["size"], cube["value"], cube["status"]) == ([0] * len(DIMENSIONS), {}, {})
    assert {name: one["category"] for name, one in cube["dimension"].items()} == {
        name: {"index": []} for name in DIMENSIONS
    }


def test_cube_of_more_cells_than_can_be_told_apart_is_refused(
    both: dict[str, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = prod(cube_of(both["sqlite"])["size"])
    monkeypatch.setattr("app.formats.json_stat.MOST_CELLS", size - 1)
    refused = both["sqlite"].get(f"{FLOWS}?format=json-stat&sort=id")
    assert_problem(refused, 422, "KHG106")
    assert f"{size:,} cells" in refused.json()["detail"]
    monkeypatch.setattr("app.formats.json_stat.MOST_CELLS", size)
    assert both["sqlite"].get(f"{FLOWS}?format=json-stat&sort=-id").status_code == 200


@pytest.mark.parametrize("query", ["fields=reporter,value_usd", "shape=wide&frequency=A"])
def test_cube_has_columns_of_its_own(rich: TestClient, query: str) -> None:
    refused = rich.get(f"{FLOWS}?format=json-stat&{query}")
    assert_problem(refused, 422, "KHG115")
    assert {error["parameter"] for error in refused.json()["errors"]} == {query.partition("=")[0], "format"}


def test_cube_is_of_flows_alone(rich: TestClient) -> None:
    for table in ("/v1/topics", "/v1/trade/shares", "/v1/checks"):
        refused = rich.get(f"{table}?format=json-stat")
        assert_problem(refused, 422, "KHG101")
        (error,) = refused.json()["errors"]
        assert error["allowed"] == ["json", "csv", "ndjson", "parquet", "xlsx"]
        assert error["did_you_mean"] == "json"


# A bare array


def test_array_of_nothing_is_empty(rich: TestClient) -> None:
    for more in ("", "&limit=5"):
        assert rich.get(f"{FLOWS}?year=1999&shape=array{more}").content == b"[]"


def test_array_has_evidence_whole(rich: TestClient) -> None:
    rows = rich.get("/v1/projects?shape=array").json()
    assert any(row["evidence"] for row in rows)
    assert rows == rows_of(rich, "/v1/projects")


def test_array_with_a_limit_is_a_page(rich: TestClient) -> None:
    response = rich.get(f"{FLOWS}?shape=array&limit=2")
    assert response.json() == rich.get(f"{FLOWS}?limit=2").json()["data"]
    following = rich.get(response.links["next"]["url"]).json()
    assert following == rich.get(rich.get(f"{FLOWS}?limit=2").links["next"]["url"]).json()["data"]


@pytest.mark.parametrize("name", ["csv", "ndjson", "parquet", "xlsx", "json-stat"])
def test_array_in_another_format_is_a_contradiction(rich: TestClient, name: str) -> None:
    refused = rich.get(f"{FLOWS}?shape=array&format={name}")
    assert_problem(refused, 422, "KHG115")
    assert [(error["parameter"], error["value"]) for error in refused.json()["errors"]] == [
        ("shape", "array"),
        ("format", name),
    ]


def test_array_in_json_is_none(rich: TestClient) -> None:
    assert rich.get(f"{FLOWS}?shape=array&format=json").json() == rich.get(f"{FLOWS}?shape=array").json()


def test_pandas_reads_an_array_from_its_address(both: dict[str, TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = both["sqlite"]
    with served(client.app.state.service.database) as (port, _):
        url = f"http://127.0.0.1:{port}{FLOWS}?fields=id,value_usd&value_max={2**50}"
        frame = pd.read_json(also(url, "shape=array"))
        table = pd.read_csv(also(url, "format=csv"))
        lines = pd.read_json(also(url, "format=ndjson"), lines=True)
    wanted = rows_of(client, f"{FLOWS}?fields=id,value_usd&value_max={2**50}")
    for one in (frame, table, lines):
        assert one.to_dict("records") == wanted


# What is not there


@pytest.mark.parametrize(("name", "media"), [("parquet", PARQUET), ("xlsx", XLSX)])
def test_a_format_whose_library_is_missing_is_406_with_what_installs_it(
    rich: TestClient, name: str, media: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.formats.find_spec", lambda _: None)
    for refused in (
        rich.get(f"{FLOWS}?format={name}&sort=id"),
        rich.get(f"{FLOWS}?sort=id", headers={"Accept": media}),
        rich.get(f"/v1/checks?format={name}&verdict=holds"),
    ):
        assert_problem(refused, 406, "KHG109")
        assert f"pip install 'khorgos[{name}]'" in refused.json()["detail"]
    for other in ("csv", "ndjson", "json"):
        assert rich.get(f"{FLOWS}?format={other}&sort=id").status_code == 200


def test_every_extra_that_is_named_is_one_that_there_is() -> None:
    extras = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    for form in WRITTEN.values():
        assert form.extra is None or f'\n{form.extra} = ["{form.library}' in extras


# What the description says


@pytest.mark.parametrize("path", [path for path in TABLES if path in OPERATIONS])
def test_description_says_which_formats_a_table_has(path: str) -> None:
    content = OPERATIONS[path]["responses"]["200"]["content"]
    assert {"application/json", "text/csv", "application/x-ndjson", PARQUET, XLSX} <= content.keys()
    for media in (PARQUET, XLSX):
        assert content[media]["schema"] == {"type": "string", "format": "binary"}
    (formats,) = [one["schema"]["enum"] for one in OPERATIONS[path]["parameters"] if one["name"] == "format"]
    assert formats[:5] == ["json", "csv", "ndjson", "parquet", "xlsx"]
    assert ("json-stat" in formats) == (path == FLOWS)


# Memory

MANY, FEW = 100_000, 10_000
ASK = """
import asyncio, json, resource, sys

from app.main import create_app
from app.settings import Settings

made = create_app(Settings(database_url=sys.argv[1]))


async def ask(query):
    told, asked = [], [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return asked.pop() if asked else await asyncio.Event().wait()

    async def send(message):
        told.append(message.get("status") or len(message["body"]))

    scope = {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET"},
        **{"path": "/v1/trade/flows", "raw_path": b"/v1/trade/flows", "query_string": query.encode(), "scheme": "http"},
        **{"headers": [(b"host", b"x")], "server": ("x", 80), "client": ("x", 1), "root_path": ""},
    }
    await made(scope, receive, send)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return told[0], sum(told[1:]), peak if sys.platform == "darwin" else peak * 1024


async def main():
    print(json.dumps([await ask(query) for query in sys.argv[2:]]))


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def many(workshop: Workshop) -> Iterator[str]:
    """Give the URL of a database of many flows."""
    database = workshop.copy("sqlite")
    changes = ({"net_weight_kg": number / 7, "note": f"note {number}"} for number in range(MANY))
    publish_invented(database, {TradeFlow: [flow(number, **change) for number, change in enumerate(changes)]})
    database.close()
    yield database.settings.database_url
    workshop.remove(database)


@pytest.mark.parametrize("query", STREAMED)
def test_an_export_takes_no_more_memory_for_more_rows(many: str, query: str) -> None:
    asked = f"{query}&source=invented&value_max="
    queries = [f"{asked}{1000 + FEW - 1}", f"{asked}{1000 + MANY}"]
    ran = subprocess.run([sys.executable, "-c", ASK, many, *queries], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (few_status, few_bytes, few_peak), (many_status, many_bytes, many_peak) = json.loads(ran.stdout)
    assert (few_status, many_status) == (200, 200)
    assert many_bytes > 7 * few_bytes
    assert many_peak - few_peak < 16 * 2**20
