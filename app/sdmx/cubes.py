"""The three dataflows: trade, projects by status, indicators; what their keys are, and the rows they are made of."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, cast, func, literal, select

from app import codes
from app.evidence import evidence_of
from app.flows import name_flows
from app.formats import sdmx_csv
from app.formats.sdmx_csv import NONE, NOT_STATED, WHOLE, time_of
from app.models import Indicator, Observation, Project, TradeFlow
from app.names import visible
from app.plan import whole
from app.releases import Edition
from app.sdmx.cube import TIME, VALUE, Component, Cube, Obs

SILENT = {NOT_STATED: codes.NOT_STATED}
OWN_VOICE = {NONE: codes.NOT_STATED}
FLOW_CODES = {code: flow for flow, code in sdmx_csv.FLOW_CODES.items()}
"""Codes of UN Comtrade and of SDMX: X, M, T, RX ..."""

FREQ = Component(
    "FREQ",
    "Frequency",
    "CL_FREQ",
    "How long a period is. YTD is January to some month; _Z, in PROJECTS, a number as of a release.",
    SILENT,
)
SOURCE = Component("SOURCE", "Source", "CL_SOURCE", "Who publishes the number. Never add two sources.")
STATED_BY = Component(
    "STATED_BY",
    "Stated by",
    "CL_SPEAKER",
    "Whom the source cites for the number; _Z where it speaks in its own voice.",
    OWN_VOICE,
)
STATUS = Component("OBS_STATUS", "Observation status", "CL_OBS_STATUS")
METHOD = Component(
    "METHOD", "Method", "CL_METHOD", "Whether the source states all of the record, or part of it is our conclusion."
)
UNIT_MULT = Component("UNIT_MULT", "Unit multiplier", "CL_UNIT_MULT", "0: values are in whole units.")
UNIT_MEASURE = Component("UNIT_MEASURE", "Unit of measure", "CL_UNIT_MEASURE")
DECIMALS = Component("DECIMALS", "Decimals", "CL_DECIMALS", "0: values are whole numbers.")
FIGURE = Component(
    "FIGURE",
    "Figure",
    description="Id of the figure, the number as the source prints it: /v1/figures/{id} has its words.",
    mandatory=False,
)
KHORGOS_ID = Component(
    "KHORGOS_ID", "Record", description="Id of the record: in TRADE of /v1/trade/flows/{id}, in INDICATORS its slug."
)


def translated(dimensions: Sequence[Component], columns: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Give the keys of rows in SDMX codes, from the columns of their dimensions."""
    made = []
    for dimension, column in zip(dimensions, columns, strict=True):
        words = dimension.codes_of()
        made.append([words.get(word, word) for word in column] if words else column)
    return list(zip(*made, strict=True))


# Trade flows


def trade_rows(release: int) -> Select[Any]:
    """Select the trade flows of a release that have a period."""
    flow = TradeFlow
    columns: list[Any] = [
        flow.frequency.label("FREQ"),
        flow.reporter.label("REPORTER"),
        flow.partner.label("PARTNER"),
        flow.flow.label("TRADE_FLOW"),
        flow.product.label("PRODUCT"),
        flow.classification.label("CLASSIFICATION"),
        flow.source.label("SOURCE"),
        flow.stated_by.label("STATED_BY"),
        flow.breakdown.label("BREAKDOWN"),
        flow.period.label(TIME),
        flow.period_start.label("start"),
        flow.period_end.label("end"),
        flow.value_usd.label(VALUE),
        flow.obs_status.label("OBS_STATUS"),
        flow.valuation.label("VALUATION"),
        flow.method.label("METHOD"),
    ]
    return select(*columns).where(visible(flow, release), flow.period_start.is_not(None))


