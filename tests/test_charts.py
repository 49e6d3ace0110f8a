"""Charts: what they say and show, that no line joins two who speak, and how they are answered and refused."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import NOW, Workshop
from starlette.testclient import TestClient
from test_http import SOURCE, assert_problem, flow, publish_invented, service

import app.charts.draw
from app.charts.draw import PIXELS_MOST, UNFIT, fit
from app.charts.look import COLOURS, Theme, length, pens, wrapped
from app.charts.rows import Statement, Unit
from app.codes import ReleaseKind
from app.db import Database
from app.ingest.publish import Dataset, publish
from app.models import Source, TradeFlow

TRADE = "/v1/charts/trade"
CHARTS = (
    f"{TRADE}.svg?partner=CHN",
    f"{TRADE}.svg?partner=CHN&kind=bars",
    f"{TRADE}.svg?country=KAZ&kind=multiples",
    "/v1/charts/compare.svg?reporter=KAZ&partner=CHN",
    "/v1/charts/projects.svg",
)
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('x')</script> \"&\" ]]> \x07 %s"


def text_of(svg: str) -> str:
    """Give all that is written in a picture, lines joined."""
    drawn = svg.partition("</desc>")[2]
    return unescape(" ".join(re.sub(r"<[^>]*>", "\n", drawn).split()))


def drawn(client: TestClient, url: str) -> str:
    """Give the SVG that answers."""
    response = client.get(url)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("image/svg+xml")
    ElementTree.fromstring(response.text)
    return response.text


def specified(client: TestClient, url: str) -> dict[str, Any]:
    """Give the specification that answers in place of a picture."""
    response = client.get(re.sub(r"\.(svg|png)", ".vl.json", url))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def layers(view: Any, mark: str) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Give the layers of a mark with the data they draw."""
    for part in (*view.get("vconcat", ()), *view.get("hconcat", ())):
        yield from layers(part, mark)
    for layer in view.get("layer", ()):
        if layer["mark"]["type"] == mark:
            yield layer, layer.get("data", view.get("data"))["values"]


