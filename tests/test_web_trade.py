"""The pages of trade: they show what /v1 answers, say what is wrong at its field, and give queries to take away."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pandas
import pytest
from conftest import Workshop, serve
from starlette.testclient import TestClient
from test_clients import NODE as NODE_FOLDER
from test_http import served, service
from trade_files import comtrade_text, take, written

from app.db import Database
from app.web import compare, snippets, trade

NODE = NODE_FOLDER / ("node.exe" if os.name == "nt" else "node")

HOSTILE = "a'b\"c`d$(e)\\f<script>\u2028é#(lf)%41"
PAIR = ("KAZ", "398", "X", "fobvalue"), ("CHN", "156", "M", "cifvalue")


@pytest.fixture(scope="module")
def rich(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Give a client of a database that has both sides of one trade over many years and products."""
    database = workshop.copy("sqlite")
    rows = [
        {
            **{"reporterISO": reporter, "reporterCode": code, "flowCode": flow, "period": str(year)},
            **{"refYear": str(year), "refPeriodId": f"{year}0101", "cmdCode": product, "fobvalue": "", "cifvalue": ""},
            **{"partnerISO": PAIR[1 - side][0], "partnerCode": PAIR[1 - side][1]},
            **{column: str(10**9 + year + side * 10**8), "primaryValue": str(10**9 + year + side * 10**8)},
        }
        for side, (reporter, code, flow, column) in enumerate(PAIR)
        for year in range(1990, 2024)
        for product in ("TOTAL", "27")
    ]
    take(database, written(tmp_path_factory.mktemp("rich") / "rows.csv", comtrade_text(*rows)))
    with serve(database) as client:
        yield client
    workshop.remove(database)


class Shown(HTMLParser):
    """What a page has: its links, fields and values."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fields: dict[str, dict[str, str | None]] = {}
        self.values: list[str] = []
        self.api = ""
        self.next = ""
        self.code: dict[str, str] = {}
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = dict(attrs)
        if tag == "a" and have.get("href"):
            self.links.append(str(have["href"]))
            if have.get("data-testid") == "api":
                self.api = str(have["href"])
            if have.get("rel") == "next":
                self.next = str(have["href"])
        if tag in ("input", "select") and have.get("name"):
            self.fields[str(have["name"])] = have
        if "data-value" in have:
            self.values.append(str(have["data-value"]))
        if tag == "pre":
            self._in = str(have["id"])
            self.code[self._in] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self._in = None

    def handle_data(self, data: str) -> None:
        if self._in:
            self.code[self._in] += data


def opened(client: TestClient, path: str, status: int = 200) -> Shown:
    """Open a page, which has this status."""
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Shown(answer.text)


def rows_at(client: TestClient, address: str) -> list[dict[str, Any]]:
    """Give the rows of an address of the service."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "country=Kazakhstan",
        "country=KAZ&partner=&flow=&year_from=1995&sort=-value_usd",
        "reporter=KAZ&partner=CHN&product=27&year_to=1999&kind=multiples",
        "country=kaz,chn&frequency=A&limit=7",
        "country=KAZ&latest=true",
        "economies=partner&value_min=1000000000&product_level=2&fields=value_usd,period",
        "country=KAZ&count=true&release=4",
    ],
)
def test_table_has_the_rows_of_the_address_it_gives(rich: TestClient, query: str) -> None:
    shown = opened(rich, f"/trade?{query}")
    assert shown.values and shown.values == [str(row["value_usd"]) for row in rows_at(rich, shown.api)]
    assert "=&" not in shown.api and not shown.api.endswith("=")


def test_pages_follow_one_another_to_the_last_row(rich: TestClient) -> None:
    seen, path = [], "/trade?country=KAZ&product=TOTAL"
    while path:
        shown = opened(rich, path)
        seen += shown.values
        assert shown.values == [str(row["value_usd"]) for row in rows_at(rich, shown.api)]
        path = shown.next
        assert len(shown.values) <= trade.ROWS
    every = rows_at(rich, "/v1/trade/flows?country=KAZ&product=TOTAL&limit=1000")
    assert seen == [str(row["value_usd"]) for row in every] and len(seen) > trade.ROWS


def test_headings_sort_and_say_how(rich: TestClient) -> None:
    text = rich.get("/trade?country=KAZ&sort=-value_usd").text
    assert text.count("aria-sort") == 1 and 'aria-sort="descending"' in text
    [turned] = [link for link in Shown(text).links if parse_qs(urlsplit(link).query).get("sort") == ["value_usd"]]
    assert 'aria-sort="ascending"' in rich.get(turned).text


