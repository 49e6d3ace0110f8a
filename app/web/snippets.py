"""A query to take away: its address, and code that asks for it in the languages of those who take it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from app.web.page import Page, Query

FORMATS = {
    "csv": "CSV",
    "xlsx": "Excel",
    "parquet": "Parquet",
    "ndjson": "NDJSON",
    "json-stat": "JSON-stat",
    "sdmx-csv": "SDMX-CSV",
}
"""Formats by their names in the API."""
OF_PAGE = ("limit", "cursor", "count")
"""Parameters that say which page of a list is meant; whole tables have none."""
NUMBERS = ("year", "value_usd", "net_weight_kg")
"""Columns that Excel is told to read as numbers; all else is text, so that leading zeros stay."""


@dataclass(frozen=True)
class Snippet:
    """Code that asks for a query."""

    id: str
    name: str
    how: str
    code: str


@dataclass(frozen=True)
class Taken:
    """A query as it is taken away: addresses with their host, of this page and of every row, and code."""

    base: str
    url: str
    page: str
    downloads: tuple[tuple[str, str], ...]
    snippets: tuple[Snippet, ...]


def shell(text: str) -> str:
    """Give a word of a POSIX shell in single quotes, in which nothing has a meaning but the quote itself."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def literal(text: str) -> str:
    """Give a string in double quotes as Python, JavaScript and R alike read it."""
    return json.dumps(text, ensure_ascii=False)


def formula(text: str) -> str:
    """Give a string of Power Query M: quotes are doubled, and `#(`, which begins an escape, is spelled as one."""
    escaped = text.replace("#(", "#(#)(").replace('"', '""')
    for char, name in (("\r", "cr"), ("\n", "lf"), ("\t", "tab")):
        escaped = escaped.replace(char, f"#({name})")
    return f'"{escaped}"'


def with_host(page: Page, link: str) -> str:
    """Give the address of a path with scheme and host."""
    return page.base + link


def take_list(page: Page, path: str, query: Query, fields: Sequence[str] | None = None) -> Taken:
    """Give a list to take away: curl asks for this page, all else for every row. `fields` narrows its columns."""
    url = with_host(page, page.link(path, query))
    whole = {name: value for name, value in query.items() if name not in OF_PAGE}
    table = with_host(page, page.link(path, {**whole, "format": "csv"}))
    rows = with_host(page, page.link(path, {**whole, "shape": "array"}))
    typed = [name for name in NUMBERS if fields is None or name in fields]
    return Taken(
        page.base, url, own(page), downloads(page, path, whole, tuple(FORMATS)), of_list(url, table, rows, typed)
    )


def take_records(page: Page, path: str, query: Query, part: str, kept: Sequence[str], fields: Sequence[str]) -> Taken:
    """Give a table to take away whose rows hold rows of their own, named `part`."""
    url = with_host(page, page.link(path, query))
    names = tuple(name for name in FORMATS if name in ("csv", "xlsx", "parquet", "ndjson"))
    return Taken(page.base, url, own(page), downloads(page, path, query, names), of_records(url, part, kept, fields))


def own(page: Page) -> str:
    """Give the address of a page itself, without empty parameters."""
    return with_host(page, page.link(page.path, page.query))