def statements(specification: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the statements that points of a specification stand for."""
    return [one for _, data in layers(specification, "point") for one in data if "says" in one]


def years(reporter: str, number: int, **changes: Any) -> list[dict[str, Any]]:
    """Give invented totals of a country with the other, 2019 to 2023."""
    partner = "CHN" if reporter == "KAZ" else "KAZ"
    return [
        flow(0, **{**of_year(year), "reporter": reporter, "partner": partner, "value_usd": number + year, **changes})
        for year in range(2019, 2024)
    ]


def of_year(year: int) -> dict[str, Any]:
    """Give what makes a flow one of a year."""
    start = NOW.date().replace(year=year, month=1, day=1)
    period = {"period": str(year), "period_start": start, "period_end": start.replace(month=12, day=31), "year": year}
    return {"product": "TOTAL", "classification": "H6", **period}


@pytest.fixture(scope="module")
def invented(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    """Give a client over the seeds and some invented years of both sides, stated by several."""
    database = workshop.copy(engine)
    flows = [
        *years("KAZ", 9_000_000_000),
        *years("CHN", 12_000_000_000, flow="import"),
        *years("KAZ", 10_000_000_000, stated_by="kaz-bns"),
        *years("KAZ", 8_000_000_000, method="inferred", inferred=("period",), note="So it reads.", flow="import"),
        *(flow(number, value_usd=1_000_000 + number) for number in range(1, 1002)),
    ]
    publish_invented(database, {TradeFlow: flows})
    with service(database) as client:
        yield client
    workshop.remove(database)


# What is in the picture


@pytest.mark.parametrize("url", CHARTS)
def test_a_picture_has_units_source_release_and_the_path_of_its_rows(client: TestClient, url: str) -> None:
    said = text_of(drawn(client, url))
    assert "Number of projects" in said if "projects" in url else "Billion US dollars" in said
    assert "Source: The Astana Times, “China-Central Asia Relations Enter New Phase Amid Xi’s Visit”" in said
    link = specified(client, url)["usermeta"]["khorgos"]["link"]
    assert f"Khorgos release 3, rows at {link}" in said
    assert client.get(link).status_code == 200


@pytest.mark.parametrize("url", CHARTS)
def test_a_picture_has_its_figures_in_words(client: TestClient, url: str) -> None:
    svg = drawn(client, url)
    root = ElementTree.fromstring(svg)
    title, words = (str(root.findtext(f"{SVG}{name}")) for name in ("title", "desc"))
    assert (root.get("role"), root.get("aria-label")) == ("img", title)
    assert words.startswith(title)
    assert words == specified(client, url)["description"]
    figures = (
        ("62", "55", "224") if "projects" in url else ("30.05 billion US dollars", "no period stated: 43.8 billion")
    )
    assert [one for one in figures if one not in words] == []


@pytest.mark.parametrize("url", CHARTS)
@pytest.mark.parametrize("theme", Theme)
def test_a_picture_holds_nothing_that_acts_or_asks(client: TestClient, url: str, theme: Theme) -> None:
    svg = drawn(client, f"{url}{'&' if '?' in url else '?'}theme={theme}")
    assert f'fill="{COLOURS[theme].background}"' in svg
    plain = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    assert re.findall(r"<script|<style|\bstyle=|href|<image|<foreignObject|://|\bon\w+=", plain) == []


@pytest.mark.parametrize("url", CHARTS)
@pytest.mark.parametrize("width", [320, 360, 720, 1600])
def test_a_picture_is_as_wide_as_was_asked_and_nothing_leaves_it(client: TestClient, url: str, width: int) -> None:
    svg = drawn(client, f"{url}{'&' if '?' in url else '?'}width={width}")
    assert int(ElementTree.fromstring(svg).attrib["width"]) == width


def test_two_totals_of_one_year_stand_apart(client: TestClient) -> None:
    svg = drawn(client, "/v1/charts/compare.svg?reporter=KAZ&partner=CHN&year=2024")
    assert {"43.82", "30.05", "13.77"} <= set(text_of(svg).split())
    assert "Bureau of National Statistics of Kazakhstan" in text_of(svg)
    assert "the gap is 13.77 billion US dollars, 31.4 % of the larger" in svg


def test_what_has_no_period_is_told_and_bars_have_it(client: TestClient) -> None:
    assert "1 statement has no period and no place over time" in text_of(drawn(client, CHARTS[0]))
    bars = text_of(drawn(client, CHARTS[1]))
    assert "Total trade of Kazakhstan with China, no period stated" in bars
    assert "Alibek Kuantyrov, in The Astana Times, inferred" in bars


def test_what_is_inferred_or_less_than_normal_is_marked(client: TestClient) -> None:
    assert "hollow: inferred, or low reliability" in text_of(drawn(client, CHARTS[0]))
    assert "lighter: inferred, or low reliability" in text_of(drawn(client, CHARTS[1]))
    said = text_of(drawn(client, f"{TRADE}.svg?stated_by=kaz-bns"))
    assert "hollow" not in said


def test_bars_are_each_statement(client: TestClient) -> None:
    rows = client.get("/v1/trade/flows?partner=CHN").json()["data"]
    (bars,) = [data for _, data in layers(specified(client, CHARTS[1]), "bar")]
    assert sorted(one["value_usd"] for one in bars) == sorted(row["value_usd"] for row in rows)


def test_portfolios_and_named_projects_are_apart(client: TestClient) -> None:
    stated, named = [data for _, data in layers(specified(client, "/v1/charts/projects.vl.json"), "bar")]
    assert [one["value"] for one in stated] == [62, 55, 224]
    assert [one["value"] for one in named] == [0, 3, 0, 0, 3]
    assert "nothing here is added" in text_of(drawn(client, "/v1/charts/projects.svg?country=KAZ"))


def test_nothing_found_says_why(client: TestClient) -> None:
    said = text_of(drawn(client, f"{TRADE}.svg?year=2019"))
    assert "No rows are found: year 2019 leaves nothing. Nearest to it: 2024, 2025." in said


@pytest.mark.parametrize("kind", ["lines", "multiples"])
def test_what_has_no_period_alone_is_told(client: TestClient, kind: str) -> None:
    assert "No statement has a period." in text_of(drawn(client, f"{TRADE}.svg?period=-&kind={kind}"))


def test_an_example_of_each_chart_is_listed(client: TestClient) -> None:
    found = client.get("/v1/charts").json()
    assert [one["name"] for one in found["data"]] == ["trade", "compare", "projects"]
    for chart in found["data"]:
        for one in chart["formats"]:
            response = client.get(one["path"])
            assert (response.status_code, one["is_served"]) == (200, True)
            assert response.headers["content-type"].partition(";")[0] == one["media_type"]
            assert "immutable" in response.headers["cache-control"]


# Who speaks


@pytest.mark.parametrize("url", [f"{TRADE}.svg?source=invented&product=TOTAL", CHARTS[3] + "&year_to=2023"])
def test_a_line_joins_statements_of_one_who_speaks(invented: TestClient, url: str) -> None:
    rows = invented.get("/v1/trade/flows?source=invented&product=TOTAL&limit=1000").json()["data"]
    specification = specified(invented, url)
    points = statements(specification)
    assert sorted(one["value_usd"] for one in points) == sorted(row["value_usd"] for row in rows)
    by_series: dict[int, set[tuple[Any, ...]]] = {}
    of_value = {row["value_usd"]: (row["stated_by"], row["reporter"], row["flow"]) for row in rows}
    for one in points:
        by_series.setdefault(one["series"], set()).add((one["says"], *of_value[one["value_usd"]]))
    assert [len(voices) for voices in by_series.values()] == [1, 1, 1, 1]
    for layer, data in layers(specification, "line"):
        if "series" in data[0]:
            assert layer["encoding"]["detail"]["field"] == "series"
    paths = re.findall(r'<path d="(M[^"]*)" stroke="#[^"]*" stroke-width="2"', drawn(invented, url))
    assert sum(path.count("L") == 4 for path in paths) == 4


def test_a_panel_is_of_one_who_speaks(invented: TestClient) -> None:
    url = f"{TRADE}.svg?source=invented&product=TOTAL&kind=multiples"
    panels = [{one["says"] for one in data if "says" in one} for _, data in layers(specified(invented, url), "point")]
    assert [says for says in panels if says] == [
        {"An invented dataset"},
        {"Bureau of National Statistics of Kazakhstan, in An invented dataset"},
    ]


def test_months_to_date_of_other_lengths_are_no_line(client: TestClient) -> None:
    points = statements(specified(client, f"{TRADE}.svg?partner=CHN&flow=export"))
    assert len({one["series"] for one in points}) == 3
    assert {one["period"] for one in points if one["series"] == 0} in (
        {"2024-01/2024-04", "2025-01/2025-04"},
        {"2024"},
        {"2024-Q1"},
    )


def test_months_are_named_where_there_is_room(workshop: Workshop) -> None:
    database = workshop.copy("sqlite")
    starts = [NOW.date().replace(year=2022, month=month, day=1) for month in range(1, 13)]
    months = [
        flow(1, frequency="M", period=f"{day:%Y-%m}", period_start=day, period_end=day.replace(day=28), year=2022)
        for day in starts
    ]
    publish_invented(database, {TradeFlow: months})
    with service(database) as client:
        said = text_of(drawn(client, f"{TRADE}.svg?source=invented"))
        assert [f"{day:%b}" for day in starts if f"{day:%b}" not in said.split()] == []
        assert "Mar" not in text_of(drawn(client, f"{TRADE}.svg?source=invented&width=320")).split()
    workshop.remove(database)


def test_both_engines_draw_the_same(clients: Mapping[str, TestClient]) -> None:
    for url in CHARTS:
        assert len({client.get(url).content for client in clients.values()}) == 1


# Looks


def luminance(colour: str) -> float:
    """Give the relative luminance of a colour, as WCAG has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours, as WCAG has it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", Theme)
def test_colours_can_be_told_from_what_they_are_on(theme: Theme) -> None:
    colours = COLOURS[theme]
    assert min(contrast(one, colours.background) for one in colours.series) >= 3
    assert min(contrast(one, colours.background) for one in (colours.text, colours.muted)) >= 4.5


def test_no_two_series_are_drawn_alike() -> None:
    found = [(pen.colour, pen.shape) for pen in pens(Theme.LIGHT, 16)]
    assert len(set(found)) == 16


@pytest.mark.parametrize(
    "words", ["a few words that are long enough for some lines", "x" * 90, "/v1/a?b=1&c=2&d=3", ""]
)
def test_lines_are_no_wider_than_they_may_be(words: str) -> None:
    lines = wrapped(words, 80)
    assert max(map(length, lines)) <= 80
    assert "".join(lines).replace(" ", "") == words.replace(" ", "")


@pytest.mark.parametrize(
    ("usd", "words"), [(43_820_000_000, "43.82 billion"), (1_000, "1 thousand"), (7, "7 "), (0, "0 ")]
)
def test_values_are_told_in_a_unit_that_suits(usd: int, words: str) -> None:
    unit = Unit.of(usd)
    assert f"{unit.said(usd)} {unit.name}".startswith(words)


def test_periods_are_days() -> None:
    found = {code: Statement({"period": code}, "").span for code in ("2024", "2024-Q1", "2024-02", "2025-01/2025-04")}
    told = {code: f"{span[0]} {span[1]}" for code, span in found.items() if span}
    assert told == {
        "2024": "2024-01-01 2024-12-31",
        "2024-Q1": "2024-01-01 2024-03-31",
        "2024-02": "2024-02-01 2024-02-29",
        "2025-01/2025-04": "2025-01-01 2025-04-30",
    }


def test_names_cannot_become_markup(workshop: Workshop) -> None:
    database = workshop.copy("sqlite")
    publish_hostile(database)
    with service(database) as client:
        for kind in ("lines", "bars", "multiples"):
            svg = drawn(client, f"{TRADE}.svg?source=invented&kind={kind}")
            assert "<script" not in svg and "&lt;script&gt;" in svg and "\x07" not in svg
            assert client.get(f"{TRADE}.png?source=invented&kind={kind}").content.startswith(b"\x89PNG")
            assert "An <script>" in json.dumps(specified(client, f"{TRADE}.svg?source=invented&kind={kind}"))
    workshop.remove(database)


@pytest.mark.parametrize("given", ["%EF%BF%BE", "%EF%BF%BF", "%F0%9F%BF%BE", "%EE%80%80"])
def test_what_no_picture_can_hold_is_asked_for_without_an_end_of_the_process(client: TestClient, given: str) -> None:
    assert UNFIT.search(drawn(client, f"{TRADE}.svg?breakdown={given}")) is None
    image = client.get(f"{TRADE}.png?breakdown={given}")
    assert (image.status_code, image.content[:4]) == (200, b"\x89PNG")


def test_texts_of_a_specification_are_made_fit_for_xml() -> None:
    texts = {"a\x00\ufffe": ["\uffff", "\ud800", "\x1b", ("\t\n\r \ufffd\U0010fffe", 1, None)]}
    assert fit(texts) == {"a\ufffd\ufffd": ["\ufffd"] * 3 + [["\t\n\r \ufffd\U0010fffe", 1, None]]}


def publish_hostile(database: Database) -> None:
    """Publish flows of a source whose names are meant to do harm."""
    source = SOURCE | {"title": f"An {HOSTILE}", "publisher": HOSTILE}
    records = {Source: [source], TradeFlow: [*years("KAZ", 1000), *years("CHN", 2000)]}
    with database.publishing() as connection:
        publish(connection, Dataset("invented", ReleaseKind.IMPORT, ("invented",), "0" * 64, records), NOW)


# How it is answered


@pytest.mark.parametrize("suffix", ["svg", "png", "vl.json"])
def test_the_same_request_gives_the_same_bytes(seeded: Database, suffix: str) -> None:
    url = f"{TRADE}.{suffix}?partner=CHN"
    found = set()
    for other in (CHARTS[1], CHARTS[3], CHARTS[4]):
        with service(seeded, cache_bytes=0) as client:
            client.get(other)
            response = client.get(url)
            found.add((response.content, response.headers["etag"]))
    assert len(found) == 1


@pytest.mark.parametrize("change", ["theme=dark", "width=721", "kind=bars", "release=2"])
def test_what_changes_the_picture_changes_its_tag(client: TestClient, change: str) -> None:
    url = f"{TRADE}.svg?flow=total"
    first, other = client.get(url), client.get(f"{url}&{change}")
    assert first.headers["etag"] != other.headers["etag"]
    assert client.get(f"{url}&{change}", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


@pytest.mark.parametrize("url", CHARTS)
def test_who_holds_the_picture_is_told_so(client: TestClient, url: str) -> None:
    first = client.get(url)
    for held in (first.headers["etag"], "*"):
        again = client.get(url, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
    headed = client.head(url)
    assert (headed.status_code, headed.content, headed.headers) == (200, b"", first.headers)


def test_other_spellings_of_a_name_give_the_same_picture(client: TestClient) -> None:
    found = {client.get(f"{TRADE}.svg?country={name}").content for name in ("KAZ", "kazakhstan", "398")}
    assert len(found) == 1


def test_an_image_has_as_many_pixels_as_was_asked(client: TestClient) -> None:
    for scale, width in (("1", 400), ("2", 800), ("2.5", 1000)):
        image = client.get(f"{TRADE}.png?partner=CHN&width=400&scale={scale}").content
        assert int.from_bytes(image[16:20]) == width


def test_a_specification_has_its_data_and_where_they_are_from(client: TestClient) -> None:
    found = specified(client, CHARTS[0])
    assert found["$schema"] == "https://vega.github.io/schema/vega-lite/v6.json"
    told = found["usermeta"]["khorgos"]
    assert (told["release"], told["sources"]) == (3, ["astana-times-2025-06"])
    assert '"url"' not in json.dumps(found)


# What is refused


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"{TRADE}.svg?yeer=2024", "KHG104"),
        (f"{TRADE}.svg?scale=2", "KHG104"),
        (f"{TRADE}.svg?limit=5", "KHG104"),
        (f"{TRADE}.svg?format=csv", "KHG104"),
        (f"{TRADE}.svg?kind=pie", "KHG101"),
        (f"{TRADE}.svg?theme=blue", "KHG101"),
        (f"{TRADE}.svg?width=319", "KHG101"),
        (f"{TRADE}.svg?width=1601", "KHG101"),
        (f"{TRADE}.png?scale=4", "KHG101"),
        (f"{TRADE}.svg?partner=Kazakstan", "KHG102"),
        (f"{TRADE}.svg?year_from=2025&year_to=2024", "KHG115"),
        (f"{TRADE}.svg?release=99", "KHG101"),
        (f"{TRADE}.svg?width=500&width=600", "KHG105"),
        ("/v1/charts/compare.svg?reporter=KAZ", "KHG103"),
        ("/v1/charts/compare.svg?reporter=KAZ&partner=central-asia", "KHG101"),
        ("/v1/charts/projects.svg?status=planned", "KHG104"),
        ("/v1/charts?width=500", "KHG104"),
    ],
)
def test_a_wrong_request_is_refused(client: TestClient, url: str, code: str) -> None:
    assert_problem(client.get(url), 422, code)


