"""Every table on one page: columns with their unit and code list. No behaviour.

A published row is never changed or deleted. A later release supersedes it: the row is part of release N when
`release <= N` and it is not superseded, or only by a release after N. References between rows are by slug or code and
are checked when data are published, not by foreign keys: a row outlives the versions of what it names.
"""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Dialect, Float, ForeignKey, Index, Integer, MetaData, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeDecorator

from app import codes

ByteOrdered = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by code point on every engine, so that pages and bodies are the same on each."""


class Codes(TypeDecorator[tuple[str, ...]]):
    """A set of codes or slugs in one column, `|CHN|KAZ|`: versioned, read and filtered with its row on any engine."""

    impl = ByteOrdered
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Accept a sequence of codes; leave text, such as a LIKE pattern, as it is."""
        if value is None or isinstance(value, str):
            return value
        return "|" + "".join(f"{code}|" for code in value) if value else ""

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give the codes in stored order."""
        return codes_in(value)


@lru_cache(maxsize=10_000)
def codes_in(stored: str | None) -> tuple[str, ...] | None:
    """Read a set of codes."""
    if stored is None:
        return None
    return tuple(stored.strip("|").split("|")) if stored else ()


class Utc(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which keeps no zone, gives it back with one."""

    impl = DateTime(timezone=True)
    cache_ok = True
    python_type = datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Keep the moment as it is in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can name it on each engine, and maps Python types to columns."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: ByteOrdered,
        tuple[str, ...]: Codes,
        int: Integer,
        float: Float,
        datetime: Utc,
    }


class Published:
    """What every published row carries, `trade_flows` apart."""

    key: ClassVar[tuple[str, ...]] = ("slug",)

    source: Mapped[str] = mapped_column(sort_order=90)  # slug of the source that says so
    release: Mapped[int] = mapped_column(ForeignKey("releases.id"), primary_key=True, sort_order=91)  # first with it
    superseded_by: Mapped[int | None] = mapped_column(ForeignKey("releases.id"), sort_order=92)  # first without it


def published(table: str, key: tuple[str, ...], *more: SchemaItem) -> tuple[SchemaItem, ...]:
    """Constraints of a published table: one current row a key, superseded only later, and its own."""
    current = sql("superseded_by IS NULL")
    return (
        *more,
        CheckConstraint("superseded_by > release", name="superseded_later"),
        Index(f"uq_{table}_current", *key, unique=True, sqlite_where=current, postgresql_where=current),
    )


def coded(members: type[codes.Code], *more: str, primary_key: bool = False) -> MappedColumn[Any]:
    """Give a column that is held to a closed list of `codes`; `hold_codes` adds the constraint."""
    return mapped_column(info={"codes": members, "allowed": (*members, *more)}, primary_key=primary_key)


def hold_codes(metadata: MetaData) -> None:
    """Have the database hold every coded column to its list."""
    for table in metadata.tables.values():
        for column in table.columns:
            if "codes" in column.info:
                allowed = ", ".join(f"'{value}'" for value in column.info["allowed"])
                table.append_constraint(CheckConstraint(f"{column.name} IN ({allowed})", name=column.name))


def not_blank(*columns: str) -> tuple[CheckConstraint, ...]:
    """Refuse the empty text: what is missing is null."""
    return tuple(CheckConstraint(f"{column} <> ''", name=f"{column}_not_blank") for column in columns)


def not_negative(*columns: str) -> tuple[CheckConstraint, ...]:
    """Refuse a negative amount."""
    return tuple(CheckConstraint(f"{column} >= 0", name=f"{column}_not_negative") for column in columns)


def fragment() -> tuple[CheckConstraint, ...]:
    """Hold `start`, `end` and `exact` to a short fragment of a text, counted in code points, end exclusive."""
    return (
        CheckConstraint('"start" >= 0 AND "end" > "start"', name="span"),
        CheckConstraint('length(exact) BETWEEN 1 AND 200 AND length(exact) = "end" - "start"', name="exact"),
    )


