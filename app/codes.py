"""Closed lists: every code the service stores or accepts, with its label and the standard it comes from."""

from enum import StrEnum
from typing import Self

NOT_STATED = "-"
"""Key column of a trade flow that the source leaves open, `stated_by` in its own voice included; null in answers."""
TOTAL = "TOTAL"
"""Product code of all commodities together (UN Comtrade)."""


class Code(StrEnum):
    """A member knows its label and the other spellings that standards give it."""

    label: str
    spellings: tuple[str, ...]

    def __new__(cls, value: str, label: str = "", *spellings: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.spellings = spellings
        return member


class Flow(Code):
    """Direction of trade, seen from the reporter. Other spellings: UN Comtrade and SDMX codes."""

    EXPORT = "export", "Exports, re-exports included", "X"
    IMPORT = "import", "Imports, re-imports included", "M"
    TOTAL = "total", "Exports and imports together (turnover)", "T"
    RE_EXPORT = "re_export", "Re-exports, a part of exports", "RX"
    RE_IMPORT = "re_import", "Re-imports, a part of imports", "RM"
    DOMESTIC_EXPORT = "domestic_export", "Domestic exports, a part of exports", "DX"
    FOREIGN_IMPORT = "foreign_import", "Foreign imports, a part of imports", "FM"
    IMPORT_INWARD = "import_inward_processing", "Imports for inward processing, a part of imports", "MIP"
    IMPORT_OUTWARD = "import_outward_processing", "Imports after outward processing, a part of imports", "MOP"
    EXPORT_INWARD = "export_inward_processing", "Exports after inward processing, a part of exports", "XIP"
    EXPORT_OUTWARD = "export_outward_processing", "Exports for outward processing, a part of exports", "XOP"


class Frequency(Code):
    """How long a period is (SDMX CL_FREQ; YTD is our own, for January to some month)."""

    ANNUAL = "A", "Annual"
    QUARTERLY = "Q", "Quarterly"
    MONTHLY = "M", "Monthly"
    YEAR_TO_DATE = "YTD", "From January to a later month of one year"


class ObsStatus(Code):
    """Status of an observation (SDMX CL_OBS_STATUS)."""

    NORMAL = "A", "Normal value"
    BREAK = "B", "Break in the series"
    DEFINITION = "D", "Definition differs"
    ESTIMATED = "E", "Estimated"
    FORECAST = "F", "Forecast or target"
    MISSING = "O", "Missing value"
    PROVISIONAL = "P", "Provisional"
    LOW_RELIABILITY = "U", "Low reliability"
    UNVALIDATED = "V", "Unvalidated"


class Method(Code):
    """How a record came about."""

    STATED = "stated", "As the source states it"
    INFERRED = "inferred", "In part our conclusion: `inferred` names the fields, `note` says how"
    RECONCILED = "reconciled", "Reconciled by the source from both sides' reports"


class Valuation(Code):
    """Which costs a trade value contains (Incoterms as trade statistics use them)."""

    FOB = "FOB", "Free on board: without freight and insurance to the importer"
    CIF = "CIF", "Cost, insurance and freight to the importer included"
    UNSPECIFIED = "unspecified", "The source does not say"


class ProjectStatus(Code):
    """How far a project is."""

    COMPLETED = "completed", "Completed"
    OPERATIONAL = "operational", "In use"
    UNDER_DEVELOPMENT = "under_development", "Under development"
    PLANNED = "planned", "Planned"
    NOT_STATED = "not_stated", "The source does not say"


class ProjectKind(Code):
    """What a project builds or runs."""

    RAILWAY = "railway", "Railway"
    HIGHWAY = "highway", "Highway"
    DRY_PORT = "dry_port", "Dry port"
    BORDER_CROSSING = "border_crossing", "Border crossing"
    CORRIDOR = "corridor", "Transport corridor"
    TRANSPORT_SERVICE = "transport_service", "Transport service"
    ENERGY = "energy", "Energy"
    INDUSTRY = "industry", "Industry"
    OTHER = "other", "Other"


class SourceKind(Code):
    ARTICLE = "article", "Article"
    DATASET = "dataset", "Dataset"


class CountryKind(Code):
    ECONOMY = "economy", "An economy of ISO 3166-1"
    AGGREGATE = "aggregate", "Several economies that statistics use as one"
    AREA = "area", "What statistics list beside ISO 3166-1: areas not specified, bunkers, former states"


class Qualifier(Code):
    """How exactly a number is stated; the interval each allows is in docs/sources-and-method.md."""

    EXACT = "exact", "No qualifier: the printed digits are meant"
    APPROXIMATELY = "approximately", "Approximately"
    AROUND = "around", "Around"
    NEARLY = "nearly", "Nearly, almost: just below"
    MORE_THAN = "more_than", "More than, over"
    LESS_THAN = "less_than", "Less than, under"
    UP_TO = "up_to", "Up to, at most"


class Unit(Code):
    """Unit of a stated number."""

    USD = "USD", "US dollars"
    PERCENT = "percent", "Percent"
    PROJECTS = "projects", "Projects"
    AGREEMENTS = "agreements", "Agreements"
    JOBS = "jobs", "Jobs"
    TONS = "tons", "Tons, as stated; which ton is not said"
    RANK = "rank", "Rank, 1 is the largest"
    YEAR = "year", "Calendar year, of a date or a period"
    DAY = "day_of_month", "Day of a month"
    MONTHS = "months", "Number of months, of a period"
    QUARTER = "quarter", "Quarter of a year, 1 to 4"


class QuoteKind(Code):
    DIRECT = "direct", "Verbatim, between quotation marks in the source"
    PARAPHRASE = "paraphrase", "Reported speech; the text is our own wording, `exact` is the source's"


class Basis(Code):
    STATED = "stated", "The sentence or its paragraph names the speaker"
    INFERRED = "inferred", "Only a pronoun does; the speaker is the one named last"


class Role(Code):
    EXPERT = "expert", "Expert"
    OFFICIAL = "official", "Official"
    HEAD_OF_STATE = "head_of_state", "Head of state"


class OrganizationKind(Code):
    STATISTICS_OFFICE = "statistics_office", "Statistics office"
    THINK_TANK = "think_tank", "Research institute or think tank"
    GOVERNMENT = "government", "Government body"
    MEDIA = "media", "News organisation"
    INTERNATIONAL = "international", "International or regional organisation"
    SECRETARIAT = "secretariat", "Secretariat of a cooperation format"
    FINANCE = "finance", "Financial institution"


class EventKind(Code):
    SUMMIT = "summit", "Summit"
    VISIT = "visit", "State visit"
    FORUM = "forum", "Forum"
    ANNOUNCEMENT = "announcement", "Announcement"


class RiskKind(Code):
    RISK = "risk", "Risk"
    MITIGATION = "mitigation", "Mitigation"


class Direction(Code):
    INCREASE = "increase", "Increase"
    DECREASE = "decrease", "Decrease"
    UNCHANGED = "unchanged", "Nearly unchanged"


class CheckKind(Code):
    """Which arithmetic a check does on its figures, in their order."""

    SUM = "sum", "The figures add up to the expected one"
    SHARE = "share", "The first figure over the second, in percent, is the expected one"
    SAME = "same", "The figures state one quantity"
    CHANGE = "change", "From the second figure to the first, the change goes as the words say"
    PERIOD = "period", "A quarter and a number of months from January name one period"
    PARTS = "parts", "The figures, parts of the expected one, do not exceed it"


class Verdict(Code):
    """What a check finds."""

    HOLDS = "holds", "Exactly as stated"
    WITHIN_ROUNDING = "holds_within_rounding", "Differs by no more than the printed digits and qualifiers allow"
    CONFLICTS = "conflicts", "Differs by more than that"


class ReleaseKind(Code):
    SEED = "seed", "Seed files"
    IMPORT = "import", "Import of a dataset"
    WITHDRAWAL = "withdrawal", "A release taken back"