def observe_trade(connection: Connection, edition: Edition, rows: list[Any]) -> list[Obs]:
    """Turn rows into observations, with the figures behind those of sources whose numbers are proved."""
    columns = list(zip(*rows, strict=True))
    freq, reporter, partner, flow, product, classification, source, speaker, breakdown, periods = columns[:10]
    ids = list(
        name_flows(
            None, reporter, partner, flow, product, classification, freq, periods, source, speaker, breakdown
        )  # in the order of TradeFlow.key
    )
    proved = [one for one, slug in zip(ids, source, strict=True) if slug in edition.names.proved]
    figures = figures_behind(connection, "trade_flows", proved, "value_usd", edition)
    constant = ("USD", "0", "0")
    return [
        Obs(key, constant, time_of(row[9]), row[12], (row[13], row[14], row[15], one, figures.get(one)))
        for key, row, one in zip(translated(TRADE.dimensions, columns[:9]), rows, ids, strict=True)
    ]


def figures_behind(
    connection: Connection, record: str, keys: list[str], name: str, edition: Edition
) -> Mapping[str, str]:
    """Give the figure behind one field of each record; several are joined by `;`."""
    if not keys:
        return {}
    found = evidence_of(connection, record, keys, edition.number)
    return {key: figures for key, items in found.items() if (figures := sdmx_csv.figures_of(items, name))}


TRADE = Cube(
    "TRADE",
    "Trade flows",
    "Values of trade in current US dollars, each as one source has it. Sources, speakers, totals and parts, and "
    "overlapping periods stand side by side and must not be added. Statements that name no period cannot be "
    "observations and are left out: /v1/trade/flows has them.",
    (
        FREQ,
        Component("REPORTER", "Reporter", "CL_AREA", "Whose record it is."),
        Component("PARTNER", "Partner", "CL_AREA", "The other side."),
        Component("TRADE_FLOW", "Trade flow", "CL_TRADE_FLOW", "Direction, seen from the reporter.", FLOW_CODES),
        Component("PRODUCT", "Product", "CL_PRODUCT", "Code of the classification; TOTAL is all commodities.", SILENT),
        Component("CLASSIFICATION", "Classification", "CL_CLASSIFICATION", "What the product is a code of.", SILENT),
        SOURCE,
        STATED_BY,
        Component(
            "BREAKDOWN",
            "Breakdown",
            "CL_BREAKDOWN",
            "_T is the whole flow; any other code is a part of it, and must not be added to it.",
            {WHOLE: codes.NOT_STATED},
        ),
    ),
    (UNIT_MEASURE, UNIT_MULT, DECIMALS),
    (
        STATUS,
        Component("VALUATION", "Valuation", "CL_VALUATION", "Which costs the value contains."),
        METHOD,
        KHORGOS_ID,
        FIGURE,
    ),
    "Long",
    observe_trade,
    trade_rows,
    # As the primary key has it, as far as it goes.
    ("REPORTER", "PARTNER", "TRADE_FLOW", "PRODUCT", "CLASSIFICATION", "FREQ", "SOURCE", "STATED_BY", "BREAKDOWN"),
)

# Indicators


def indicator_rows(release: int) -> Select[Any]:
    """Select the observations of a release that have a period, those of one key and period numbered."""
    one, what = Observation, Indicator
    frequency = func.coalesce(one.frequency, codes.NOT_STATED, type_=one.frequency.type)
    speaker = func.coalesce(one.stated_by, codes.NOT_STATED, type_=one.stated_by.type)
    same = (one.indicator, frequency, one.source, speaker, one.period)
    number = func.row_number().over(partition_by=same, order_by=one.slug)
    found = (
        select(
            frequency.label("FREQ"),
            one.indicator.label("INDICATOR"),
            one.source.label("SOURCE"),
            speaker.label("STATED_BY"),
            number.label("number"),
            one.period.label(TIME),
            one.period_start.label("start"),
            one.period_end.label("end"),
            one.value.label(VALUE),
            one.obs_status.label("OBS_STATUS"),
            one.method.label("METHOD"),
            one.direction.label("DIRECTION"),
            one.as_stated.label("AS_STATED"),
            one.slug.label("KHORGOS_ID"),
            what.unit.label("UNIT_MEASURE"),
            what.countries.label("COUNTRIES"),
        )
        .outerjoin(what, and_(what.slug == one.indicator, visible(what, release)))
        .where(visible(one, release), one.period_start.is_not(None))
        .subquery()
    )
    reading = (literal("R", one.slug.type) + cast(found.c.number, one.slug.type)).label("READING")
    return select(*(reading if column.key == "number" else column for column in found.c))