def test_what_the_rows_refuse_is_handed_on(client: TestClient) -> None:
    found = client.get("/v1/charts/compare.svg?reporter=KAZ&partner=KAZ")
    assert_problem(found, 422, "KHG115")
    assert found.json() == client.get("/v1/trade/compare?reporter=KAZ&partner=KAZ").json()


@pytest.mark.parametrize("file", ["trad.svg", "trade.pdf", "trade", "nothing"])
def test_a_chart_that_is_not_there_is_told(client: TestClient, file: str) -> None:
    found = client.get(f"/v1/charts/{file}")
    assert_problem(found, 404, "KHG111")
    if "." in file:
        assert found.json()["errors"][0]["did_you_mean"] == "trade.svg" or file.endswith("pdf")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("source=invented", "more than 1000 rows"),
        ("source=invented&product=000001,000002,000003,000004,000005,000006,000007,000008,000009,000010,000011,000012,"
         "000013,000014,000015,000016,000017", "17 series"),
        (f"source=invented&kind=bars&product={','.join(f'{n:06}' for n in range(1, 62))}", "61 statements"),
    ],
)  # fmt: skip
def test_more_than_a_picture_shows_is_refused(invented: TestClient, query: str, words: str) -> None:
    found = invented.get(f"{TRADE}.svg?{query}")
    assert_problem(found, 422, "KHG106")
    assert words in found.json()["detail"] and "narrow by" in found.json()["detail"]


