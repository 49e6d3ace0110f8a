"""`/compare`: the trade of two countries as each side and each third voice states it, and the gap over time."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from app import codes
from app.web import words
from app.web.forms import Form, FormView, asked, countries, drawn
from app.web.page import Page
from app.web.snippets import take_records
from app.wording import FLOW_WORDS, capital

COMPARE = "/v1/trade/compare"
TAKES = ("reporter", "partner", "year", "year_from", "year_to", "product")
UNASKED = {"reporter": "KAZ", "partner": "CHN"}
"""The pair that is shown where none is asked for."""
PERIODS = 24
"""Newest periods that a table shows."""
STATED = ("side", "reporter", "partner", "flow", "value_usd", "valuation", "method", "source", "stated_by")
"""Fields of a statement that code to take away gives."""
FLOWS = ("export", "import", "total")
MIRROR = {"export": "import", "import": "export", "total": "total"}
SIDES = ("reporter", "mirror", "reconciled")
OFTEN = {"Q": "by quarter", "M": "by month", "YTD": "from January", None: "period not stated"}
"""How a table says its frequency, but for whole years."""

Row = dict[str, Any]


async def compare(page: Page) -> dict[str, Any]:
    """Give what the page of two countries shows. Raises Refused."""
    is_asked = bool({"reporter", "partner"} & page.query.keys())
    query = page.query if is_asked else {**UNASKED, **page.query}
    form = Form(query)
    found = await asked(page, form, COMPARE, query)
    trades = found["data"] if found else []
    every = [tabled(trade) for trade in grouped(trades)]
    tables = [table for table in every if table["has_gap"]]
    pair = trades[0] if trades else None
    return {
        "form": form,
        "is_asked": is_asked,
        "found": found,
        "pair": pair,
        "tables": tables,
        "alone": alone([table for table in every if not table["has_gap"]]),
        "newest": newest(tables),
        "warnings": found["meta"]["warnings"] if found else [],
        "empty": (found or {"meta": {}})["meta"].get("why_empty"),
        "query": query,
        "swapped": {**query, "reporter": query.get("partner"), "partner": query.get("reporter")},
        "undrawn": await drawn(page, "compare", query) if trades else None,
        "countries": await countries(page),
        "taken": take_records(page, COMPARE, query, "statements", ("period", "flow"), STATED) if found else None,
    }


def grouped(trades: list[Row]) -> Iterable[list[Row]]:
    """Give the trades that one table has: of one pair, flow, product and frequency; whole years first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in trades:
        names = ("reporter", "partner", "flow", "product", "classification", "frequency")
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return sorted(found.values(), key=place)


def place(rows: list[Row]) -> tuple[Any, ...]:
    """Give the place of a table on the page."""
    row = rows[0]
    frequency = list(codes.Frequency).index(row["frequency"]) if row["frequency"] else len(codes.Frequency)
    flow = FLOWS.index(row["flow"]) if row["flow"] in FLOWS else len(FLOWS)
    return (row["product"] != codes.TOTAL, row["product"], frequency, flow, row["flow"], row["reporter"])


def tabled(rows: list[Row]) -> dict[str, Any]:
    """Give a table: a line a period, newest first, a column a voice, and the gap."""
    voices: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        for one in row["statements"]:
            voices.setdefault(voice_of(one), {**one, "heading": heading(row, one)})
    often = Counter(voice_of(one) for row in rows for one in row["statements"])
    keys = sorted(voices, key=lambda key: (SIDES.index(key[0]), -often[key], *map(str, key[1:])))
    newest_first = sorted(rows, key=lambda row: (row["year"] or 0, row["period"] or ""), reverse=True)
    lines = [
        {**row, "cells": [[one for one in row["statements"] if voice_of(one) == key] for key in keys]}
        for row in newest_first[:PERIODS]
    ]
    return {
        **{name: rows[0][name] for name in ("flow", "product", "frequency", "reporter", "partner")},
        "title": title(rows[0]),
        "voices": [voices[key] for key in keys],
        "lines": lines,
        "left_out": len(rows) - len(lines),
        "has_gap": any(row["gap"] for row in rows),
        "notes": notes(lines),
    }


def voice_of(one: Row) -> tuple[Any, ...]:
    """Give what makes a statement one of a series: whose record, and who says so."""
    return (one["side"], one["source"], one["stated_by"], one["flow"])


def heading(trade: Row, one: Row) -> str:
    """Say whose record a statement is; the other side sees an export as its import."""
    if one["side"] == "reconciled":
        return "Reconciled from both"
    names = {trade[side]: trade[f"{side}_name"] or trade[side] for side in ("reporter", "partner")}
    seen = "" if one["flow"] == trade["flow"] else f", as {words.flow(one['flow'])}"
    return f"{names[one['reporter']]}’s record{seen}"


def title(row: Row) -> str:
    """Say which trade it is: Exports of Kazakhstan to China."""
    kind, way = FLOW_WORDS[codes.Flow(row["flow"])]
    said = f"{capital(kind)} of {row['reporter_name'] or row['reporter']} {way} {row['partner_name'] or row['partner']}"
    product = "" if row["product"] == codes.TOTAL else f", product {row['product']} of {row['classification']}"
    return said + product + ("" if row["frequency"] == "A" else f", {OFTEN[row['frequency']]}")


def notes(lines: list[Row]) -> list[Row]:
    """Give each note once, with who says it and the periods it is of."""
    found: dict[tuple[Any, ...], Row] = {}
    for line in lines:
        for one in line["statements"]:
            if one["note"]:
                kept = found.setdefault((*voice_of(one), one["note"]), {**one, "periods": []})
                kept["periods"].append(line["period"])
    return list(found.values())


def alone(tables: list[Row]) -> list[Row]:
    """Give the statements that have no other to be compared with, each with what it is of."""
    return [
        {**one, "title": table["title"], "period": line["period"], "heading": heading(line, one)}
        for table in tables
        for line in table["lines"]
        for one in line["statements"]
    ]


def newest(tables: list[Row]) -> list[Row]:
    """Give the newest yearly gap of each trade of all goods."""
    found = []
    for table in tables:
        if table["frequency"] == "A" and table["product"] == codes.TOTAL:
            line = next((line for line in table["lines"] if line["gap"]), None)
            if line:
                found.append({**line, "title": table["title"]})
    return found


VIEWS = (FormView("/compare", "compare.html", compare, TAKES),)
