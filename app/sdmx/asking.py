"""What an SDMX request asks: its path, its key, its periods and its format; every fault is told."""

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from starlette.requests import Request

from app.ask import Ask, Service, matches_media, refuse_excess, refuse_repeats, settle_release, weigh, weightiest
from app.errors import (
    Contradiction,
    Fault,
    InvalidValue,
    NoSuchPath,
    NoSuchRecord,
    NotAcceptable,
    OverLimit,
    UnknownName,
)
from app.names import fold
from app.nearest import nearest
from app.params import DIGITS, Params, Text
from app.releases import Edition
from app.sdmx.cube import AGENCY, VERSION, Component, Cube, Selection
from app.sdmx.cubes import CUBES
from app.sdmx.lists import closed_codes

T = TypeVar("T")
ALL = frozenset({"all", "ALL", "*", ""})
LATEST = ALL | {"latest", VERSION}
KINDS = ("dataflow", "datastructure", "conceptscheme", "codelist")
REFERENCES = ("none", "all", "children", "descendants", "parents", "parentsandsiblings")

Days = tuple[date, date]
Some = Annotated[int, Field(ge=1, le=2**31 - 1), DIGITS]


class DataParams(Params):
    """What a request for data takes beside its path."""

    startPeriod: Text | None = Field(None, description="2024, 2024-S1, 2024-Q1, 2024-03, 2024-W05 or a day")  # noqa: N815 - SDMX-REST's name
    endPeriod: Text | None = None  # noqa: N815 - SDMX-REST's name
    firstNObservations: Some | None = None  # noqa: N815 - SDMX-REST's name
    lastNObservations: Some | None = None  # noqa: N815 - SDMX-REST's name
    detail: Literal["full", "dataonly", "serieskeysonly", "nodata"] = "full"
    dimensionAtObservation: Literal["TIME_PERIOD", "AllDimensions"] = "TIME_PERIOD"  # noqa: N815 - SDMX-REST's name
    format: Text | None = None


class AvailableParams(Params):
    """What a request for available codes takes beside its path."""

    startPeriod: Text | None = None  # noqa: N815 - SDMX-REST's name
    endPeriod: Text | None = None  # noqa: N815 - SDMX-REST's name
    mode: Literal["exact"] = "exact"
    references: Literal["none"] = "none"


class StructureParams(Params):
    """What a request for structures takes beside its path."""

    references: Literal[REFERENCES + KINDS] = "none"  # type: ignore[valid-type]  # mypy reads no sum of tuples
    detail: Literal["full", "allstubs", "referencestubs", "allcompletestubs", "referencecompletestubs"] = "full"


@dataclass(frozen=True)
class Served:
    """A format as it is served: its media type, and the other types that ask for it."""

    name: str
    media: str
    version: str
    others: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """The content type of an answer."""
        return f"{self.media};version={self.version}"


VND = "application/vnd.sdmx."
XML = ("application/xml", "text/xml")
DATA_FORMATS = (
    Served("genericdata", f"{VND}genericdata+xml", "2.1", XML),
    Served("structurespecificdata", f"{VND}structurespecificdata+xml", "2.1"),
    Served("jsondata", f"{VND}data+json", "1.0.0", ("application/json",)),
    Served("csv", f"{VND}data+csv", "1.0.0", ("text/csv",)),
)
"""The first is what is given to those who take anything."""
STRUCTURE_FORMATS = (Served("structure", f"{VND}structure+xml", "2.1", XML),)


def asked(request: Request, params: Params, formats: tuple[Served, ...]) -> tuple[Ask, Served]:
    """Settle release and format of a request. Raises what is wrong with it."""
    service: Service = request.app.state.service
    refuse_repeats(request, type(params))
    refuse_excess(params, service.settings)
    edition = settle_release(request, params.release)
    served = negotiate(request, getattr(params, "format", None), formats)
    return Ask(request, service, params, edition, served.name), served