def test_form_has_a_field_for_every_parameter_of_the_list(rich: TestClient) -> None:
    [path] = [one for one in rich.get("/v1").json()["data"] if one["path"] == trade.FLOWS]
    handled = {*trade.FIELDS, *trade.KEPT, *trade.ELSEWHERE, "cursor", "release"}
    assert handled == set(path["parameters"])
    shown = opened(rich, "/trade")
    assert set(trade.FIELDS) <= shown.fields.keys()


def test_form_keeps_what_it_was_given(rich: TestClient) -> None:
    given = {
        "country": "Kazakhstan,uzb",
        "flow": "X",
        "year_from": "2000",
        "limit": "5",
        "kind": "bars",
        "release": "4",
    }
    text = rich.get(f"/trade?{urlencode(given)}").text
    shown = Shown(text)
    for name in ("country", "year_from", "limit", "kind", "release"):
        assert shown.fields[name]["value"] == given[name]
    assert '<option value="X" selected>X</option>' in text


def test_downloads_are_the_formats_of_the_list(rich: TestClient) -> None:
    for page, path in (("/trade?country=KAZ", trade.FLOWS), ("/compare", compare.COMPARE)):
        refused = rich.get(path, params={"format": "none", "reporter": "KAZ", "partner": "CHN"}).json()
        links = [link for link in opened(rich, page).links if "format=" in link]
        assert {parse_qs(urlsplit(link).query)["format"][0] for link in links} == {*refused["errors"][0]["allowed"]} - {
            "json"
        }
        for link in links:
            assert rich.get(link).status_code == 200, link


@pytest.mark.parametrize(
    ("query", "name", "meant"),
    [
        ("country=Kazakstan", "country", "/trade?country=Kazakhstan"),
        ("country=China,Kazakstan&year=2024", "country", "/trade?country=China,Kazakhstan&year=2024"),
        ("flow=exprot", "flow", None),
        ("year_from=20x4", "year_from", None),
        ("product=27&level=3", "level", None),
        ("latest=yes", "latest", None),
    ],
)
def test_what_is_wrong_is_said_at_its_field(rich: TestClient, query: str, name: str, meant: str | None) -> None:
    shown = opened(rich, f"/trade?{query}", 422)
    field = shown.fields[name]
    assert field["aria-invalid"] == "true"
    text = rich.get(f"/trade?{query}").text
    for described in str(field["aria-describedby"]).split():
        assert text.count(f'id="{described}"') == 1
    message = rich.get(f"{trade.FLOWS}?{query}").json()["errors"][0]["message"]
    assert message in html.unescape(text)
    assert meant is None or meant in shown.links
    assert meant is None or rich.get(meant).status_code == 200


@pytest.mark.parametrize("query", ["yeer=2024", "limit=0", "cursor=none", "fields=valu", "release=99", "sort=valu"])
def test_what_has_no_field_is_refused_too(rich: TestClient, query: str) -> None:
    answer = rich.get(f"/trade?{query}")
    told = rich.get(f"{trade.FLOWS}?{query}")
    assert answer.status_code == told.status_code >= 400
    assert answer.headers["cache-control"] == "no-store" and "etag" not in answer.headers
    assert "Kazakhstan" in answer.text or "release" in query


def test_wrong_name_leads_to_the_right_one(rich: TestClient) -> None:
    shown = opened(rich, "/trade?yeer=2024&country=KAZ", 422)
    assert "/trade?country=KAZ&year=2024" in shown.links
    assert "yeer" not in shown.fields


@pytest.mark.parametrize("query", ["kind=pie", "format=csv", "shape=wide"])
def test_what_a_page_cannot_follow_is_refused(rich: TestClient, query: str) -> None:
    opened(rich, f"/trade?{query}", 422)


def test_empty_answer_says_why_and_what_is_near(rich: TestClient) -> None:
    shown = opened(rich, "/trade?country=KAZ&year=1911")
    assert shown.values == [] and shown.api
    near = rich.get("/v1/trade/flows?country=KAZ&year=1911").json()["meta"]["why_empty"]["nearest"]
    for year in near:
        assert opened(rich, f"/trade?country=KAZ&year={year}").values
        assert f"/trade?country=KAZ&year={year}" in shown.links


def test_rows_that_must_not_be_added_are_named(rich: TestClient) -> None:
    text = rich.get("/trade?country=KAZ&year=2023").text
    for words in ("Do not add these rows up", "two sides of one trade", "TOTAL already contains every product"):
        assert words in text
    assert "Do not add" not in rich.get("/trade?reporter=KAZ&product=27&flow=export").text


def test_values_link_to_their_receipts_and_notes_are_readable(rich: TestClient) -> None:
    shown = opened(rich, "/trade?source=astana-times-2025-06&country=KAZ")
    rows = rows_at(rich, shown.api)
    wanted = {item["figure"] for row in rows for item in row["evidence"] if item["field"] == "value_usd"} - {None}
    assert {f"/figures/{figure}" for figure in wanted} <= set(shown.links)
    text = html.unescape(rich.get("/trade?source=astana-times-2025-06&country=KAZ").text)
    assert all(row["note"] in text for row in rows if row["note"])