def inference() -> tuple[CheckConstraint, ...]:
    """Hold `method`, `inferred` and `note` together: an inferred row names its inferred fields and says how."""
    return (CheckConstraint("(method = 'inferred') = (inferred <> '')", name="inferred_named"), inferred_noted())


def inferred_noted() -> CheckConstraint:
    """Hold what is inferred to a note that says how."""
    return CheckConstraint("inferred = '' OR note IS NOT NULL", name="inferred_noted")


def periods() -> tuple[CheckConstraint, ...]:
    """Hold a period's days together: both or neither, in order, in the year named."""
    return (
        CheckConstraint("(period_start IS NULL) = (period_end IS NULL)", name="period_whole"),
        CheckConstraint("period_start <= period_end", name="period_order"),
        CheckConstraint("year BETWEEN 1900 AND 2100", name="year"),
    )


class Release(Base):
    """One publication of data; its number is the version that answers and cursors carry."""

    __tablename__ = "releases"
    __table_args__ = (
        *not_blank("source"),
        *not_negative("rows_added", "rows_changed", "rows_removed", "rows_rejected"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 1, 2, 3 ... without a gap
    published_at: Mapped[datetime]  # UTC, whole seconds
    kind: Mapped[str] = coded(codes.ReleaseKind)
    source: Mapped[str]  # seed folder or dataset that was published
    file_name: Mapped[str | None]  # without its folder
    sha256: Mapped[str | None]  # of the published bytes
    rows_added: Mapped[int]  # new keys
    rows_changed: Mapped[int]  # new versions of known keys
    rows_removed: Mapped[int]  # keys that end with this release
    rows_rejected: Mapped[int]  # rows of the file that were refused
    options: Mapped[str | None]  # of the import: what was read of the file beside its ordinary rows
    withdraws: Mapped[int | None]  # release that this one takes back
    changes: Mapped[str | None]  # JSON: rows added, changed and removed by table; reporters and years of flows


class Source(Published, Base):
    """A document or a dataset. Its own `source` is itself."""

    __tablename__ = "sources"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug", "title", "publisher"),
        CheckConstraint("source = slug", name="own_source"),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("length > 0", name="length"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = coded(codes.SourceKind)
    title: Mapped[str]
    publisher: Mapped[str]
    url: Mapped[str | None]
    published_on: Mapped[date | None]
    language: Mapped[str]  # ISO 639-1
    licence: Mapped[str | None]
    sha256: Mapped[str | None]  # of the text or file as read
    length: Mapped[int | None]  # code points of the text
    note: Mapped[str | None]


class Figure(Published, Base):
    """One number as a source states it; every other number points here."""

    __tablename__ = "figures"
    key = ("id",)
    __table_args__ = published(
        __tablename__,
        ("id",),
        *not_blank("id", "as_stated"),
        *fragment(),
        CheckConstraint("lower <= value AND value <= upper", name="interval"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    as_stated: Mapped[str]  # the number's own words, once in `exact`
    value: Mapped[float]  # in `unit`
    unit: Mapped[str] = coded(codes.Unit)
    qualifier: Mapped[str] = coded(codes.Qualifier)
    lower: Mapped[float | None]  # in `unit`; null = unbounded
    upper: Mapped[float | None]  # in `unit`; null = unbounded
    stated_by: Mapped[str | None]  # expert or organization; null = the source's own voice
    section: Mapped[str | None]  # heading it stands under; null = before the first
    start: Mapped[int]  # code points from the start of the text
    end: Mapped[int]  # exclusive
    exact: Mapped[str]  # verbatim fragment that proves the number


class Evidence(Published, Base):
    """The words behind one field of one record, with the figure they hold where it is a number."""

    __tablename__ = "evidence"
    key = ("record", "record_key", "field", "start")
    __table_args__ = published(
        __tablename__,
        ("record", "record_key", "field", "start"),
        *not_blank("record", "record_key", "field"),
        *fragment(),
        Index("ix_evidence_figure", "figure"),
    )

    record: Mapped[str] = mapped_column(primary_key=True)  # table of the record
    record_key: Mapped[str] = mapped_column(primary_key=True)  # its slug or id
    field: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # code points
    end: Mapped[int]  # exclusive
    exact: Mapped[str]  # verbatim fragment
    figure: Mapped[str | None]  # null = words, no number


class Country(Published, Base):
    """An economy of ISO 3166-1, or an aggregate that statistics use as one."""

    __tablename__ = "countries"
    key = ("iso3",)
    __table_args__ = published(
        __tablename__,
        ("iso3",),
        *not_blank("name"),
        CheckConstraint("length(iso3) = 3 AND upper(iso3) = iso3", name="iso3"),
        CheckConstraint("length(iso2) = 2 AND upper(iso2) = iso2", name="iso2"),
        CheckConstraint("length(m49) = 3", name="m49"),
        CheckConstraint("kind <> 'economy' OR iso2 IS NOT NULL", name="economy_has_iso2"),
    )

    iso3: Mapped[str] = mapped_column(primary_key=True)  # ISO 3166-1; own codes for aggregates
    kind: Mapped[str] = coded(codes.CountryKind)
    iso2: Mapped[str | None]  # ISO 3166-1
    m49: Mapped[str | None]  # UN M49, three digits
    comtrade_code: Mapped[int | None]  # UN Comtrade, not always the M49 number
    comtrade_also: Mapped[tuple[str, ...]]  # other numbers that UN Comtrade and BACI files have for it
    name: Mapped[str]
    official_name: Mapped[str | None]
    region: Mapped[str | None]  # UN M49 region
    subregion: Mapped[str | None]  # UN M49 sub-region
    aliases: Mapped[tuple[str, ...]]  # other names that find it


class CountryGroup(Published, Base):
    """A named set of economies; asked for, it stands for its members."""

    __tablename__ = "country_groups"
    __table_args__ = published(
        __tablename__, ("slug",), *not_blank("slug", "name", "basis"), CheckConstraint("members <> ''", name="members")
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    members: Mapped[tuple[str, ...]]  # ISO 3166-1 alpha-3
    basis: Mapped[str]  # what defines the membership, and as of when
    aliases: Mapped[tuple[str, ...]]


class TradeFlow(Base):
    """A value of trade, as one source has it.

    The key is natural and starts with the reporter, and no foreign key leads from or to it: the table can be
    distributed by reporter or by product as it stands. Key columns the source leaves open hold codes.NOT_STATED.
    """

    __tablename__ = "trade_flows"
    key: ClassVar[tuple[str, ...]] = (
        "reporter", "partner", "flow", "product", "classification", "frequency", "period", "source", "stated_by",
        "breakdown",
    )  # fmt: skip
    __table_args__ = (
        CheckConstraint("superseded_by > release", name="superseded_later"),
        CheckConstraint("length(reporter) = 3 AND length(partner) = 3", name="iso3"),
        *inference(),
        *periods(),
        *not_blank("product", "classification", "period", "source", "stated_by", "breakdown"),
        *not_negative("value_usd", "net_weight_kg"),
        CheckConstraint("(period = '-') = (period_start IS NULL)", name="period_dated"),
        # One for each way in; what follows the year is the order of a list, so that a page needs no sort.
        Index("ix_trade_flows_reporter_year", "reporter", "year", "partner", "flow", "product"),
        Index("ix_trade_flows_partner_year", "partner", "year", "reporter", "flow", "product"),
        Index("ix_trade_flows_product_year", "product", "year", "reporter", "partner", "flow"),
        Index("ix_trade_flows_source_year", "source", "year", "reporter", "partner"),
    )

    reporter: Mapped[str] = mapped_column(primary_key=True)  # whose record it is, ISO 3166-1 alpha-3
    partner: Mapped[str] = mapped_column(primary_key=True)  # the other side
    flow: Mapped[str] = coded(codes.Flow, primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)  # code of `classification`, or TOTAL
    classification: Mapped[str] = mapped_column(primary_key=True)  # H0..H6, S1..S4, EB ...
    frequency: Mapped[str] = coded(codes.Frequency, codes.NOT_STATED, primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)  # 2024, 2024-Q1, 2024-03, 2025-01/2025-04
    source: Mapped[str] = mapped_column(primary_key=True)
    stated_by: Mapped[str] = mapped_column(
        primary_key=True
    )  # expert or organization, or codes.NOT_STATED: the source's own voice
    breakdown: Mapped[str] = mapped_column(
        primary_key=True
    )  # second partner, customs procedure, transport: a part of the whole, or codes.NOT_STATED: the whole
    release: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # first release with this version
    superseded_by: Mapped[int | None]  # first release without it; null = current
    period_start: Mapped[date | None]
    period_end: Mapped[date | None]  # inclusive
    year: Mapped[int | None]  # calendar year the period lies in
    value_usd: Mapped[int] = mapped_column(BigInteger)  # whole current US dollars
    net_weight_kg: Mapped[float | None]
    net_weight_estimated: Mapped[bool | None]  # whether the source says the weight is its estimate
    valuation: Mapped[str] = coded(codes.Valuation)
    obs_status: Mapped[str] = coded(codes.ObsStatus)
    method: Mapped[str] = coded(codes.Method)
    inferred: Mapped[tuple[str, ...]]  # fields that are our conclusion
    note: Mapped[str | None]


class Product(Published, Base):
    """A heading of the Harmonized System 2022: chapter, heading or subheading."""

    __tablename__ = "products"
    key = ("code",)
    __table_args__ = published(
        __tablename__,
        ("code",),
        *not_blank("code", "description", "section"),
        CheckConstraint("level IN (0, 2, 4, 6)", name="level"),
        CheckConstraint("(level = 0) = (parent IS NULL)", name="parent"),
        Index("ix_products_parent", "parent"),
    )

    code: Mapped[str] = mapped_column(primary_key=True)  # leading zeros kept; TOTAL is the root
    level: Mapped[int]  # length of the code; 0 is TOTAL
    parent: Mapped[str | None]  # code one level up
    section: Mapped[str | None]  # Roman number of the section
    section_name: Mapped[str | None]
    description: Mapped[str]


class TradeShare(Published, Base):
    """A partner's share of a reporter's trade, or its rank in it."""

    __tablename__ = "trade_shares"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug"),
        *inference(),
        *periods(),
        CheckConstraint("share_percent BETWEEN 0 AND 100", name="share_percent"),
        CheckConstraint("share_lower <= share_percent AND share_percent <= share_upper", name="share_interval"),
        CheckConstraint("rank > 0", name="rank"),
        CheckConstraint("share_percent IS NOT NULL OR rank IS NOT NULL", name="share_or_rank"),
        CheckConstraint("year IS NULL OR year_inferred IS NULL", name="one_year"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    reporter: Mapped[str]
    partner: Mapped[str]
    flow: Mapped[str] = coded(codes.Flow)
    within: Mapped[str]  # partner whose trade is the whole: WLD, XCA ...
    share_percent: Mapped[float | None]
    qualifier: Mapped[str | None] = coded(codes.Qualifier)  # of the share
    share_lower: Mapped[float | None]  # least share that digits and qualifier allow
    share_upper: Mapped[float | None]
    rank: Mapped[int | None]  # only where stated
    frequency: Mapped[str | None] = coded(codes.Frequency)
    period: Mapped[str | None]  # as for trade flows; --01/--04 where the year is not stated
    period_start: Mapped[date | None]
    period_end: Mapped[date | None]
    year: Mapped[int | None]
    year_inferred: Mapped[int | None]  # our conclusion where the source names no year
    stated_by: Mapped[str | None]
    method: Mapped[str] = coded(codes.Method)
    inferred: Mapped[tuple[str, ...]]
    note: Mapped[str | None]


class Programme(Published, Base):
    """A policy programme that projects belong to."""

    __tablename__ = "programmes"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "name", "summary"))

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    part_of: Mapped[str | None]  # the programme it is a part of
    summary: Mapped[str]
    aliases: Mapped[tuple[str, ...]]


class Project(Published, Base):
    """A joint project that a source names."""

    __tablename__ = "projects"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug", "name", "summary"),
        *inference(),
        *not_negative("value_usd", "jobs"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = coded(codes.ProjectKind)
    status: Mapped[str] = coded(codes.ProjectStatus)
    countries: Mapped[tuple[str, ...]]
    value_usd: Mapped[int | None] = mapped_column(BigInteger)  # whole current US dollars
    jobs: Mapped[int | None]
    programme: Mapped[str | None]
    summary: Mapped[str]
    aliases: Mapped[tuple[str, ...]]
    method: Mapped[str] = coded(codes.Method)
    inferred: Mapped[tuple[str, ...]]
    note: Mapped[str | None]


class ProjectPortfolio(Published, Base):
    """An aggregate that a source states of many projects without naming them."""

    __tablename__ = "project_portfolios"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug", "name"),
        *not_negative("project_count", "value_usd", "jobs"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str] = coded(codes.ProjectStatus)
    countries: Mapped[tuple[str, ...]]
    project_count: Mapped[int | None]
    value_usd: Mapped[int | None] = mapped_column(BigInteger)  # whole current US dollars
    jobs: Mapped[int | None]
    stated_by: Mapped[str | None]
    note: Mapped[str | None]


class Organization(Published, Base):
    """A body that a source names."""

    __tablename__ = "organizations"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "name"), inferred_noted())

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = coded(codes.OrganizationKind)
    country: Mapped[str | None]
    summary: Mapped[str | None]
    aliases: Mapped[tuple[str, ...]]
    inferred: Mapped[tuple[str, ...]]  # fields that are our conclusion
    note: Mapped[str | None]


class Expert(Published, Base):
    """A person who speaks in a source."""

    __tablename__ = "experts"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "name"), inferred_noted())

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    title: Mapped[str | None]
    organization: Mapped[str | None]
    country: Mapped[str | None]
    role: Mapped[str] = coded(codes.Role)
    inferred: Mapped[tuple[str, ...]]  # fields that are our conclusion
    note: Mapped[str | None]


class Topic(Published, Base):
    """A subject of quotes."""

    __tablename__ = "topics"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "name"))

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    summary: Mapped[str | None]


