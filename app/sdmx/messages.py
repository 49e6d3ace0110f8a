"""Data messages: observations in, bytes out, a run at a time and in constant memory. One writer a format."""

import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from app.formats.csv import FORMULA
from app.releases import Edition
from app.sdmx.cube import AGENCY, TIME, VALUE, VERSION, Component, Cube, Obs
from app.sdmx.lists import LISTS
from app.sdmx.xml import DECLARATION, SCHEMAS, header, message_id, prepared, reference, word

Found = Iterator[list[Obs]]


@dataclass(frozen=True)
class Message:
    """What a data message is of: `again` reads the same observations once more."""

    cube: Cube
    edition: Edition
    detail: str
    is_flat: bool  # every dimension stands at the observation
    again: Callable[[], Found]

    @property
    def has_attributes(self) -> bool:
        """Whether attributes are given."""
        return self.detail in ("full", "nodata")

    @property
    def has_observations(self) -> bool:
        """Whether observations are given, or series alone."""
        return self.detail in ("full", "dataonly")

    @property
    def dimension_at_observation(self) -> str:
        """What the data are laid out along."""
        return "AllDimensions" if self.is_flat else TIME


def pairs(components: Sequence[Component], values: Sequence[str | None]) -> Iterator[tuple[str, str]]:
    """Give the attributes that there are."""
    return ((one.id, value) for one, value in zip(components, values, strict=True) if value is not None)


def by_series(found: list[Obs]) -> Iterator[tuple[Obs, list[Obs]]]:
    """Give a run by series: the first observation of each, and all of them."""
    for _, same in groupby(found, key=lambda one: one.key):
        members = list(same)
        yield members[0], members


def open_series(
    runs: Found, start: Callable[[Obs], str], inner: Callable[[list[Obs]], str], end: str
) -> Iterator[bytes]:
    """Write series after series; one that goes on in the next run stays open."""
    last: tuple[str, ...] | None = None
    for found in runs:
        parts = []
        for first, members in by_series(found):
            if first.key != last:
                parts += [end if last is not None else "", start(first)]
                last = first.key
            parts.append(inner(members))
        yield "".join(parts).encode()
    if last is not None:
        yield end.encode()


# SDMX-ML: generic


def values(found: Iterable[tuple[str, Any]]) -> str:
    """Give ids with their values."""
    return "".join(f"<gen:Value id={quoteattr(one)} value={word(value)}/>" for one, value in found)


def inside(tag: str, found: Iterable[tuple[str, Any]]) -> str:
    """Give an element of ids with their values, or nothing."""
    content = values(found)
    return f"<gen:{tag}>{content}</gen:{tag}>" if content else ""


def write_generic(message: Message, runs: Found) -> Generator[bytes, None, None]:
    """Write GenericData 2.1."""
    cube = message.cube
    layout = (
        f'<mes:Structure structureID="{cube.id}" dimensionAtObservation="{message.dimension_at_observation}">'
        f"<com:Structure>{reference(cube.id, 'DataStructure', 'datastructure')}</com:Structure></mes:Structure>"
    )
    yield (
        f'{DECLARATION}<mes:GenericData xmlns:mes="{SCHEMAS}/message" xmlns:com="{SCHEMAS}/common" '
        f'xmlns:gen="{SCHEMAS}/data/generic">\n{header(cube.id, message.edition, layout)}'
        f'<mes:DataSet structureRef="{cube.id}" action="Information">\n'
    ).encode()

    def start(one: Obs) -> str:
        key = inside("SeriesKey", zip(cube.key, one.key, strict=True))
        more = inside("Attributes", pairs(cube.series_attributes, one.series)) if message.has_attributes else ""
        return f"<gen:Series>{key}{more}\n"

    def observation(one: Obs) -> str:
        number = "" if one.value is None else f'<gen:ObsValue value="{one.value}"/>'
        own = pairs(cube.attributes, one.attributes)
        if not message.is_flat:
            more = inside("Attributes", own) if message.has_attributes else ""
            return f"<gen:Obs><gen:ObsDimension value={word(one.time)}/>{number}{more}</gen:Obs>\n"
        key = inside("ObsKey", [*zip(cube.key, one.key, strict=True), (TIME, one.time)])
        every = [*pairs(cube.series_attributes, one.series), *own]
        more = inside("Attributes", every) if message.has_attributes else ""
        return f"<gen:Obs>{key}{number}{more}</gen:Obs>\n"

    def observations(found: list[Obs]) -> str:
        return "".join(map(observation, found)) if message.has_observations else ""

    if message.is_flat:
        yield from (observations(found).encode() for found in runs)
    else:
        yield from open_series(runs, start, observations, "</gen:Series>\n")
    yield b"</mes:DataSet>\n</mes:GenericData>\n"