def negotiate(request: Request, wanted: str | None, formats: tuple[Served, ...]) -> Served:
    """Give the format that `format=` or else Accept asks for. Raises InvalidValue, NotAcceptable."""
    if wanted is not None:
        names = {one.name: one for one in formats}
        return found_in(names, wanted.casefold(), "format", InvalidValue)
    header = request.headers.get("accept") or "*/*"
    ranges = [(*weigh(part), version_of(part)) for part in header.split(",") if part.strip() and not OTHER.search(part)]

    def taken(served: Served, pattern: str, version: str | None) -> bool:
        is_meant = any(matches_media(pattern, media) for media in (served.media, *served.others))
        return is_meant and version in (None, short(served.version))

    best = weightiest(
        (served, [(pattern, weight) for pattern, weight, version in ranges if taken(served, pattern, version)])
        for served in formats
    )
    if best is None:
        allowed = tuple(one.media_type for one in formats)
        message = f"Accept takes none of {', '.join(allowed)}"
        raise NotAcceptable.of(Fault("Accept", header, message, allowed))
    return best


OTHER = re.compile(r";\s*(?:labels\s*=\s*\"?(?!id\b)|timeformat\s*=\s*\"?(?!original\b))", re.IGNORECASE)
"""Options of SDMX-CSV that are not served: labels beside the codes, periods spelled anew."""


def version_of(part: str) -> str | None:
    """Give the version that a range of an Accept header names, without zeros at its end."""
    found = re.search(r";\s*version\s*=\s*\"?([\d.]+)", part)
    return short(found[1]) if found else None


def short(version: str) -> str:
    """Give a version without zeros at its end: 1.0.0 and 1.0 are one."""
    return re.sub(r"(\.0)+$", "", version)


def found_in(known: Mapping[str, T], word: str, what: str, error: type[InvalidValue | NoSuchRecord]) -> T:
    """Give what a word names. Raises the error with the word that is most like it."""
    if word in known:
        return known[word]
    allowed = tuple(known)
    message = f"there is no {what} {word[:60]!r}: there are {', '.join(allowed)}"
    raise error.of(Fault(what, word, message, allowed, nearest(word, allowed)))


def parts_of(rest: str, most: int) -> list[str]:
    """Give the parts of a path after its resource; a slash at the end says nothing. Raises NoSuchPath."""
    parts = rest.removesuffix("/").split("/") if rest else []
    if len(parts) > most:
        raise NoSuchPath(f"the path has {len(parts)} parts after its resource, at most {most} are read")
    return parts


def cube_of(reference: str) -> Cube:
    """Give the dataflow that `TRADE`, `KHORGOS,TRADE` or `KHORGOS,TRADE,1.0` names; any agency is taken for ours.

    Clients put the name that their user gave the source in its place. Raises NoSuchRecord.
    """
    parts = reference.split(",")
    if len(parts) > 3:
        raise InvalidValue.of(Fault("flow", reference, "a dataflow is ID, AGENCY,ID or AGENCY,ID,VERSION"))
    version = parts[2] if len(parts) == 3 else "latest"
    if version not in LATEST:
        raise no_such_version(version)
    return found_in(CUBES, parts[0] if len(parts) == 1 else parts[1], "dataflow", NoSuchRecord)


def no_such_version(version: str) -> NoSuchRecord:
    """Say which version there is."""
    message = f"there is no version {version[:60]!r}: everything is version {VERSION}"
    return NoSuchRecord.of(Fault("version", version, message, (VERSION,)))


def check_provider(provider: str) -> None:
    """Refuse data of another provider than this service. Raises NoSuchRecord."""
    if provider not in ALL and provider.rpartition(",")[2] != AGENCY:
        message = f"there is no provider {provider[:60]!r}: all data are provided by {AGENCY}"
        raise NoSuchRecord.of(Fault("provider", provider, message, (AGENCY,)))


def select_of(cube: Cube, key: str, params: DataParams | AvailableParams, ask: Ask) -> Selection:
    """Read key, periods and counts. Raises InvalidValue, UnknownName, OverLimit, Contradiction."""
    codes = read_key(cube, key, ask.edition, ask.service.settings.list_values)
    start = bound("startPeriod", params.startPeriod)
    end = bound("endPeriod", params.endPeriod)
    if start and end and start[0] > end[1]:
        message = f"startPeriod is {params.startPeriod}, after endPeriod, which is {params.endPeriod}"
        raise Contradiction.of(
            Fault("startPeriod", params.startPeriod, message), Fault("endPeriod", params.endPeriod, message)
        )
    first, last = (getattr(params, name, None) for name in ("firstNObservations", "lastNObservations"))
    return Selection(ask.edition, codes, start and start[0], end and end[1], first, last)


