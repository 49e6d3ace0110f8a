"""Countries: the economies of ISO 3166 and the aggregates that statistics use as one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.errors import Fault, NoSuchRecord
from app.filters import Clause, Where, key_is
from app.models import Country, CountryGroup
from app.names import fold, visible
from app.params import CodeOf, Countries, Groups, ListParams, Many, RecordParams, Regions, Sources, Subregions
from app.query import Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Countries"], route_class=TableRoute)


class CountryParams(ListParams):
    """Filters of countries."""

    country: Annotated[Countries, Where(Country.iso3)] = Field((), description="any name or code of a country or group")
    group: Annotated[Groups, Where(Country.iso3)] = Field(
        (), description="members of a group, such as central-asia", examples=[["central-asia"]]
    )
    kind: Annotated[Many[Annotated[codes.CountryKind, CodeOf(codes.CountryKind)]], Where(Country.kind)] = ()
    region: Annotated[Regions, Where(Country.region)] = Field((), description="UN M49 region, such as Asia")
    subregion: Annotated[Subregions, Where(Country.subregion)] = Field((), description="UN M49 sub-region")


class CountryRow(Row):
    """A country as lists show it."""

    iso3: str = Field(description="ISO 3166-1 alpha-3; own codes for aggregates")
    kind: codes.CountryKind
    iso2: str | None = Field(description="ISO 3166-1 alpha-2")
    m49: str | None = Field(description="UN M49, three digits")
    comtrade_code: int | None = Field(description="UN Comtrade, not always the M49 number")
    comtrade_also: list[str] = Field(description="other numbers that UN Comtrade and BACI files have for it")
    name: str
    official_name: str | None
    region: str | None = Field(description="UN M49 region")
    subregion: str | None = Field(description="UN M49 sub-region")
    aliases: list[str] = Field(description="other names that find it")
    source: str


class CountryRecord(CountryRow):
    """A country with the groups it belongs to."""

    groups: list[str] = Field(description="slugs of the groups it is a member of")


COUNTRIES = Resource("countries", CountryRow, Country, (Country.iso3,), ("iso3",))
COUNTRY = Resource("countries", CountryRecord, Country, (Country.iso3,), (), extras=frozenset({"groups"}))


def groups_of(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give the groups of a country."""
    member = CountryGroup.members.like(f"%|{record['iso3']}|%")
    query = (
        select(CountryGroup.slug).where(member, visible(CountryGroup, ask.edition.number)).order_by(CountryGroup.slug)
    )
    return {"groups": list(connection.execute(query).scalars())}


@router.get("/countries", operation_id="list_countries", **listing(CountryRow))
def list_countries(request: Request, params: Annotated[CountryParams, Query()]) -> Response:
    """List countries, with every code they go by."""
    return answer(request, params, COUNTRIES)


@router.get("/countries/{code}", operation_id="get_country", **single(CountryRecord))
def get_country(
    request: Request,
    code: Annotated[str, Path(description="ISO 2, ISO 3, M49, name or alias, in any case", examples=["kazakhstan"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a country by any of its names and codes."""
    return answer_one(request, params, COUNTRY, lambda ask: named(ask, code), groups_of)


def named(ask: Ask, code: str) -> Clause:
    """Find the country that a word means; a group is none."""
    meant = ask.edition.names.vocabularies["country"].meanings.get(fold(code), ())
    if len(meant) > 1:
        message = f"{code[:60]!r} is a group of countries; /v1/groups lists them"
        raise NoSuchRecord.of(Fault("country", code, message, meant))
    iso3 = meant[0] if len(meant) == 1 else code
    return Clause.of("country", code, Country.iso3 == iso3, (Country.name,))


class GroupParams(ListParams):
    """Filters of groups."""

    member: Annotated[Countries, Where(CountryGroup.members)] = Field((), examples=[["KAZ"]])
    source: Annotated[Sources, Where(CountryGroup.source)] = ()


class GroupRow(Row):
    """A named set of economies; asked for as a country, it stands for its members."""

    slug: str
    name: str
    members: list[str] = Field(description="ISO 3166-1 alpha-3")
    basis: str = Field(description="what defines the membership, and as of when; it is applied to every year")
    aliases: list[str]
    source: str


GROUPS = Resource("country_groups", GroupRow, CountryGroup, (CountryGroup.slug,), ())


@router.get("/groups", operation_id="list_groups", **listing(GroupRow))
def list_groups(request: Request, params: Annotated[GroupParams, Query()]) -> Response:
    """List groups of countries, with their members and what defines them."""
    return answer(request, params, GROUPS)


@router.get("/groups/{slug}", operation_id="get_group", **single(GroupRow))
def get_group(
    request: Request,
    slug: Annotated[str, Path(examples=["central-asia"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a group of countries."""
    return answer_one(request, params, GROUPS, key_is("group", CountryGroup.slug, slug))