@pytest.mark.parametrize("path", ["/trade", "/compare"])
@pytest.mark.parametrize("name", ["country", "reporter", "partner", "product", "year", "nothing", "release"])
def test_hostile_values_are_escaped(rich: TestClient, path: str, name: str) -> None:
    for value in ('"><script>alert(1)</script>', "'\" onfocus=alert(1) x='"):
        answer = rich.get(path, params={name: value})
        assert answer.status_code == 422
        assert "<script>" not in answer.text and value not in answer.text


@pytest.mark.parametrize("path", ["/trade?country=KAZ", "/compare"])
def test_pinned_release_stays_in_every_link(rich: TestClient, path: str) -> None:
    shown = opened(rich, f"{path}{'&' if '?' in path else '?'}release=3")
    places = ("/trade?", "/compare?", "/v1/trade/", "/v1/charts/", "/figures/")
    inner = [link.removeprefix("http://testserver") for link in shown.links]
    unpinned = [link for link in inner if link.startswith(places) and "release=3" not in link]
    leaves = ["/trade?country=KAZ"] if path.startswith("/trade") else []
    assert unpinned == leaves
    assert len(opened(rich, path).values) > len(shown.values)


def test_address_is_never_that_of_a_forged_host(rich: TestClient) -> None:
    pages = {rich.get("/trade?country=KAZ", headers={"Host": host}).text for host in ("one.example", "testserver")}
    assert len(pages) == 1 and "one.example" not in pages.pop()


def test_address_is_the_public_one_where_it_is_set(seeded: Database) -> None:
    with service(seeded, public_url="https://khorgos.example", root_path="/data") as client:
        assert "https://khorgos.example/data/v1/trade/flows?country=KAZ" in client.get("/trade?country=KAZ").text


@pytest.mark.parametrize("path", ["/trade?country=KAZ", "/compare?reporter=KAZ&partner=CHN&year=2024"])
def test_curl_runs_as_printed_and_gives_the_rows_of_the_page(workshop: Workshop, path: str) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl or no bash on this machine")
    with served(workshop.seeded("sqlite")) as (port, _):
        here = f"http://127.0.0.1:{port}"
        page = subprocess.run(["curl", "-sS", here + path], capture_output=True, check=True, text=True).stdout
        shown = Shown(page)
        done = subprocess.run(["bash", "-c", shown.code["code-curl"]], capture_output=True, check=True, timeout=30)
        rows = json.loads(done.stdout)["data"]
    values = [str(one["value_usd"]) for row in rows for one in row.get("statements", [row])]
    assert sorted(values) == sorted(shown.values) and values


def test_python_runs_as_printed(workshop: Workshop) -> None:
    with served(workshop.seeded("sqlite")) as (port, _):
        here = f"http://127.0.0.1:{port}/trade?country=KAZ"
        page = subprocess.run(["curl", "-sS", here], capture_output=True, check=True, text=True).stdout
        found: dict[str, Any] = {}
        exec(Shown(page).code["code-python"], found)
    assert isinstance(found["rows"], pandas.DataFrame)
    assert list(map(str, found["rows"]["value_usd"])) == Shown(page).values


@pytest.mark.parametrize("path", ["/trade?country=KAZ", "/compare"])
def test_javascript_runs_as_printed(workshop: Workshop, tmp_path: Path, path: str) -> None:
    with served(workshop.seeded("sqlite")) as (port, _):
        here = f"http://127.0.0.1:{port}{path}"
        page = subprocess.run(["curl", "-sS", here], capture_output=True, check=True, text=True).stdout
        script = tmp_path / "code.mjs"
        told = "\nconsole.log(JSON.stringify(rows.map((one) => String(one.value_usd))));"
        script.write_text(Shown(page).code["code-javascript"] + told)
        done = subprocess.run([NODE, script], capture_output=True, check=True, text=True, timeout=30)
    assert sorted(json.loads(done.stdout.splitlines()[-1])) == sorted(Shown(page).values)


def test_shell_reads_a_quoted_word_as_it_is() -> None:
    for word in (HOSTILE, "", "'", "''", "a\nb", "$HOME `id` !x * ? [a] {b,c} ~ &;|"):
        done = subprocess.run(["bash", "-c", f"printf %s {snippets.shell(word)}"], capture_output=True, check=True)
        assert done.stdout.decode() == word


def test_literals_read_as_they_are_in_python_and_javascript() -> None:
    for text in (HOSTILE, "", '"', "\\", "\n\t", "${x}"):
        assert eval(snippets.literal(text)) == text
        code = f"process.stdout.write({snippets.literal(text)})"
        assert subprocess.run([NODE, "-e", code], capture_output=True, check=True).stdout.decode() == text


