"""JSON-stat 2.0: trade flows as a cube of the dimensions of their key, with values where there are any."""

from collections.abc import Iterable
from math import prod
from typing import Any

import orjson

from app.errors import Fault, OverLimit
from app.formats.base import Columns, Format, Sheet

DIMENSIONS = (
    *("reporter", "partner", "flow", "product", "classification", "frequency", "period", "source", "stated_by"),
    "breakdown",
)
NAMES = {"reporter": "reporter_name", "partner": "partner_name", "product": "product_name"}
"""Fields that say what a dimension's codes are called."""
READS = (*DIMENSIONS, *NAMES.values(), "stated_by_name", "value_usd", "obs_status")
OPEN = "-"
"""The code of what a source leaves open, as parameters have it."""
MOST_ROWS = 100_000
MOST_CELLS = 2**53
"""Cells that a cube may have, empty ones too: places in it are numbers of JavaScript."""


class CubeWriter:
    """One cube, given when all rows are there."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._rows: list[tuple[Any, ...]] = []

    def start(self) -> bytes:
        """Give nothing: where a value stands depends on all rows."""
        return b""

    def rows(self, columns: Columns) -> bytes:
        """Take rows."""
        self._rows += zip(*columns, strict=True)
        return b""

    def end(self) -> Iterable[bytes]:
        """Give the cube."""
        columns = dict(zip(READS, zip(*self._rows, strict=True), strict=bool(self._rows)))
        codes = {name: sorted({one or OPEN for one in columns.get(name, ())}) for name in DIMENSIONS}
        places = {name: {code: place for place, code in enumerate(found)} for name, found in codes.items()}
        sizes = [len(codes[name]) for name in DIMENSIONS]
        refuse_vast(prod(sizes))
        steps = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        values: dict[str, int] = {}
        status: dict[str, str] = {}
        for row in self._rows:
            key = zip(DIMENSIONS, row, steps, strict=False)
            cell = str(sum(places[name][code or OPEN] * step for name, code, step in key))
            values[cell], status[cell] = row[-2], row[-1]
        cube = {
            "version": "2.0",
            "class": "dataset",
            "label": "Trade flows, whole current US dollars",
            "href": self._sheet.link,
            "id": DIMENSIONS,
            "size": sizes,
            "role": {"time": ["period"], "geo": ["reporter", "partner"]},
            "dimension": {name: dimension(name, codes[name], columns) for name in DIMENSIONS},
            "value": values,
            "status": status,
            "extension": {"release": self._sheet.release, "unit": "USD", "status": "SDMX CL_OBS_STATUS"},
        }
        return [orjson.dumps(cube)]


def refuse_vast(cells: int) -> None:
    """Refuse a cube whose places are beyond the whole numbers of JavaScript. Raises OverLimit."""
    if cells > MOST_CELLS:
        message = (
            f"the rows make a cube of {cells:,} cells, at most {MOST_CELLS:,} can be told apart: narrow the request"
        )
        raise OverLimit.of(Fault("format", "json-stat", message))


def dimension(name: str, codes: list[str], columns: dict[str, Any]) -> dict[str, Any]:
    """Give a dimension: its codes in order, and what they are called where they have names."""
    category: dict[str, Any] = {"index": codes}
    named = {"stated_by": "stated_by_name"} | NAMES
    if name in named and columns:
        pairs = zip(columns[name], columns[named[name]], strict=True)
        category["label"] = {code or OPEN: label for code, label in sorted(set(pairs), key=str) if label} or None
    return {"label": name, "category": {key: value for key, value in category.items() if value is not None}}


JSON_STAT = Format(
    "json-stat",
    "json",
    "application/json",
    (),
    CubeWriter,
    record="trade_flows",
    reads=READS,
    most_rows=MOST_ROWS,
)