def test_an_image_of_too_many_pixels_is_refused(invented: TestClient) -> None:
    products = ",".join(f"{n:06}" for n in range(1, 60))
    found = invented.get(f"{TRADE}.png?source=invented&kind=bars&product={products}&width=1600&scale=3")
    assert_problem(found, 422, "KHG106")
    assert f"{PIXELS_MOST:,} pixels" in found.json()["detail"]


# Without the library, and when it fails


def test_without_the_library_pictures_are_told_how_and_specifications_are_there(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.charts.draw, "find_spec", lambda _: None)
    with service(seeded) as client:
        for suffix in ("svg", "png"):
            found = client.get(f"{TRADE}.{suffix}?partner=CHN")
            assert_problem(found, 406, "KHG109")
            assert "pip install 'khorgos[charts]'" in found.json()["detail"]
            assert found.json()["errors"][0]["allowed"] == ["vl.json"]
        assert client.get(f"{TRADE}.vl.json?partner=CHN").status_code == 200
        served = {one["format"]: one["is_served"] for one in client.get("/v1/charts").json()["data"][0]["formats"]}
        assert served == {"svg": False, "png": False, "vl.json": True}


def test_a_drawing_that_fails_is_a_clean_error(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> str:
        raise ValueError("a secret of the inside")

    monkeypatch.setattr(app.charts.draw, "drawn_svg", fail)
    with service(seeded) as client:
        for suffix in ("svg", "png"):
            found = client.get(f"{TRADE}.{suffix}?partner=CHN")
            assert_problem(found, 500, "KHG500")
            assert "secret" not in found.text
        monkeypatch.undo()
        assert client.get(f"{TRADE}.svg?partner=CHN").status_code == 200


def test_who_waits_for_long_is_sent_away_and_others_are_answered(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, draw = threading.Event(), threading.Event(), app.charts.draw.drawn_svg

    def wait(specification: dict[str, Any]) -> str:
        began.set()
        assert go_on.wait(20)
        return draw(specification)

    monkeypatch.setattr(app.charts.draw, "drawn_svg", wait)
    with service(seeded, pool_wait=0.1) as client:
        first: list[int] = []
        thread = threading.Thread(target=lambda: first.append(client.get(f"{TRADE}.svg?partner=CHN").status_code))
        thread.start()
        assert began.wait(20)
        found = client.get(f"{TRADE}.svg?partner=CHN&width=500")
        assert_problem(found, 503, "KHG502")
        assert found.headers["retry-after"]
        started = time.monotonic()
        assert client.get("/v1/trade/flows").status_code == 200
        assert time.monotonic() - started < 5
        go_on.set()
        thread.join()
        assert first == [200]
        assert client.get(f"{TRADE}.svg?partner=CHN&width=500").status_code == 200