# SDMX-ML: structure specific


def named(found: Iterable[tuple[str, Any]]) -> str:
    """Give ids with their values as attributes of an element."""
    return "".join(f" {one}={word(value)}" for one, value in found)


def write_specific(message: Message, runs: Found) -> Generator[bytes, None, None]:
    """Write StructureSpecificData 2.1."""
    cube, at = message.cube, message.dimension_at_observation
    space = f"urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure={AGENCY}:{cube.id}({VERSION}):ObsLevelDim:{at}"
    layout = (
        f'<mes:Structure structureID="{cube.id}" namespace="{space}" dimensionAtObservation="{at}">'
        f"<com:Structure>{reference(cube.id, 'DataStructure', 'datastructure')}</com:Structure></mes:Structure>"
    )
    yield (
        f'{DECLARATION}<mes:StructureSpecificData xmlns:mes="{SCHEMAS}/message" xmlns:com="{SCHEMAS}/common" '
        f'xmlns:ss="{SCHEMAS}/data/structurespecific" xmlns:ns1="{space}" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n{header(cube.id, message.edition, layout)}'
        f'<mes:DataSet ss:structureRef="{cube.id}" xsi:type="ns1:DataSetType" ss:dataScope="DataStructure" '
        f'action="Information">\n'
    ).encode()

    def series(one: Obs) -> str:
        more = named(pairs(cube.series_attributes, one.series)) if message.has_attributes else ""
        return named(zip(cube.key, one.key, strict=True)) + more

    def observation(one: Obs) -> str:
        number = () if one.value is None else ((VALUE, one.value),)
        more = named(pairs(cube.attributes, one.attributes)) if message.has_attributes else ""
        return f"<Obs{series(one) if message.is_flat else ''}{named(((TIME, one.time), *number))}{more}/>\n"

    def observations(found: list[Obs]) -> str:
        return "".join(map(observation, found)) if message.has_observations else ""

    if message.is_flat:
        yield from (observations(found).encode() for found in runs)
    else:
        yield from open_series(runs, lambda one: f"<Series{series(one)}>\n", observations, "</Series>\n")
    yield b"</mes:DataSet>\n</mes:StructureSpecificData>\n"


# SDMX-CSV


def write_csv(message: Message, runs: Found) -> Generator[bytes, None, None]:
    """Write SDMX-CSV 1.0; text that a spreadsheet would run as a formula is neutralised, as in every CSV."""
    cube = message.cube
    flow = f"{AGENCY}:{cube.id}({VERSION})"
    columns = ["DATAFLOW", *cube.key, *((TIME, VALUE) if message.has_observations else ())]
    of_series = cube.series_attributes if message.has_attributes else ()
    of_values = cube.attributes if message.has_attributes and message.has_observations else ()
    yield lines([[*columns, *(one.id for one in (*of_series, *of_values))]])
    for found in runs:
        yield lines(
            [
                flow,
                *one.key,
                *((one.time, one.value) if message.has_observations else ()),
                *(map(harmless, one.series) if of_series else ()),
                *(map(harmless, one.attributes) if of_values else ()),
            ]
            for one in found
        )


def harmless(text: str | None) -> str | None:
    """Give text that is no formula."""
    return f"'{text}" if text is not None and text.startswith(FORMULA) else text