def test_formula_doubles_quotes_and_spells_what_begins_an_escape() -> None:
    assert snippets.formula('a"b') == '"a""b"'
    assert snippets.formula("a#(lf)b") == '"a#(#)(lf)b"'
    assert snippets.formula("a\nb\t") == '"a#(lf)b#(tab)"'
    assert snippets.formula("a#b") == '"a#b"'


def test_code_has_addresses_as_strings_of_its_language() -> None:
    every = {one.id: one.code for one in snippets.of_list(HOSTILE, HOSTILE, HOSTILE, ["year"])}
    every |= {f"{one.id}-2": one.code for one in snippets.of_records(HOSTILE, "statements", ["period"], ["flow"])}
    for name, code in every.items():
        spelled = {"curl": snippets.shell, "excel": snippets.formula}.get(name.removesuffix("-2"), snippets.literal)
        assert spelled(HOSTILE) in code
        if name.startswith("python"):
            compile(code, name, "exec")


def test_compare_shows_every_statement_and_each_gap(rich: TestClient) -> None:
    query = "reporter=KAZ&partner=CHN&year_from=2010"
    text = html.unescape(rich.get(f"/compare?{query}").text)
    shown = Shown(rich.get(f"/compare?{query}").text)
    rows = rows_at(rich, shown.api)
    stated = [str(one["value_usd"]) for row in rows for one in row["statements"]]
    assert sorted(shown.values) == sorted(stated)
    gaps = [row["gap"] for row in rows if row["gap"]]
    assert gaps and all(f"{gap['percent']:.1f} % of the larger" in text for gap in gaps)
    assert all(gap["valuation_note"][1:] in text for gap in gaps)
    assert all(one["note"] in text for row in rows for one in row["statements"] if one["note"])


def test_compare_says_which_two_it_took_unasked(rich: TestClient) -> None:
    words = "No countries were named, so these are Kazakhstan and China."
    assert words in rich.get("/compare").text
    assert words in rich.get("/compare?year_from=2010").text
    assert words not in rich.get("/compare?reporter=KAZ&partner=CHN").text
    assert opened(rich, "/compare").values


def test_compare_tells_of_periods_that_it_does_not_show(rich: TestClient) -> None:
    text = rich.get("/compare?reporter=KAZ&partner=CHN").text
    assert re.search(rf"The newest {compare.PERIODS} periods are shown; \d+ older are not", text)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("reporter=KAZ", "partner"),
        ("reporter=Kazakstan&partner=CHN", "reporter"),
        ("reporter=KAZ&partner=kazakhstan", "partner"),
    ],
)
def test_compare_says_what_is_wrong_at_its_field(rich: TestClient, query: str, name: str) -> None:
    assert opened(rich, f"/compare?{query}", 422).fields[name]["aria-invalid"] == "true"


def test_compare_refuses_what_it_does_not_take(rich: TestClient) -> None:
    opened(rich, "/compare?reporter=KAZ&partner=CHN&flow=export", 422)


def test_compare_of_nothing_says_why(rich: TestClient) -> None:
    shown = opened(rich, "/compare?reporter=KAZ&partner=TON")
    assert shown.values == [] and shown.api


@pytest.mark.parametrize("path", ["/trade", "/trade?country=KAZ&year=2023", "/compare"])
def test_links_of_a_page_lead_somewhere(rich: TestClient, path: str) -> None:
    inner = {urlsplit(link)._replace(scheme="", netloc="", fragment="").geturl() for link in opened(rich, path).links}
    known = {one.path for one in rich.app.routes if hasattr(one, "path")}
    for link in sorted(inner - {""}):
        head = "/" + urlsplit(link).path.split("/")[1]
        if any(one == head or one.startswith(head + "/") for one in known):
            assert rich.get(link).status_code == 200, link


def test_first_paint_is_small(rich: TestClient) -> None:
    frame = sum(len(rich.get(f"/static/explorer.{kind}").content) for kind in ("css", "js"))
    for path in ("/trade", "/compare"):
        assert len(rich.get(path).content) + frame < 100 * 1024


def test_a_range_of_years_leads_to_the_parameters_of_a_range(rich: TestClient) -> None:
    answer = rich.get("/trade?country=KAZ&year=2023-2025")
    assert answer.status_code == 422
    assert 'href="/trade?country=KAZ&amp;year_from=2023&amp;year_to=2025"' in answer.text


def test_a_page_number_leads_to_no_cursor(rich: TestClient) -> None:
    answer = rich.get("/trade?country=KAZ&page=2")
    assert answer.status_code == 422
    assert "cursor=2" not in answer.text