def read_key(cube: Cube, key: str, edition: Edition, most: int) -> tuple[frozenset[str], ...]:
    """Read `A.CHN+KAZ...`: a part a dimension, an empty one for all; a code of a closed list must be in it."""
    if key in ALL:
        return (frozenset(),) * len(cube.dimensions)
    parts, shape = key.split("."), ".".join(cube.key)
    if len(parts) != len(cube.dimensions):
        message = f"the key has {len(parts)} parts, {cube.id} has {len(cube.dimensions)} dimensions: {shape}"
        raise InvalidValue.of(Fault("key", key, message))
    made, unknown = [], []
    for dimension, part in zip(cube.dimensions, parts, strict=True):
        words = part.split("+") if part else []
        if "" in words:
            raise InvalidValue.of(Fault("key", key, f"{dimension.id} has a blank code between plus signs"))
        if len(words) > most:
            message = f"{dimension.id} has {len(words)} codes, at most {most} are read"
            raise OverLimit.of(Fault("key", None, message))
        known = closed_codes(dimension.codelist, edition)
        if known is not None:
            unknown += [no_such_code(dimension, word, known, edition) for word in words if word not in known]
        made.append(frozenset(words))
    if unknown:
        raise UnknownName.of(*unknown)
    return tuple(made)


def no_such_code(dimension: Component, word: str, known: Mapping[str, str], edition: Edition) -> Fault:
    """Say that the closed list of a dimension has no such code, which was meant, and what there is."""
    allowed = tuple(known) if len(known) <= FEW else None
    where = (
        f"it has {', '.join(allowed)}" if allowed else f"/sdmx/2.1/codelist/{AGENCY}/{dimension.codelist} lists them"
    )
    message = f"{dimension.id} has no code {word[:60]!r}: {where}"
    return Fault(dimension.id, word, message, allowed, code_meant(dimension, word, known, edition))


FEW = 20
"""Codes of a list up to which an error lists all of them."""
BOOKS = {"CL_AREA": "country", "CL_PROJECT_AREA": "country", "CL_SOURCE": "source", "CL_SPEAKER": "speaker"}
"""Vocabularies whose names mean codes of a list."""


def code_meant(dimension: Component, word: str, known: Mapping[str, str], edition: Edition) -> str | None:
    """Give the code of what is called so elsewhere, else the code most like the word, else that of the name most so."""
    code = dimension.codes_of().get(word.casefold()) or nearest(word, known)
    if (name := BOOKS.get(dimension.codelist or "")) is None:
        return code
    book = edition.names.vocabularies[name]
    named, like = (book.meanings.get(fold(one or ""), ()) for one in (word, book.like(word)))
    choices = (codes[0] if len(codes) == 1 else None for codes in (named, (code,), like))
    return next((one for one in choices if one in known), None)


def bound(parameter: str, text: str | None) -> Days | None:
    """Give the days of a period that bounds others. Raises InvalidValue."""
    if text is None:
        return None
    for shape, days in PERIODS.items():
        if found := re.fullmatch(shape, text, re.ASCII):
            try:
                return days(*map(int, found.groups()))
            except ValueError:
                break
    message = (
        f"{parameter} cannot be {text[:60]!r}: it is a year 2024, half 2024-S1, quarter 2024-Q1, month 2024-03, "
        "week 2024-W05 or day 2024-03-31"
    )
    raise InvalidValue.of(Fault(parameter, text, message))


def span(length: int) -> Callable[[int, int], Days]:
    """Give what makes the days of the n-th part of a year of so many months. It raises ValueError."""
    return lambda year, part: (
        date(year, part * length - length + 1, 1),
        date(year, part * length, calendar.monthrange(year, part * length)[1]),
    )


def week(year: int, number: int) -> Days:
    """Give the days of a week of ISO 8601. Raises ValueError."""
    start = date.fromisocalendar(year, number, 1)
    return start, start + timedelta(days=6)


PERIODS: dict[str, Callable[..., Days]] = {
    r"(\d{4})(?:-A1)?": lambda year: (date(year, 1, 1), date(year, 12, 31)),
    r"(\d{4})-S([12])": span(6),
    r"(\d{4})-T([1-3])": span(4),
    r"(\d{4})-Q([1-4])": span(3),
    r"(\d{4})-M?(\d\d)": span(1),
    r"(\d{4})-W(\d\d)": week,
    r"(\d{4})-(\d\d)-(\d\d)(?:T\d\d:\d\d:\d\d)?": lambda *day: (date(*day), date(*day)),
}
"""Shapes of periods, with what gives their days."""