def observe_indicators(connection: Connection, edition: Edition, rows: list[Any]) -> list[Obs]:
    """Turn rows into observations, with the figures behind them."""
    columns = list(zip(*rows, strict=True))
    figures = figures_behind(connection, "observations", list(columns[13]), "value", edition)
    return [
        Obs(
            key,
            (row[14], "0", ";".join(row[15] or ()) or None),
            time_of(row[5]),
            whole(row[8]),
            (row[9], row[10], row[11], row[12], row[13], figures.get(row[13])),
        )
        for key, row in zip(translated(INDICATORS.dimensions, columns[:5]), rows, strict=True)
    ]


INDICATORS = Cube(
    "INDICATORS",
    "Indicators",
    "Measures over time that are no trade flow, each value as one source states it. Where a source gives a direction "
    "and no number, the value is missing (OBS_STATUS O) and DIRECTION says it. Statements that name no period, such as "
    "a target without a year, cannot be observations and are left out: /v1/indicators has them.",
    (
        FREQ,
        Component("INDICATOR", "Indicator", "CL_INDICATOR", "What is measured."),
        SOURCE,
        STATED_BY,
        Component(
            "READING",
            "Reading",
            "CL_READING",
            "R1 is the only statement of its kind; R2 and on are others that the same source makes of the same period.",
        ),
    ),
    (
        Component("UNIT_MEASURE", "Unit of measure", "CL_UNIT_MEASURE", mandatory=False),
        UNIT_MULT,
        Component("COUNTRIES", "Countries", description="Countries it is about, joined by `;`.", mandatory=False),
    ),
    (
        STATUS,
        METHOD,
        Component("DIRECTION", "Direction", "CL_DIRECTION", "Where the source says one.", mandatory=False),
        Component("AS_STATED", "As stated", description="The words of the source."),
        KHORGOS_ID,
        FIGURE,
    ),
    "Double",
    observe_indicators,
    indicator_rows,
    ("INDICATOR", "FREQ", "SOURCE", "STATED_BY", "READING"),
)

# Projects


def count_projects(connection: Connection, edition: Edition) -> list[Obs]:
    """Count the named projects of a release: once as a whole, and once in each of their countries."""
    columns = (Project.slug, Project.status, Project.kind, Project.source, Project.countries)
    query = select(*columns).where(visible(Project, edition.number)).order_by(Project.slug)
    counted: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for slug, status, kind, source, countries in connection.execute(query):
        for area in (WHOLE, *(countries or (NOT_STATED,))):
            counted[(NONE, area, status, kind, source)].append(slug)
    time = edition.published_at.date().isoformat()
    constant = (str(codes.Unit.PROJECTS), "0", "0")
    return [Obs(key, constant, time, len(slugs), ("A", ";".join(slugs))) for key, slugs in sorted(counted.items())]


PROJECTS = Cube(
    "PROJECTS",
    "Named projects by status",
    "How many projects the sources name. REF_AREA _T counts each project once; a project of several countries is "
    "counted in each of them besides, so that countries must not be added up, neither with each other nor with _T. The "
    "number is of the data as of the release, and TIME_PERIOD the day the release was published: no date of a project. "
    "Projects that a source counts without naming them are not in it: /v1/projects/portfolios has them.",
    (
        FREQ,
        Component(
            "REF_AREA",
            "Country",
            "CL_PROJECT_AREA",
            "_T is all projects, each counted once. A country has every project that is in it, a project of two "
            "countries is in both: never add them. _X is projects whose countries are not named.",
        ),
        Component("STATUS", "Status", "CL_PROJECT_STATUS", "How far a project is."),
        Component("KIND", "Kind", "CL_PROJECT_KIND", "What a project builds or runs."),
        SOURCE,
    ),
    (UNIT_MEASURE, UNIT_MULT, DECIMALS),
    (STATUS, Component("PROJECTS", "Projects", description="Slugs of the projects counted, joined by `;`.")),
    "Long",
    lambda _, __, rows: rows,
    made=count_projects,
)

CUBES = {cube.id: cube for cube in (TRADE, PROJECTS, INDICATORS)}
"""Every dataflow by its id."""
