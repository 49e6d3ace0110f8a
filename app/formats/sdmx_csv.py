"""SDMX-CSV 1.0: trade flows as observations of the dataflow TRADE, in the codes that `/sdmx/2.1` gives them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app import codes
from app.formats.base import Columns, Format, Kind, Whole
from app.formats.csv import cells, lines

NOT_STATED, WHOLE, NONE = "_X", "_T", "_Z"
"""SDMX's own codes for what is not stated, a total, and what does not apply."""
DATAFLOW = "KHORGOS:TRADE(1.0)"
FLOW_CODES = {str(flow): flow.spellings[0] for flow in codes.Flow}
DIMENSIONS: dict[str, tuple[str, str | None, Mapping[str, str]]] = {
    "FREQ": ("frequency", NOT_STATED, {}),
    "REPORTER": ("reporter", None, {}),
    "PARTNER": ("partner", None, {}),
    "TRADE_FLOW": ("flow", None, FLOW_CODES),
    "PRODUCT": ("product", None, {codes.NOT_STATED: NOT_STATED}),
    "CLASSIFICATION": ("classification", NOT_STATED, {}),
    "SOURCE": ("source", None, {}),
    "STATED_BY": ("stated_by", NONE, {}),
    "BREAKDOWN": ("breakdown", WHOLE, {}),
}
"""The field of each dimension, the code where it is null, and codes that are written otherwise."""
CONSTANT = {"UNIT_MEASURE": "USD", "UNIT_MULT": "0", "DECIMALS": "0"}
ATTRIBUTES = {"OBS_STATUS": "obs_status", "VALUATION": "valuation", "METHOD": "method", "KHORGOS_ID": "id"}
HEADER = ("DATAFLOW", *DIMENSIONS, "TIME_PERIOD", "OBS_VALUE", *CONSTANT, *ATTRIBUTES, "FIGURE")
READS = (*(field for field, _, _ in DIMENSIONS.values()), "period", "value_usd", *ATTRIBUTES.values(), "evidence")
MEDIA = "application/vnd.sdmx.data+csv"


class ObservationWriter(Whole):
    """A line an observation; a flow without a period is none, here as in the dataflow."""

    def start(self) -> bytes:
        """Give the header line."""
        return lines([HEADER])

    def rows(self, columns: Columns) -> bytes:
        """Give the lines of rows."""
        found = dict(zip(READS, columns, strict=bool(columns)))
        if None in found.get("period", ()):
            dated = [place for place, period in enumerate(found["period"]) if period is not None]
            found = {name: [column[place] for place in dated] for name, column in found.items()}
        if not found.get("period"):
            return b""
        count = len(found["period"])
        made: list[Sequence[Any]] = [
            [DATAFLOW] * count,
            *(coded(found[field], silent, other) for field, silent, other in DIMENSIONS.values()),
            list(map(time_of, found["period"])),
        ]
        made += [list(map(str, found["value_usd"])), *([value] * count for value in CONSTANT.values())]
        made += [found[field] for field in ATTRIBUTES.values()]
        made.append([figures_of(items, "value_usd") for items in found["evidence"]])
        return lines(zip(*(cells(Kind.TEXT, column) for column in made), strict=True))


def coded(values: Sequence[Any], silent: str | None, other: Mapping[str, str]) -> list[str | None]:
    """Give the codes of a dimension."""
    return [silent if value is None else other.get(value, value) for value in values]


def time_of(period: str) -> str:
    """Give a period as SDMX has it: `2025-01/2025-04` is the time range `2025-01-01/P4M`."""
    first, slash, last = period.partition("/")
    return f"{first}-01/P{int(last[5:7]) - int(first[5:7]) + 1}M" if slash else period


def figures_of(evidence: Iterable[Mapping[str, Any]], name: str) -> str | None:
    """Give the figures behind a field, each once, joined by `;`."""
    return ";".join(dict.fromkeys(one["figure"] for one in evidence if one["field"] == name and one["figure"])) or None


SDMX_CSV = Format(
    "sdmx-csv",
    "csv",
    f"{MEDIA};version=1.0.0",
    (MEDIA,),
    ObservationWriter,
    nests=True,
    record="trade_flows",
    reads=READS,
)