class Quote(Published, Base):
    """Words said: verbatim, or in our wording with the source's fragment beside them."""

    __tablename__ = "quotes"
    key = ("id",)
    __table_args__ = published(
        __tablename__,
        ("id",),
        *not_blank("id", "text"),
        CheckConstraint('"start" >= 0 AND length(exact) = "end" - "start"', name="span"),
        CheckConstraint("(kind = 'direct') = (text = exact)", name="direct_is_verbatim"),
        CheckConstraint("kind = 'direct' OR length(exact) <= 200", name="exact"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    expert: Mapped[str]
    kind: Mapped[str] = coded(codes.QuoteKind)
    text: Mapped[str]  # verbatim if direct, our own words if paraphrase
    topics: Mapped[tuple[str, ...]]
    section: Mapped[str | None]
    start: Mapped[int]  # code points
    end: Mapped[int]  # exclusive
    exact: Mapped[str]  # verbatim
    continues: Mapped[str | None]  # the quote that this one carries on
    speaker_basis: Mapped[str] = coded(codes.Basis)


class Event(Published, Base):
    """Something that happened, dated as precisely as the source does."""

    __tablename__ = "events"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug", "name", "summary"),
        CheckConstraint("year BETWEEN 1900 AND 2100", name="year"),
        CheckConstraint("year IS NULL OR year_inferred IS NULL", name="one_year"),
        *not_negative("agreements_count", "agreements_value_usd"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = coded(codes.EventKind)
    date: Mapped[str | None]  # ISO 8601 as far as stated: 2023, 2025-06-16, --06-16
    year: Mapped[int | None]
    year_inferred: Mapped[int | None]  # our conclusion where the source names no year
    place: Mapped[str | None]
    countries: Mapped[tuple[str, ...]]
    agreements_count: Mapped[int | None]
    agreements_value_usd: Mapped[int | None] = mapped_column(BigInteger)  # whole current US dollars
    summary: Mapped[str]
    note: Mapped[str | None]


class Indicator(Published, Base):
    """A measure over time that is no trade flow."""

    __tablename__ = "indicators"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "name", "description"))

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    unit: Mapped[str] = coded(codes.Unit)
    countries: Mapped[tuple[str, ...]]
    description: Mapped[str]


class Observation(Published, Base):
    """One value of an indicator, or the direction alone where the source gives no number."""

    __tablename__ = "observations"
    __table_args__ = published(
        __tablename__,
        ("slug",),
        *not_blank("slug"),
        *inference(),
        *periods(),
        CheckConstraint("value IS NOT NULL OR direction IS NOT NULL", name="value_or_direction"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    indicator: Mapped[str]
    value: Mapped[float | None]  # in the indicator's unit
    direction: Mapped[str | None] = coded(codes.Direction)  # where the source says one
    as_stated: Mapped[str]  # its words
    frequency: Mapped[str | None] = coded(codes.Frequency)
    period: Mapped[str | None]  # as for trade flows
    period_start: Mapped[date | None]
    period_end: Mapped[date | None]
    year: Mapped[int | None]
    stated_by: Mapped[str | None]
    obs_status: Mapped[str] = coded(codes.ObsStatus)
    method: Mapped[str] = coded(codes.Method)
    inferred: Mapped[tuple[str, ...]]
    note: Mapped[str | None]


class Risk(Published, Base):
    """A risk, or a mitigation, that a source names."""

    __tablename__ = "risks"
    __table_args__ = published(__tablename__, ("slug",), *not_blank("slug", "theme", "summary"))

    slug: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = coded(codes.RiskKind)
    theme: Mapped[str]  # slug of a topic
    summary: Mapped[str]  # our words
    raised_by: Mapped[str | None]  # expert; null = the source's own voice
    quotes: Mapped[tuple[str, ...]]


class Check(Published, Base):
    """Arithmetic that figures must bear; computed when asked, never stored."""

    __tablename__ = "checks"
    __table_args__ = published(
        __tablename__, ("slug",), *not_blank("slug", "title"), CheckConstraint("figures <> ''", name="figures")
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    kind: Mapped[str] = coded(codes.CheckKind)
    figures: Mapped[tuple[str, ...]]  # operands, in the order that `kind` reads them
    expected: Mapped[str | None]  # the figure that the operands are held against
    direction: Mapped[str | None] = coded(codes.Direction)  # expected, where words say it
    note: Mapped[str | None]


class SearchEntry(Published, Base):
    """The words of one record, as full-text search reads them; derived when the record is published."""

    __tablename__ = "search_entries"
    key = ("record", "record_key")
    __table_args__ = published(
        __tablename__, ("record", "record_key"), *not_blank("record", "record_key", "title", "words")
    )

    id: Mapped[int] = mapped_column(primary_key=True)  # row number of the full-text index
    release: Mapped[int] = mapped_column(ForeignKey("releases.id"), sort_order=91)
    record: Mapped[str]
    record_key: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    words: Mapped[str]  # folded words, a blank between each


hold_codes(Base.metadata)