def downloads(page: Page, path: str, query: Query, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Give the paths of a table as files, by what their formats are called."""
    return tuple((FORMATS[name], page.link(path, {**query, "format": name})) for name in names)


def curl(url: str) -> Snippet:
    """Ask with curl, which is told that the address is no pattern."""
    return Snippet("curl", "curl", "The rows of this page as JSON.", f"curl -sS --globoff {shell(url)}")


def of_list(url: str, table: str, rows: str, numbers: Sequence[str]) -> tuple[Snippet, ...]:
    """Give code for a list by the address of its page, of its rows as CSV and of its rows as an array."""
    python = f"""\
import pandas as pd

rows = pd.read_csv(
    {literal(table)},
    dtype={{"product": str}},  # leading zeros stay
)
print(rows)"""
    javascript = f"""\
const answer = await fetch({literal(rows)});
if (!answer.ok) throw new Error((await answer.json()).detail);
const rows = await answer.json();
console.table(rows);"""
    r = f"""\
library(readr)

rows <- read_csv(
  {literal(table)},
  col_types = cols(product = col_character())  # leading zeros stay
)
print(rows)"""
    types = ", ".join(f"{{{formula(name)}, type number}}" for name in numbers)
    excel = f"""\
let
    Source = Csv.Document(
        Web.Contents({formula(table)}),
        [Delimiter = ",", Encoding = 65001, QuoteStyle = QuoteStyle.Csv]
    ),
    Rows = Table.PromoteHeaders(Source, [PromoteAllScalars = true]),
    Missing = Table.ReplaceValue(Rows, "", null, Replacer.ReplaceValue, Table.ColumnNames(Rows)),
    Typed = Table.TransformColumnTypes(Missing, {{{types}}}, "en-US")
in
    Typed"""
    return (
        curl(url),
        Snippet("python", "Python", "Every row as a data frame; needs pandas.", python),
        Snippet("javascript", "JavaScript", "Every row, in a browser or in Node.js; needs nothing else.", javascript),
        Snippet("r", "R", "Every row as a tibble; needs readr.", r),
        Snippet("excel", "Excel", f"Every row, refreshed when you ask. {PASTE}", excel),
    )


PASTE = "In Excel: Data, Get Data, Blank Query, Advanced Editor; paste it there. Power BI reads it too."


def of_records(url: str, part: str, kept: Sequence[str], fields: Sequence[str]) -> tuple[Snippet, ...]:
    """Give code for rows that hold rows named `part`: one line for each of those, with what is kept of the outer."""
    python = f"""\
import pandas as pd
import requests

answer = requests.get({literal(url)}, timeout=30)
answer.raise_for_status()
rows = pd.json_normalize(
    answer.json()["data"],
    {literal(part)},
    {json.dumps(kept)},
    meta_prefix="trade_",
)
print(rows)"""
    javascript = f"""\
const answer = await fetch({literal(url)});
const found = await answer.json();
if (!answer.ok) throw new Error(found.detail);
const rows = found.data.flatMap(({{ {part}, ...trade }}) => {part}.map((one) => ({{ ...one, trade }})));
console.table(rows, {json.dumps(fields)});"""
    r = f"""\
library(jsonlite)

trades <- fromJSON({literal(url)})$data
rows <- do.call(rbind, lapply(seq_len(nrow(trades)), function(i) {{
  one <- trades${part}[[i]][, c({", ".join(map(literal, fields))})]
  cbind(trade_period = trades$period[i], trade_flow = trades$flow[i], one)
}}))
print(rows)"""
    columns = ", ".join(f"[{name}]" for name in (*kept, part))
    names = ", ".join(map(formula, fields))
    renamed = ", ".join(formula(name if name not in kept else f"stated_{name}") for name in fields)
    excel = f"""\
let
    Answer = Json.Document(Web.Contents({formula(url)})),
    Trades = Table.FromRecords(Answer[data])[[{columns[1:-1]}]],
    Statements = Table.ExpandListColumn(Trades, {formula(part)}),
    Rows = Table.ExpandRecordColumn(Statements, {formula(part)}, {{{names}}}, {{{renamed}}})
in
    Rows"""
    return (
        curl(url),
        Snippet("python", "Python", "A line for each statement; needs pandas and requests.", python),
        Snippet("javascript", "JavaScript", "In a browser or in Node.js; needs nothing else.", javascript),
        Snippet("r", "R", "A line for each statement; needs jsonlite.", r),
        Snippet("excel", "Excel", f"A line for each statement. {PASTE}", excel),
    )
