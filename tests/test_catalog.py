"""What describes the data for catalogues and tools: a data package that validates, and linked data that holds."""

import io
import json
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from conftest import NOW, Workshop
from frictionless import Package
from sqlalchemy import func, select
from starlette.testclient import TestClient
from test_http import SOURCE, flow, served, service
from trade_files import comtrade_text, take, written

from app.codes import ReleaseKind
from app.db import Database
from app.ingest.importer import comtrade_format
from app.ingest.publish import Dataset, publish
from app.models import Source, TradeFlow
from app.tables import TABLES

PACKAGE, ARCHIVE, CATALOGUE = "/v1/datapackage.json", "/v1/datapackage.zip", "/catalog.jsonld"


def frictionless(what: str) -> Any:
    """Give the report of the validator, run as people run it."""
    asked = [sys.executable, "-m", "frictionless", "validate", what, "--json"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    return json.loads(done.stdout)


def validated(path: Path) -> Any:
    """Give the report of the validator, run here: it takes seconds to start."""
    with warnings.catch_warnings(action="ignore"):
        return Package(str(path)).validate().to_dict()


def faults(report: Any) -> list[str]:
    """Give what a report finds wrong."""
    return [*report["errors"], *(error["message"] for task in report["tasks"] for error in task["errors"])]


@pytest.fixture(scope="module")
def package(workshop: Workshop) -> Any:
    """Give the data package of the seeds."""
    with service(workshop.seeded("sqlite")) as client:
        return client.get(PACKAGE).json()


@pytest.fixture(scope="module")
def imported(workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database with flows of a dataset that states a licence."""
    database = workshop.copy("sqlite")
    rows = [flow(number, note='a, b\n"c"' if number else "=1+1") for number in range(50)]
    records = {Source: [{**SOURCE, "licence": "CC-BY-4.0"}], TradeFlow: rows}
    with database.publishing() as connection:
        publish(connection, Dataset("invented", ReleaseKind.IMPORT, ("invented",), "0" * 64, records), NOW)
    yield database
    workshop.remove(database)


# Frictionless Data Package


def test_the_archive_validates_with_imported_flows(imported: Database, tmp_path: Path) -> None:
    path = tmp_path / "datapackage.zip"
    with service(imported) as client:
        path.write_bytes(client.get(ARCHIVE).content)
    report = frictionless(str(path))
    assert (report["valid"], faults(report)) == (True, [])
    assert report["stats"]["tasks"] == len(TABLES)
    assert [task["stats"]["rows"] for task in report["tasks"] if task["name"] == "trade-flows"] == [17 + 50]


def test_the_archive_validates_with_statistics_as_they_are_imported(private_seeded: Database, tmp_path: Path) -> None:
    rows = ({"partner2Code": "842"}, {"cmdCode": "27"}, {"partnerCode": "0", "partnerISO": "W00"})
    done = take(private_seeded, written(tmp_path / "a.csv", comtrade_text(*rows)), form=comtrade_format(True))
    path = tmp_path / "datapackage.zip"
    with service(private_seeded) as client:
        path.write_bytes(client.get(ARCHIVE).content)
    report = validated(path)
    assert (report["valid"], faults(report)) == (True, [])
    flows = next(task for task in report["tasks"] if task["name"] == "trade-flows")
    assert flows["stats"]["rows"] == 17 + done.added - 1  # the part by second partner is left out, as in the list


def test_the_served_package_validates(workshop: Workshop) -> None:
    with served(workshop.seeded("sqlite")) as (port, _):
        report = frictionless(f"http://127.0.0.1:{port}{PACKAGE}")
    assert (report["valid"], faults(report)) == (True, [])
    assert report["stats"]["tasks"] == len(TABLES)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("flow", "sideways", "constraint-error"),
        ("reporter", "ZZZ", "foreign-key"),
        ("reporter", "", "constraint-error"),
        ("value_usd", "much", "type-error"),
        ("period_start", "yesterday", "type-error"),
        ("net_weight_estimated", "perhaps", "type-error"),
    ],
)
def test_the_package_refuses_what_does_not_fit(
    workshop: Workshop, tmp_path: Path, column: str, value: str, said: str
) -> None:
    with (
        service(workshop.seeded("sqlite")) as client,
        zipfile.ZipFile(io.BytesIO(client.get(ARCHIVE).content)) as archive,
    ):
        archive.extractall(tmp_path)
    about = json.loads((tmp_path / "datapackage.json").read_text("utf-8"))
    for one in about["resources"]:
        del one["bytes"], one["hash"]
    (tmp_path / "datapackage.json").write_text(json.dumps(about), "utf-8")
    path = tmp_path / "data" / "trade-flows.csv"
    header, first, *rest = path.read_text("utf-8").splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = value
    path.write_text("\r\n".join([header, ",".join(cells), *rest, ""]), "utf-8", newline="")
    report = validated(tmp_path / "datapackage.json")
    assert {error["type"] for task in report["tasks"] for error in task["errors"]} == {said}


def test_a_changed_file_of_the_archive_is_found(client: TestClient, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(client.get(ARCHIVE).content)) as archive:
        archive.extractall(tmp_path)
    with (tmp_path / "data" / "topics.csv").open("ab") as out:
        out.write(b"other,Other,,astana-times-2025-06\r\n")
    report = validated(tmp_path / "datapackage.json")
    assert {error["type"] for task in report["tasks"] for error in task["errors"]} == {"hash-count", "byte-count"}


def test_the_archive_is_the_same_bytes_on_both_engines_and_whenever_made(
    clients: dict[str, TestClient], workshop: Workshop, tmp_path: Path
) -> None:
    got = [one.get(ARCHIVE).content for one in clients.values()]
    with service(workshop.seeded("sqlite"), export_folder=str(tmp_path)) as again:
        got.append(again.get(ARCHIVE).content)
    assert len(set(got)) == 1
    with zipfile.ZipFile(io.BytesIO(got[0])) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_archive_has_the_files_that_are_served(client: TestClient) -> None:
    with zipfile.ZipFile(io.BytesIO(client.get(ARCHIVE).content)) as archive:
        for table in TABLES:
            assert archive.read(f"data/{table.name}.csv") == client.get(f"/v1/exports/{table.name}.csv").content


def test_the_package_describes_every_column_in_its_order(client: TestClient, package: Any) -> None:
    for one in package["resources"]:
        header = client.get(f"/v1/{one['path']}").text.splitlines()[0]
        assert [column["name"] for column in one["schema"]["fields"]] == header.split(",")


def test_the_package_names_keys_lists_and_references(package: Any) -> None:
    flows = next(one["schema"] for one in package["resources"] if one["name"] == "trade-flows")
    columns = {column["name"]: column for column in flows["fields"]}
    assert flows["primaryKey"] == ["id"]
    assert columns["value_usd"] == {
        **{"name": "value_usd", "type": "integer", "description": "whole current US dollars"},
        "constraints": {"required": True},
    }
    assert columns["frequency"]["constraints"] == {"enum": ["A", "Q", "M", "YTD"]}
    assert (columns["inferred"]["type"], columns["inferred"]["delimiter"]) == ("list", ";")
    assert {key["fields"][0]: key["reference"]["resource"] for key in flows["foreignKeys"]} == {
        "reporter": "countries",
        "partner": "countries",
        "source": "sources",
    }


def test_a_package_of_a_release_leads_to_files_of_that_release(client: TestClient) -> None:
    for number in (1, 3):
        answer = client.get(f"{PACKAGE}?release={number}")
        assert answer.json()["version"] == str(number)
        assert "immutable" in answer.headers["cache-control"]
        assert {one["path"].partition("?")[2] for one in answer.json()["resources"]} == {f"release={number}"}


def test_a_licence_is_told_of_a_table_where_all_its_sources_state_one(imported: Database, package: Any) -> None:
    told = {one["name"]: [licence["name"] for licence in one.get("licenses", ())] for one in package["resources"]}
    assert told["products"] == ["PDDL-1.0"]
    assert told["trade-flows"] == told["sources"] == told["releases"] == []
    with service(imported) as client:
        sources = {one["title"]: one for one in client.get(PACKAGE).json()["sources"]}
    assert sources["An invented dataset"]["licence"] == "CC-BY-4.0"


# schema.org and DCAT


@pytest.fixture(scope="module")
def graph(workshop: Workshop) -> dict[str, Any]:
    """Give the nodes of the catalogue by their names."""
    with service(workshop.seeded("sqlite")) as client:
        return {node["@id"]: node for node in client.get(CATALOGUE).json()["@graph"]}


def references(value: Any) -> Iterator[str]:
    """Give the names of nodes that a value refers to."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_catalogue_is_linked_data_whole_in_itself(client: TestClient) -> None:
    answer = client.get(CATALOGUE, headers={"Accept": "application/ld+json"})
    assert answer.headers["content-type"] == "application/ld+json"
    context = answer.json()["@context"]
    assert context["@vocab"] == "https://schema.org/"
    prefixes = {name.partition(":")[0] for node in answer.json()["@graph"] for name in node if ":" in name}
    assert prefixes <= context.keys()


def test_every_node_that_is_named_is_there(graph: dict[str, Any]) -> None:
    assert {name for node in graph.values() for name in references(node)} <= graph.keys()


def test_every_table_is_a_dataset_of_both_vocabularies(graph: dict[str, Any]) -> None:
    sets = [node for node in graph.values() if "Dataset" in node["@type"]]
    assert [node["identifier"] for node in sets] == [table.name for table in TABLES]
    assert all("dcat:Dataset" in node["@type"] and len(node["dcat:distribution"]) == 2 for node in sets)
    assert graph["#catalogue"]["dcat:dataset"] == [{"@id": node["@id"]} for node in sets]


def test_every_address_of_the_catalogue_answers(client: TestClient, graph: dict[str, Any]) -> None:
    here = f"http://testserver{CATALOGUE}"
    asked = {node[name] for node in graph.values() for name in ("url", "contentUrl", "dcat:accessURL") if name in node}
    asked |= {name for name in graph if not name.startswith("#")}
    assert len(asked) > len(TABLES) * 3
    assert {url for url in asked if client.get(urljoin(here, url)).status_code != 200} == set()


def test_a_file_is_told_with_its_media_type(client: TestClient, graph: dict[str, Any]) -> None:
    for node in graph.values():
        if "DataDownload" in node["@type"]:
            served_as = client.head(f"/{node['contentUrl']}").headers["content-type"].partition(";")[0]
            assert node["encodingFormat"] == served_as
            assert node["dcat:mediaType"].endswith(served_as)


def test_the_flows_tell_period_places_measures_and_sources(graph: dict[str, Any], workshop: Workshop) -> None:
    flows = graph["#trade-flows"]
    with workshop.seeded("sqlite").read() as connection:
        ends = connection.execute(select(func.min(TradeFlow.period_start), func.max(TradeFlow.period_end))).one()
    assert flows["temporalCoverage"] == "/".join(day.isoformat() for day in ends)
    places = [graph[one["@id"]]["name"] for one in flows["spatialCoverage"]]
    assert {"China", "Kazakhstan"} <= set(places)
    assert [(one["name"], one["unitText"]) for one in flows["variableMeasured"]] == [
        ("value_usd", "US dollars"),
        ("net_weight_kg", "kilograms"),
    ]
    assert flows["isBasedOn"] == [{"@id": "v1/sources/astana-times-2025-06"}]


def test_what_a_source_does_not_say_is_not_said(graph: dict[str, Any]) -> None:
    article = graph["v1/sources/astana-times-2025-06"]
    assert {"license", "datePublished", "sameAs"} & article.keys() == set()
    assert "license" not in graph["#trade-flows"]
    assert graph["#products"]["license"] == ["https://spdx.org/licenses/PDDL-1.0"]
    assert "usageInfo" in graph["v1/sources/comtrade-reference"]
    assert "temporalCoverage" not in graph["#quotes"]


def test_the_catalogue_names_no_host_whatever_it_is_asked_by(client: TestClient) -> None:
    got = [client.get(CATALOGUE, headers={"Host": host}).content for host in ("one.example", "two.example")]
    assert got[0] == got[1]
    assert b"one.example" not in got[0]


def test_documents_are_the_same_bytes_on_both_engines(clients: dict[str, TestClient]) -> None:
    for path in (PACKAGE, CATALOGUE):
        assert clients["sqlite"].get(path).content == clients["postgres"].get(path).content


def test_documents_are_304_to_who_holds_them(client: TestClient) -> None:
    for path in (PACKAGE, CATALOGUE, ARCHIVE):
        tag = client.get(path).headers["etag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
