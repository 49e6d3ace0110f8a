"""The codelists of a release: closed ones from its vocabularies and from `codes`, open ones from the rows it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from app import codes
from app.ask import Ask
from app.formats.sdmx_csv import NONE, NOT_STATED, WHOLE
from app.models import Indicator, Observation, TradeFlow
from app.names import visible
from app.releases import Edition
from app.sdmx.cubes import FLOW_CODES, indicator_rows

Labels = Mapping[str, str]
SILENT = {NOT_STATED: "Not stated by the source"}
CLASSIFICATIONS = {
    "H0": "Harmonized System 1988/92",
    "H1": "Harmonized System 1996",
    "H2": "Harmonized System 2002",
    "H3": "Harmonized System 2007",
    "H4": "Harmonized System 2012",
    "H5": "Harmonized System 2017",
    "H6": "Harmonized System 2022",
    "S1": "Standard International Trade Classification, revision 1",
    "S2": "Standard International Trade Classification, revision 2",
    "S3": "Standard International Trade Classification, revision 3",
    "S4": "Standard International Trade Classification, revision 4",
    "EB": "Extended Balance of Payments Services",
    "EB02": "Extended Balance of Payments Services 2002",
    "EB10": "Extended Balance of Payments Services 2010",
}


@dataclass(frozen=True)
class Occurring:
    """What occurs in the rows of a release, or did in one before."""

    products: tuple[str, ...]
    classifications: tuple[str, ...]
    breakdowns: tuple[str, ...]
    indicators: Labels
    readings: tuple[str, ...]


@dataclass(frozen=True)
class Codelist:
    """A codelist: what it is called, and its codes with their labels; an open one has those that occur.

    `called` says what a code of an open one is, without a look at the rows.
    """

    id: str
    name: str
    closed: Callable[[Edition], Labels] | None = None
    open: Callable[[Edition, Occurring], Labels] | None = None
    called: Callable[[Edition, str], str] = lambda _, code: code

    def labels(self, edition: Edition, occurring: Occurring) -> Labels:
        """Give its codes in a release."""
        if self.closed is not None:
            return self.closed(edition)
        return self.open(edition, occurring) if self.open is not None else {}

    def naming(self, edition: Edition) -> Callable[[str], str]:
        """Give what says what a code is called."""
        if self.closed is not None:
            known = self.closed(edition)
            return lambda code: known.get(code, code)
        return lambda code: self.called(edition, code)


def of(members: type[codes.Code], more: Labels | None = None) -> Callable[[Edition], Labels]:
    """Make a codelist of a closed list of `codes`."""
    found = {str(member): member.label for member in members} | dict(more or {})
    return lambda _: found


def constant(labels: Labels) -> Callable[[Edition], Labels]:
    """Make a codelist that never changes."""
    return lambda _: labels


def named(vocabulary: str, more: Labels) -> Callable[[Edition], Labels]:
    """Make a codelist of a vocabulary of the release."""
    return lambda edition: dict(sorted(edition.names.vocabularies[vocabulary].labels.items())) | dict(more)


def products(edition: Edition, occurring: Occurring) -> Labels:
    """Name the products that occur; a code that is none of HS 2022 goes by itself."""
    stated = [code for code in occurring.products if code != codes.NOT_STATED]
    return {code: name_product(edition, code) for code in (NOT_STATED, *stated)}


def name_product(edition: Edition, code: str) -> str:
    """Name a product as HS 2022 does, and say so, for in another classification its code may mean something else."""
    if code in (NOT_STATED, codes.TOTAL):
        return SILENT.get(code, "All commodities together")
    name = edition.names.label("product", code)
    return f"{name} (in HS 2022)" if name else code


def classifications(edition: Edition, occurring: Occurring) -> Labels:
    """Name the classifications that occur."""
    stated = [code for code in occurring.classifications if code != codes.NOT_STATED]
    return {code: name_classification(edition, code) for code in (NOT_STATED, *stated)}


def name_classification(_: Edition, code: str) -> str:
    """Name a classification, else give its code."""
    return SILENT.get(code) or CLASSIFICATIONS.get(code, code)


def breakdowns(edition: Edition, occurring: Occurring) -> Labels:
    """Name the whole, and the parts that occur."""
    stated = [code for code in occurring.breakdowns if code != codes.NOT_STATED]
    return {code: name_breakdown(edition, code) for code in (WHOLE, *stated)}


def name_breakdown(_: Edition, code: str) -> str:
    """Say what part of a flow it is, where its code has the four parts that imports give it."""
    parts = code.split("_")
    if code == WHOLE:
        return "The whole flow"
    if len(parts) != 4:
        return f"A part of the flow: {code}"
    return "A part: second partner {}, customs procedure {}, mode of supply {}, mode of transport {}".format(*parts)


def name_reading(_: Edition, code: str) -> str:
    """Say which statement it is."""
    return f"Statement {code[1:]} of its key and period"


LISTS = {
    one.id: one
    for one in (
        Codelist(
            "CL_FREQ",
            "Frequency; YTD is our own, SDMX has no code for January to some month",
            of(codes.Frequency, SILENT | {NONE: "Not applicable: as of a release"}),
        ),
        Codelist("CL_AREA", "Economies of ISO 3166-1, aggregates, other areas of statistics", named("country", {})),
        Codelist(
            "CL_PROJECT_AREA",
            "Areas that projects are counted by; a project is counted in each of its countries, never add them",
            named(
                "country",
                {WHOLE: "All projects, each counted once", NOT_STATED: "Projects whose countries are not named"},
            ),
        ),
        Codelist(
            "CL_TRADE_FLOW",
            "Direction of trade, seen from the reporter",
            constant({code: codes.Flow(word).label for code, word in FLOW_CODES.items()}),
        ),
        Codelist(
            "CL_PRODUCT",
            "Products that occur, by the names of HS 2022 (H6); in another classification a code may mean another",
            open=products,
            called=name_product,
        ),
        Codelist(
            "CL_CLASSIFICATION",
            "Classifications of products that occur",
            open=classifications,
            called=name_classification,
        ),
        Codelist("CL_SOURCE", "Sources", named("source", {})),
        Codelist("CL_SPEAKER", "Experts and organizations", named("speaker", {NONE: "The source's own voice"})),
        Codelist("CL_BREAKDOWN", "Parts of a flow that occur, and the whole", open=breakdowns, called=name_breakdown),
        Codelist("CL_OBS_STATUS", "Observation status, as SDMX has it", of(codes.ObsStatus)),
        Codelist("CL_UNIT_MEASURE", "Units", of(codes.Unit)),
        Codelist("CL_UNIT_MULT", "Unit multiplier, as SDMX has it", constant({"0": "Units"})),
        Codelist("CL_DECIMALS", "Decimals, as SDMX has it", constant({"0": "Zero"})),
        Codelist("CL_VALUATION", "Which costs a trade value contains", of(codes.Valuation)),
        Codelist("CL_METHOD", "How a record came about", of(codes.Method)),
        Codelist("CL_INDICATOR", "Indicators", open=lambda _, occurring: occurring.indicators),
        Codelist(
            "CL_READING",
            "Which of several statements of one key and period",
            open=lambda edition, occurring: {code: name_reading(edition, code) for code in occurring.readings},
            called=name_reading,
        ),
        Codelist("CL_DIRECTION", "Direction of a change", of(codes.Direction)),
        Codelist("CL_PROJECT_STATUS", "How far a project is", of(codes.ProjectStatus)),
        Codelist("CL_PROJECT_KIND", "What a project builds or runs", of(codes.ProjectKind)),
    )
}
"""Every codelist by its id."""


def closed_codes(codelist: str | None, edition: Edition) -> Labels | None:
    """Give the codes of a list that is known without a look at the rows."""
    found = LISTS[codelist] if codelist else None
    return found.closed(edition) if found and found.closed else None


def occurring(ask: Ask) -> Occurring:
    """Give what occurs in a release, looked up once and kept: it reads every trade flow."""
    service, edition = ask.service, ask.edition

    def look() -> Occurring:
        with ask.read(service.settings.export_timeout) as connection:
            return read_occurring(connection, edition.number)

    kept: Occurring = service.prepared.get(("sdmx", edition.key), look)
    return kept


def read_occurring(connection: Connection, release: int) -> Occurring:
    """Look what occurs up to a release: a later one changes nothing in it."""
    named = (TradeFlow.product, TradeFlow.classification, TradeFlow.breakdown)
    found = connection.execute(select(*named).where(TradeFlow.release <= release).distinct()).all()
    products, used, breakdowns = ({row[place] for row in found} for place in range(len(named)))
    rows = indicator_rows(release)
    readings = rows.with_only_columns(rows.selected_columns["READING"])
    indicators = select(Indicator.slug, Indicator.name).where(
        visible(Indicator, release),
        Indicator.slug.in_(select(Observation.indicator).where(visible(Observation, release))),
    )
    return Occurring(
        tuple(sorted(products)),
        tuple(sorted(used)),
        tuple(sorted(breakdowns)),
        {row.slug: row.name for row in connection.execute(indicators.order_by(Indicator.slug))},
        tuple(sorted(set(connection.execute(readings).scalars()), key=lambda code: int(code[1:]))),
    )