def lines(found: Iterable[Sequence[Any]]) -> bytes:
    """Write lines that end in CR LF."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(found)
    return buffer.getvalue().encode()


# SDMX-JSON


@dataclass
class Met:
    """Values of one component in the order they were met; messages name a value by its place here."""

    component: Component
    places: dict[str, int] = field(default_factory=dict)

    def place(self, value: str | None) -> int | None:
        """Give the place of a value; null where there is none."""
        return None if value is None else self.places.setdefault(value, len(self.places))


@dataclass
class Counted:
    """A component that has another value in every observation: places are counted, values read again at the end."""

    component: Component
    count: int = 0

    def place(self, _: str | None) -> int:
        """Give the place of the next value."""
        self.count += 1
        return self.count - 1


OWN = frozenset({"KHORGOS_ID"})
"""Attributes that have another value in every observation, and would fill the memory if they were kept."""


def write_json(message: Message, runs: Found) -> Generator[bytes, None, None]:
    """Write SDMX-JSON 1.0: data first, and after them the structure, which is known when all of them are seen."""
    cube = message.cube
    dimensions = [Met(one) for one in cube.dimensions]
    time = Met(Component(TIME, "Time period"))
    of_series = [Met(one) for one in (cube.series_attributes if message.has_attributes else ())]
    kept = cube.attributes if message.has_attributes and message.has_observations else ()
    of_values: list[Met | Counted] = [Counted(one) if one.id in OWN else Met(one) for one in kept]
    sender = {"id": AGENCY, "name": "Khorgos"}
    head = {"id": message_id(cube.id, message.edition), "test": False, "prepared": prepared(message.edition)}
    kind = b"observations" if message.is_flat else b"series"
    yield b'{"header":%b,"dataSets":[{"action":"Information","%b":{' % (orjson.dumps(head | {"sender": sender}), kind)

    def series_key(one: Obs) -> str:
        return ":".join(str(met.place(code)) for met, code in zip(dimensions, one.key, strict=True))

    def attributes(met: Sequence[Met | Counted], found: Sequence[str | None]) -> list[int | None]:
        return [one.place(value) for one, value in zip(met, found, strict=True)] if met else []

    def start(one: Obs) -> str:
        more = orjson.dumps(attributes(of_series, one.series)).decode()
        return f'"{series_key(one)}":{{"attributes":{more},"observations":{{'

    def observation(one: Obs) -> str:
        series = attributes(of_series, one.series) if message.is_flat else []
        content = [one.value, *series, *attributes(of_values, one.attributes)]
        key = f"{series_key(one)}:{time.place(one.time)}" if message.is_flat else str(time.place(one.time))
        return f'"{key}":{orjson.dumps(content).decode()}'

    yield from commas(message, runs, start, observation)
    yield b"}}],"
    yield from structure(message, dimensions, time, of_series, of_values)


def commas(
    message: Message, runs: Found, start: Callable[[Obs], str], observation: Callable[[Obs], str]
) -> Iterator[bytes]:
    """Write members of objects with commas between them, whatever run they are in."""
    last: tuple[str, ...] | None = None
    for found in runs:
        parts: list[str] = []
        for first, members in by_series(found):
            goes_on = first.key == last
            if not goes_on and not message.is_flat:
                parts += ["" if last is None else "}},", start(first)]
            if (goes_on or (message.is_flat and last is not None)) and message.has_observations:
                parts.append(",")
            last = first.key
            if message.has_observations:
                parts.append(",".join(map(observation, members)))
        yield "".join(parts).encode()
    if last is not None and not message.is_flat:
        yield b"}}"


def structure(
    message: Message, dimensions: list[Met], time: Met, of_series: list[Met], of_values: Sequence[Met | Counted]
) -> Iterator[bytes]:
    """Write what the places in the data stand for."""
    cube = message.cube
    level = "observation" if message.is_flat else "series"
    keys = [described(one, message, place) for place, one in enumerate(dimensions)]
    times = [described(time, message, len(keys))] if message.has_observations else []
    parts: dict[str, list[Any]] = {"dataSet": [], "series": [], "observation": []} | (
        {"observation": keys + times} if message.is_flat else {"series": keys, "observation": times}
    )
    yield b'"structure":{"name":%b,"dimensions":%b,"attributes":{"dataSet":[],' % (
        orjson.dumps(cube.name),
        orjson.dumps(parts),
    )
    levels: dict[str, list[Met | Counted]] = {"series": [], "observation": []}
    levels[level] += of_series
    levels["observation"] += of_values
    for name, found in levels.items():
        yield b"," * (name == "observation") + b'"%b":[' % name.encode()
        for number, one in enumerate(found):
            yield b"," * (number > 0)
            if isinstance(one, Met):
                yield orjson.dumps(described(one, message))
            else:
                yield from read_again(one, message)
        yield b"]"
    yield b"}}}"


def described(met: Met, message: Message, place: int | None = None) -> dict[str, Any]:
    """Give a component with its values and what they are called."""
    one = met.component
    called = LISTS[one.codelist].naming(message.edition) if one.codelist else str
    named = [{"id": value, "name": called(value)} for value in met.places]
    if one.codelist is None and place is None:
        named = [{"name": value} for value in met.places]
    position = {} if place is None else {"keyPosition": place}
    return {"id": one.id, "name": one.name, **position, "values": named}


def read_again(counted: Counted, message: Message) -> Iterator[bytes]:
    """Write a component with its value in each observation."""
    one = counted.component
    place = message.cube.attributes.index(one)
    yield orjson.dumps({"id": one.id, "name": one.name})[:-1] + b',"values":['
    comma = b""
    for found in message.again():
        yield comma + b",".join(orjson.dumps({"name": row.attributes[place]}) for row in found)
        comma = b","
    yield b"]}"


WRITERS: dict[str, Callable[[Message, Found], Generator[bytes, None, None]]] = {
    "genericdata": write_generic,
    "structurespecificdata": write_specific,
    "jsondata": write_json,
    "csv": write_csv,
}
"""What writes each format of data."""
