"""What holds of every request, however it is put together: pages, filters, tags, the same bytes, safe sums."""

import base64
import calendar
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from functools import cache
from itertools import cycle, pairwise
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from conftest import ENGINES, NOW, Workshop, times
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some
from starlette.testclient import TestClient
from test_http import LISTS, SOURCE, flow, project, service

from app.codes import ReleaseKind
from app.db import Database
from app.ingest.publish import Dataset, publish
from app.models import Project, Source, TradeFlow
from app.search import words

pytestmark = pytest.mark.torture
FLOWS, TOTALS = "/v1/trade/flows", "/v1/trade/totals"
AGGREGATES = {"WLD", "XCA"}
Row = Mapping[str, Any]

# An invented dataset: World beside partners, levels of HS, months, quarters, both sides, two voices, two sources


def dated(period: str) -> dict[str, Any]:
    """Give the columns of a period of the invented rows."""
    if period == "-":
        return {"period": "-", "frequency": "-", "period_start": None, "period_end": None, "year": None}
    year = int(period[:4])
    first, last, frequency = 1, 12, "A"
    if "/" in period:
        last, frequency = int(period[-2:]), "YTD"
    elif "Q" in period:
        last, frequency = int(period[-1]) * 3, "Q"
        first = last - 2
    elif "-" in period:
        first, last, frequency = int(period[-2:]), int(period[-2:]), "M"
    end = date(year, last, calendar.monthrange(year, last)[1])
    start = date(year, first, 1)
    return {"period": period, "frequency": frequency, "period_start": start, "period_end": end, "year": year}


def invent(cell: str, period: str, value: int, **changes: Any) -> dict[str, Any]:
    """Give an invented flow of `reporter.partner.flow.product`."""
    reporter, partner, direction, product = cell.split(".")
    sides = {"reporter": reporter, "partner": partner, "flow": direction, "product": product}
    return flow(0, **sides, **dated(period), value_usd=value, **changes)


def invented_flows() -> Iterator[dict[str, Any]]:
    """Give trade that tempts to be counted twice in every way there is."""
    for period, factor in (("2020", 1), ("2022", 2), ("2023", 3)):
        for partner, value in (("CHN", 100), ("RUS", 50), ("UZB", 30), ("XCA", 45), ("WLD", 400)):
            yield invent(f"KAZ.{partner}.export.TOTAL", period, value * factor)
            yield invent(f"KAZ.{partner}.import.TOTAL", period, value * factor * 2, valuation="CIF")
        for product, value in (("01", 60), ("02", 40), ("0101", 35), ("010121", 20), ("010129", 15)):
            yield invent(f"KAZ.CHN.export.{product}", period, value * factor)
        yield invent("KAZ.CHN.re_export.TOTAL", period, 7 * factor)
        yield invent("CHN.KAZ.import.TOTAL", period, 105 * factor, valuation="CIF")
        yield invent("KAZ.CHN.total.TOTAL", period, 300 * factor)
        yield invent("CHN.KAZ.total.TOTAL", period, 330 * factor)
        yield invent("CHN.RUS.total.TOTAL", period, 500 * factor)
        yield invent("KAZ.CHN.export.TOTAL", period, 111 * factor, stated_by="kaz-bns")
        yield invent("KAZ.CHN.export.TOTAL", period, 120 * factor, source="invented-two")
        yield invent("KAZ.CHN.export.TOTAL", period, 99 * factor, classification="-")
        yield invent("KAZ.CHN.export.TOTAL", period, 98 * factor, classification="S4")
    for month in range(1, 13):
        yield invent("KAZ.CHN.export.TOTAL", f"2023-{month:02}", 20 + month, obs_status="P")
        yield invent("KAZ.UZB.export.TOTAL", f"2022-{month:02}", month)
    for quarter in range(1, 5):
        yield invent("KAZ.CHN.export.TOTAL", f"2023-Q{quarter}", 70 + quarter)
    for year in (2022, 2023):
        for month in (2, 6):
            yield invent("KAZ.CHN.export.TOTAL", f"{year}-01/{year}-{month:02}", year % 100 * month)
    yield invent("KAZ.CHN.export.TOTAL", "-", 1000)
    yield invent("KAZ.RUS.export.TOTAL", "2021", 0, method="reconciled")


def invented() -> Dataset:
    """Give the whole invented dataset."""
    two = {**SOURCE, "slug": "invented-two", "source": "invented-two", "title": "Another invented dataset"}
    values = (0, None, 1, 5_000_000_000, 8_700_000_000)
    projects = [{**project(number, f"Invented {number}"), "value_usd": value} for number, value in enumerate(values)]
    records = {Source: [SOURCE, two], TradeFlow: list(invented_flows()), Project: projects}
    return Dataset("invented", ReleaseKind.IMPORT, ("invented", "invented-two"), "0" * 64, records)


@pytest.fixture(scope="module")
def both(workshop: Workshop) -> Iterator[dict[str, TestClient]]:
    """Give a client of each engine over the article and the invented dataset."""
    databases: list[Database] = []
    with ExitStack() as stack:
        found = {}
        for engine in ENGINES:
            databases.append(workshop.copy(engine))
            with databases[-1].publishing() as connection:
                publish(connection, invented(), NOW)
            found[engine] = stack.enter_context(service(databases[-1]))
        yield found
    for database in databases:
        workshop.remove(database)


@pytest.fixture(scope="module")
def rich(engine: str, both: dict[str, TestClient]) -> TestClient:
    """Give a client of one engine over the article and the invented dataset."""
    return both[engine]


def examples(number: int) -> Any:
    """Set how often a property is tried: a third of `number` in the short form, ten times as often in the long one."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(max_examples=times(max(3, number // 3), 10 * number), suppress_health_check=checks)


def get(client: TestClient, path: str, query: Mapping[str, Any] | None = None) -> Any:
    """Give the body of an answer."""
    response = client.get(path, params=spelled(query) if query else None)
    assert response.status_code == 200, (response.url, response.text)
    return response.json()


def spelled(query: Mapping[str, Any]) -> dict[str, str]:
    """Give the values of a query as a URL has them."""
    return {name: ",".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in query.items()}


def following(client: TestClient, url: str | None) -> list[Row]:
    """Give the rows of a list, page after page."""
    found: list[Row] = []
    while url:
        response = client.get(url)
        assert response.status_code == 200, (url, response.text)
        found += response.json()["data"]
        url = response.json()["links"]["next"]
    return found


# Pages

REQUIRED = {
    TOTALS: {"group_by": "reporter,partner,year"},
    "/v1/search": {"q": "kazakhstan"},
    "/v1/products": {"section": "V"},
}
SIZES = {"/v1/countries": 60, "/v1/products": 25}
"""Smallest page of a long list."""


@cache
def sortable(client: TestClient, path: str) -> tuple[str, ...]:
    """Give the fields that a list can be sorted by: a refusal names them."""
    problem = client.get(path, params={**REQUIRED.get(path, {}), "sort": "nothing"}).json()
    return tuple(problem["errors"][0]["allowed"])


@some.composite
def sorts(draw: Any, fields: tuple[str, ...]) -> list[str]:
    """Give one to three fields of a list, each in a direction."""
    names = draw(some.lists(some.sampled_from(fields), min_size=1, max_size=3, unique=True))
    return [draw(some.sampled_from(("", "-"))) + name for name in names]


def places(row: Row, sort: list[str]) -> list[tuple[bool, Any]]:
    """Give what a row is sorted by, null last."""
    return [(row[name.lstrip("-")] is None, row[name.lstrip("-")]) for name in sort]


def stands_before(first: Row, second: Row, sort: list[str]) -> bool:
    """Whether two rows stand in an order."""
    for word, one, two in zip(sort, places(first, sort), places(second, sort), strict=True):
        if one != two:
            if one[0] or two[0]:
                return two[0]
            return one[1] > two[1] if word.startswith("-") else one[1] < two[1]
    return True


@pytest.mark.parametrize("path", LISTS)
@examples(8)
@given(data=some.data())
def test_pages_give_every_row_once_in_one_order(rich: TestClient, path: str, data: Any) -> None:
    query = {**REQUIRED.get(path, {}), "sort": data.draw(sorts(sortable(rich, path)))}
    size = data.draw(some.integers(SIZES.get(path, 2 if path not in (FLOWS, TOTALS) else 25), 200))
    whole = get(rich, path, {**query, "limit": 1000})
    paged = following(rich, f"{path}?{urlencode(spelled({**query, 'limit': size}))}")
    assert whole["links"]["next"] is None
    assert paged == whole["data"]
    assert len(paged) == whole["meta"]["total"]


@pytest.mark.parametrize("path", LISTS)
@examples(4)
@given(data=some.data())
def test_rows_stand_in_the_order_asked_null_last(rich: TestClient, path: str, data: Any) -> None:
    sort = data.draw(sorts(sortable(rich, path)))
    rows = get(rich, path, {**REQUIRED.get(path, {}), "sort": sort, "limit": 1000})["data"]
    assert all(stands_before(one, two, sort) for one, two in pairwise(rows))


@pytest.mark.parametrize("path", LISTS)
def test_every_sortable_field_can_be_paged_by(rich: TestClient, path: str) -> None:
    for field, sign in zip(sortable(rich, path), cycle(("", "-")), strict=False):
        query = {**REQUIRED.get(path, {}), "sort": sign + field, "limit": 1}
        url = get(rich, path, query)["links"]["next"]
        assert url is None or rich.get(url).status_code == 200, (path, sign + field)


def cursor_of(client: TestClient, query: Mapping[str, Any]) -> str:
    """Give the cursor that a page of trade flows ends with."""
    link = get(client, FLOWS, {**query, "limit": 2})["links"]["next"]
    return dict(parse_qsl(urlsplit(link).query))["cursor"]


def opened(cursor: str) -> list[Any]:
    """Give what a cursor holds."""
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def closed(state: Any) -> str:
    """Make a cursor."""
    return base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip("=")


@examples(60)
@given(text=some.text(some.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60))
def test_a_cursor_that_is_any_text_is_refused(rich: TestClient, text: str) -> None:
    response = rich.get(f"{FLOWS}?cursor={quote(text)}")
    assert response.status_code == 422
    assert response.json()["code"] == "KHG107"


JSONS = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**70), 2**70) | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@examples(60)
@given(state=some.lists(JSONS, min_size=3, max_size=3) | JSONS)
def test_a_cursor_that_holds_anything_is_refused(rich: TestClient, state: Any) -> None:
    assert rich.get(FLOWS, params={"cursor": closed(state)}).status_code == 422


@examples(80)
@given(
    data=some.data(), value=JSONS | some.sampled_from([2**31, 2**63, 2**64 - 1, -(2**63), 1e308, "\0", "\ud800", ""])
)
def test_a_cursor_whose_keys_were_changed_is_never_a_failure(rich: TestClient, data: Any, value: Any) -> None:
    sort = data.draw(some.sampled_from(["value_usd", "year", "-period_start", "net_weight_kg", "reporter", "id"]))
    state = opened(cursor_of(rich, {"sort": sort}))
    place = data.draw(some.integers(0, len(state[2]) - 1))
    state[2][place] = value
    response = rich.get(FLOWS, params={"sort": sort, "limit": 2, "cursor": closed(state)})
    assert response.status_code in (200, 422), (sort, place, value, response.text)


@examples(40)
@given(release=some.integers(-(2**64), 2**64) | some.sampled_from([1, 2, 4, 0, None, "3", True, 3.0]))
def test_a_cursor_of_another_release_is_refused(rich: TestClient, release: Any) -> None:
    state = opened(cursor_of(rich, {}))
    assume(type(release) is not int or release != state[0])
    state[0] = release
    assert rich.get(FLOWS, params={"limit": 2, "cursor": closed(state)}).status_code == 422


@pytest.mark.parametrize("change", [{"sort": "-year"}, {"reporter": "KAZ"}, {"latest": "true"}, {"release": "1"}])
def test_a_cursor_of_another_list_is_refused(rich: TestClient, change: dict[str, str]) -> None:
    response = rich.get(FLOWS, params={"cursor": cursor_of(rich, {}), "limit": 2, **change})
    assert (response.status_code, response.json()["code"]) == (422, "KHG107")


def test_a_cursor_goes_with_another_size_of_page_and_other_fields(rich: TestClient) -> None:
    whole = get(rich, FLOWS, {"limit": 1000, "fields": "id"})["data"]
    rest = get(rich, FLOWS, {"limit": 1000, "fields": "id", "cursor": cursor_of(rich, {})})["data"]
    assert rest == whole[2:]


# Filters, held against plain Python over all rows

SPELLINGS = {
    "KAZ": ("KAZ", "kz", "398", "Kazakhstan", "KAZAKHSTAN"),
    "CHN": ("CHN", "cn", "156", "china"),
    "RUS": ("RUS", "Russia", "Russian Federation"),
    "UZB": ("uzb", "Uzbekistan"),
    "XCA": ("XCA",),
    "WLD": ("WLD", "world"),
    "ITA": ("Italy",),
    "KAZ,KGZ,TJK,TKM,UZB": ("central-asia", "Central Asia"),
}
COUNTRY_LISTS = some.lists(some.sampled_from(list(SPELLINGS)), min_size=1, max_size=3, unique=True)
DIRECTIONS = {"export": ("export", "X", "x"), "import": ("import", "M"), "total": ("total", "T"), "re_export": ("RX",)}
VALUES = (0, 1, 50, 100, 300, 4_490_000_000, 95_000_000_000, 2**63 - 1)


def lists(*values: Any, most: int = 3) -> Any:
    """Give one or more of some values."""
    return some.lists(some.sampled_from(values), min_size=1, max_size=most, unique=True)


FLOW_FILTERS = some.fixed_dictionaries(
    {},
    optional={
        "reporter": COUNTRY_LISTS,
        "partner": COUNTRY_LISTS,
        "country": COUNTRY_LISTS,
        "flow": lists(*DIRECTIONS),
        "product": lists("TOTAL", "01", "0101", "010121", "99"),
        "classification": lists("H6", "S4", "H0"),
        "product_level": lists(0, 2, 4, 6),
        "economies": lists("reporter", "partner", most=2),
        "year": lists(1999, 2020, 2021, 2022, 2023, 2024, 2025),
        "year_from": some.sampled_from((1900, 2021, 2023, 2024)),
        "year_to": some.sampled_from((2020, 2022, 2023, 2100)),
        "period": lists("2023", "2023-03", "2023-Q2", "2025-01/2025-04", "2024"),
        "frequency": lists("A", "M", "Q", "YTD"),
        "source": lists("invented", "invented-two", "astana-times-2025-06"),
        "stated_by": lists("self", "kaz-bns", "alibek-kuantyrov"),
        "method": lists("stated", "inferred", "reconciled"),
        "value_min": some.sampled_from(VALUES),
        "value_max": some.sampled_from(VALUES),
    },
)


def codes(values: list[str]) -> set[str]:
    """Give the countries of a list, groups as their members."""
    return {code for value in values for code in value.split(",")}


def level(product: str) -> int:
    """Give how fine a product code is."""
    return 0 if product == "TOTAL" else len(product)


FLOW_TESTS = {
    "reporter": lambda row, asked: row["reporter"] in codes(asked),
    "partner": lambda row, asked: row["partner"] in codes(asked),
    "country": lambda row, asked: {row["reporter"], row["partner"]} & codes(asked),
    "product_level": lambda row, asked: level(row["product"]) in asked,
    "economies": lambda row, asked: not {row[side] for side in asked} & AGGREGATES,
    "year_from": lambda row, asked: row["year"] is not None and row["year"] >= asked,
    "year_to": lambda row, asked: row["year"] is not None and row["year"] <= asked,
    "stated_by": lambda row, asked: (row["stated_by"] or "self") in asked,
    "value_min": lambda row, asked: row["value_usd"] is not None and row["value_usd"] >= asked,
    "value_max": lambda row, asked: row["value_usd"] is not None and row["value_usd"] <= asked,
}


def passes(row: Row, filters: Mapping[str, Any], tests: Mapping[str, Any]) -> bool:
    """Whether plain Python lets a row through filters."""
    return all(
        tests[name](row, asked) if name in tests else row[name] in asked for name, asked in filters.items()
    )  # fmt: skip


def sensible(filters: dict[str, Any]) -> dict[str, Any]:
    """Put the ends of a range in order, and no year beyond both: the other is refused, and tested elsewhere."""
    for low, high in (("year_from", "year_to"), ("value_min", "value_max")):
        if low in filters and high in filters:
            filters |= {low: min(filters[low], filters[high]), high: max(filters[low], filters[high])}
    least, most = filters.get("year_from", 0), filters.get("year_to", 9999)
    years = filters.get("year", [])
    if years and (max(years) < least or min(years) > most):
        return {name: value for name, value in filters.items() if name != "year"}
    return filters


@cache
def everything(client: TestClient, path: str) -> list[Row]:
    """Give all rows of a list, read once."""
    return get(client, path, {"limit": 1000})["data"]


@examples(100)
@given(filters=FLOW_FILTERS.map(sensible), data=some.data())
def test_flow_filters_are_those_of_plain_python(rich: TestClient, filters: dict[str, Any], data: Any) -> None:
    wanted = [row for row in everything(rich, FLOWS) if passes(row, filters, FLOW_TESTS)]
    found = get(rich, FLOWS, {**respelled(filters, data), "limit": 1000})
    assert found["data"] == wanted
    assert found["meta"]["total"] == len(wanted)
    assert ("why_empty" in found["meta"]) == (not wanted)


@examples(30)
@given(filters=FLOW_FILTERS.map(sensible), size=some.integers(20, 200), latest=some.booleans())
def test_pages_of_filtered_rows_are_the_whole(
    rich: TestClient, filters: dict[str, Any], size: int, latest: bool
) -> None:
    query = {**filters, "sort": "-value_usd", **({"latest": "true"} if latest else {})}
    whole = get(rich, FLOWS, {**query, "limit": 1000})["data"]
    assert following(rich, f"{FLOWS}?{urlencode(spelled({**query, 'limit': size}))}") == whole


@pytest.mark.parametrize("path", [FLOWS, "/v1/figures", "/v1/projects/portfolios"])
def test_next_page_of_what_the_source_states_itself_can_be_followed(rich: TestClient, path: str) -> None:
    whole = get(rich, path, {"stated_by": "self", "limit": 1000})["data"]
    assert following(rich, f"{path}?stated_by=self&limit={-(-len(whole) // 2)}") == whole


@examples(40)
@given(filters=FLOW_FILTERS.map(sensible))
def test_link_to_itself_gives_the_same_body(rich: TestClient, filters: dict[str, Any]) -> None:
    whole = get(rich, FLOWS, filters)
    assert get(rich, whole["links"]["self"]) == whole


def respelled(filters: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Give filters with countries and flows in any of their spellings."""
    found = dict(filters)
    for name, spellings in (
        ("reporter", SPELLINGS),
        ("partner", SPELLINGS),
        ("country", SPELLINGS),
        ("flow", DIRECTIONS),
    ):
        if name in found:
            found[name] = [data.draw(some.sampled_from(spellings[value])) for value in found[name]]
    return found


@examples(40)
@given(filters=FLOW_FILTERS.map(sensible))
def test_latest_is_the_newest_period_of_each_series_and_has_the_values_asked(
    rich: TestClient, filters: dict[str, Any]
) -> None:
    bounds = {name: filters[name] for name in ("value_min", "value_max", "method") if name in filters}
    others = {name: value for name, value in filters.items() if name not in bounds}
    series: dict[Any, list[Row]] = defaultdict(list)
    for row in everything(rich, FLOWS):
        if row["period_end"] is not None and passes(row, others, FLOW_TESTS):
            names = ("reporter", "partner", "flow", "product", "classification", "frequency", "source", "stated_by")
            series[tuple(row[name] for name in names)].append(row)
    newest = [max(rows, key=lambda row: row["period_end"]) for rows in series.values()]
    wanted = sorted(row["id"] for row in newest if passes(row, bounds, FLOW_TESTS))
    found = get(rich, FLOWS, {**filters, "latest": "true", "limit": 1000, "fields": "id"})["data"]
    assert sorted(row["id"] for row in found) == wanted


PROJECT_FILTERS = some.fixed_dictionaries(
    {},
    optional={
        "status": lists("completed", "operational", "planned", "not_stated"),
        "country": COUNTRY_LISTS,
        "kind": lists("railway", "dry_port", "highway", "other", "energy"),
        "programme": lists("belt-and-road-initiative", "silk-road-economic-belt"),
        "source": lists("invented", "astana-times-2025-06"),
        "value_min": some.sampled_from(VALUES),
        "value_max": some.sampled_from(VALUES),
    },
)
PROJECT_TESTS = {**FLOW_TESTS, "country": lambda row, asked: set(row["countries"]) & codes(asked)}


@examples(50)
@given(filters=PROJECT_FILTERS.map(sensible))
def test_project_filters_are_those_of_plain_python(rich: TestClient, filters: dict[str, Any]) -> None:
    wanted = [row for row in everything(rich, "/v1/projects") if passes(row, filters, PROJECT_TESTS)]
    assert get(rich, "/v1/projects", {**filters, "limit": 1000})["data"] == wanted


QUOTE_WORDS = ("dependence", "china", "KAZAKHSTAN", "format", "region", "risk", "is", "nowhere", "xi", "long-term")
QUOTE_FILTERS = some.fixed_dictionaries(
    {},
    optional={
        "expert": lists("gulnar-shaimergenova", "zhadyra-assetkyzy", "alibek-kuantyrov"),
        "topic": lists("technology", "dependence", "trade", "connectivity"),
        "kind": lists("direct", "paraphrase", most=2),
        "speaker_basis": lists("stated", "inferred", most=2),
        "q": some.lists(some.sampled_from(QUOTE_WORDS), min_size=1, max_size=2).map(" ".join),
    },
)


def says(row: Row, asked: str) -> bool:
    """Whether a quote has every word asked; a hyphen joins two words in a row."""
    said = dict.fromkeys((row["expert"], row["text"], row["exact"]))
    text = f" {' '.join(words(' '.join(said)))} "
    return all(f" {' '.join(words(one))} " in text for one in asked.split())


QUOTE_TESTS = {"topic": lambda row, asked: set(row["topics"]) & set(asked), "q": says}


@examples(50)
@given(filters=QUOTE_FILTERS)
def test_quote_filters_are_those_of_plain_python(rich: TestClient, filters: dict[str, Any]) -> None:
    wanted = [row["id"] for row in everything(rich, "/v1/quotes") if passes(row, filters, QUOTE_TESTS)]
    found = get(rich, "/v1/quotes", {**filters, "limit": 1000, "fields": "id"})["data"]
    assert [row["id"] for row in found] == wanted


@examples(40)
@given(filters=FLOW_FILTERS.map(sensible))
def test_why_empty_names_the_first_filter_that_leaves_nothing(rich: TestClient, filters: dict[str, Any]) -> None:
    why = get(rich, FLOWS, filters)["meta"].get("why_empty")
    assume(why is not None)
    asked = [name for name in FLOW_ORDER if name in filters]
    before = {name: filters[name] for name in asked[: asked.index(why["parameter"])]}
    rows = everything(rich, FLOWS)
    assert any(passes(row, before, FLOW_TESTS) for row in rows)
    assert not any(
        passes(row, {**before, why["parameter"]: filters[why["parameter"]]}, FLOW_TESTS) for row in rows
    )  # fmt: skip


FLOW_ORDER = (
    *("reporter", "partner", "country", "flow", "product", "classification", "product_level", "economies", "year"),
    *("year_from", "year_to", "period", "frequency", "source", "stated_by", "method", "value_min", "value_max"),
)

# Tags


def tag(client: TestClient, query: list[tuple[str, str]], path: str = FLOWS) -> str:
    """Give the tag of an answer."""
    response = client.get(f"{path}?{urlencode(query)}")
    assert response.status_code == 200, response.text
    return response.headers["etag"]


@examples(50)
@given(filters=FLOW_FILTERS.map(sensible), data=some.data())
def test_tag_is_the_same_for_every_spelling_of_a_request(rich: TestClient, filters: dict[str, Any], data: Any) -> None:
    other = respelled(filters, data)
    other = {
        name: data.draw(some.permutations(value)) if isinstance(value, list) else value for name, value in other.items()
    }
    shuffled = data.draw(some.permutations(list(spelled(other).items())))
    assert tag(rich, shuffled) == tag(rich, list(spelled(filters).items()))


@examples(40)
@given(filters=FLOW_FILTERS.map(sensible), data=some.data())
def test_the_same_tag_is_the_same_bytes(rich: TestClient, filters: dict[str, Any], data: Any) -> None:
    other = {n: data.draw(some.permutations(v)) if isinstance(v, list) else v for n, v in filters.items()}
    one, two = (rich.get(FLOWS, params=spelled(query)) for query in (filters, other))
    assert one.headers["etag"] == two.headers["etag"]
    assert one.content == two.content


@examples(40)
@given(one=FLOW_FILTERS.map(sensible), two=FLOW_FILTERS.map(sensible))
def test_tag_differs_between_requests(rich: TestClient, one: dict[str, Any], two: dict[str, Any]) -> None:
    def meaning(filters: dict[str, Any]) -> Any:
        sides = ("reporter", "partner", "country")
        return {
            name: codes(value) if name in sides else set(value) if isinstance(value, list) else value
            for name, value in filters.items()
        }

    same = meaning(one) == meaning(two)
    assert (tag(rich, list(spelled(one).items())) == tag(rich, list(spelled(two).items()))) == same


@pytest.mark.parametrize(
    "change",
    [("format", "csv"), ("format", "ndjson"), ("limit", "1"), ("fields", "id"), ("sort", "-id"), ("release", "3")],
)
def test_tag_differs_by_what_shapes_the_answer(rich: TestClient, change: tuple[str, str]) -> None:
    assert tag(rich, [("year", "2024"), change]) != tag(rich, [("year", "2024")])


def test_tag_differs_by_path(rich: TestClient) -> None:
    assert len({tag(rich, [], path) for path in ("/v1/topics", "/v1/quotes", "/v1/topics/technology")}) == 3


def test_tag_differs_by_release(rich: TestClient) -> None:
    assert len({tag(rich, [("release", str(number))]) for number in (1, 2, 3)}) == 3


# The same bytes on both engines


@examples(150)
@given(data=some.data())
def test_both_engines_give_the_same_bytes(both: dict[str, TestClient], data: Any) -> None:
    path = data.draw(some.sampled_from(LISTS))
    query: dict[str, Any] = {**REQUIRED.get(path, {})}
    if path == TOTALS:
        query = data.draw(TOTALS_QUERIES)
    elif path == FLOWS:
        query = {**data.draw(FLOW_FILTERS.map(sensible)), **data.draw(optional({"latest": some.just("true")}))}
    elif path == "/v1/search":
        query = {"q": data.draw(some.sampled_from(["khorgos", "china*", '"long term"', "trade invested", "Қазақстан"]))}
    fields = sortable(both["sqlite"], path)
    query |= data.draw(
        optional(
            {
                "sort": sorts(fields),
                "fields": some.lists(some.sampled_from(fields), min_size=1, max_size=4, unique=True),
                "limit": some.integers(1, 30),
                "format": some.sampled_from(["json", "csv", "ndjson"]),
                "release": some.integers(1, 4),
            }
        )
    )
    sqlite, postgres = (both[engine].get(path, params=spelled(query)) for engine in ENGINES)
    assert (sqlite.status_code, sqlite.content) == (postgres.status_code, postgres.content)
    assert sqlite.headers == postgres.headers


def optional(choices: dict[str, Any]) -> Any:
    """Give some of several parameters."""
    return some.fixed_dictionaries({}, optional=choices)


# Sums

DIMENSIONS = ("reporter", "partner", "flow", "year", "product", "source")
TOTALS_QUERIES = some.tuples(
    FLOW_FILTERS.map(sensible), some.lists(some.sampled_from(DIMENSIONS), min_size=1, max_size=4, unique=True)
).map(lambda pair: {**pair[0], "group_by": pair[1]})


def overlap(one: Row, two: Row) -> bool:
    """Whether the periods of two flows have a day in common; one without a period may overlap any."""
    if one["period_start"] is None or two["period_start"] is None:
        return True
    return one["period_start"] <= two["period_end"] and two["period_start"] <= one["period_end"]


def counted_twice(rows: list[Row]) -> list[tuple[str, str]]:
    """Give the pairs of flows of which one may hold the other."""
    found = []
    for place, one in enumerate(rows):
        for two in rows[:place]:
            sides, other = (one["reporter"], one["partner"]), (two["reporter"], two["partner"])
            mirrored = one["flow"] == "total" and sides == other[::-1]
            nested = one["product"] != two["product"] and level(one["product"]) != level(two["product"])
            if overlap(one, two) and (mirrored or (sides == other and (one["product"] == two["product"] or nested))):
                found.append((one["id"], two["id"]))
    return found


def totals(client: TestClient, query: Mapping[str, Any]) -> list[Row]:
    """Give the sums of a request; of the corrected one where it would count twice."""
    response = client.get(TOTALS, params=spelled({**query, "limit": 1000}))
    if response.status_code == 422:
        problem = response.json()
        assert problem["code"] == "KHG108", problem
        return following(client, problem["corrected"])
    assert response.status_code == 200, response.text
    return response.json()["data"]


@examples(40)
@given(query=TOTALS_QUERIES, data=some.data())
def test_lineage_of_a_total_is_the_flows_that_were_added(rich: TestClient, query: dict[str, Any], data: Any) -> None:
    found = totals(rich, query)
    assume(found)
    total = data.draw(some.sampled_from(found))
    rows = following(rich, total["lineage"])
    assert sum(row["value_usd"] for row in rows) == total["value_usd"], total
    assert len(rows) == total["rows"], total
    assert sum(row["method"] == "inferred" for row in rows) == total["rows_inferred"]
    assert len({row["period"] for row in rows}) == total["periods"]


@examples(40)
@given(query=TOTALS_QUERIES, data=some.data())
def test_no_total_adds_what_cannot_be_added(rich: TestClient, query: dict[str, Any], data: Any) -> None:
    found = totals(rich, query)
    assume(found)
    rows = following(rich, data.draw(some.sampled_from(found))["lineage"])
    for name in ("source", "stated_by", "flow", "frequency", "classification"):
        assert len({row[name] for row in rows}) == 1, name
    assert len({level(row["product"]) for row in rows}) == 1
    for side in ("reporter", "partner"):
        assert len({row[side] if row[side] in AGGREGATES else "economies" for row in rows}) == 1, side
    assert counted_twice(rows) == []


@examples(40)
@given(query=TOTALS_QUERIES)
def test_totals_leave_no_flow_out_and_count_none_twice(rich: TestClient, query: dict[str, Any]) -> None:
    filters = {name: value for name, value in query.items() if name != "group_by"}
    wanted = [row for row in everything(rich, FLOWS) if passes(row, filters, FLOW_TESTS)]
    found = totals(rich, query)
    assert sum(total["rows"] for total in found) == len(wanted)
    assert sum(total["value_usd"] for total in found) == sum(row["value_usd"] for row in wanted)


def apart_but_for(total: Row, dimension: str, by_year: bool) -> tuple[Any, ...]:
    """Give all that keeps a sum apart from others, one dimension left out."""
    names = ("reporter", "partner", "flow", "product", "product_level", "classification", "frequency", "year", "source")
    kept = [total[name] for name in (*names, "stated_by") if name != dimension]
    months = total["period"] if total["frequency"] == "YTD" else None
    return (*kept, months.replace(str(total["year"]), "") if months and by_year else months)


@examples(40)
@given(query=TOTALS_QUERIES, data=some.data())
def test_shares_of_a_whole_sum_to_100(rich: TestClient, query: dict[str, Any], data: Any) -> None:
    dimension = data.draw(some.sampled_from(query["group_by"]))
    response = rich.get(TOTALS, params=spelled({**query, "share": dimension, "limit": 1000}))
    assume(response.status_code == 200)
    wholes: dict[Any, list[float]] = defaultdict(list)
    for total in response.json()["data"]:
        if total["share_percent"] is not None and total[dimension] not in AGGREGATES:
            wholes[apart_but_for(total, dimension, "year" in query["group_by"])].append(total["share_percent"])
    for shares in wholes.values():
        assert sum(shares) == pytest.approx(100), shares


@examples(40)
@given(query=TOTALS_QUERIES)
def test_growth_is_the_change_from_the_year_before(rich: TestClient, query: dict[str, Any]) -> None:
    query = {**query, "group_by": list(dict.fromkeys([*query["group_by"], "year"])), "growth": "true"}
    found = totals(rich, query)
    values = {(apart_but_for(total, "year", True), total["year"]): total["value_usd"] for total in found}
    for total in found:
        before = values.get((apart_but_for(total, "year", True), (total["year"] or 0) - 1))
        wanted = 100 * (total["value_usd"] - before) / before if before else None
        assert total["growth_percent"] == (None if wanted is None else pytest.approx(wanted)), total


# The same of the invented dataset, by name


def sums(client: TestClient, query: str, *names: str) -> dict[Any, int]:
    """Give the values of the sums of the invented dataset by some of their fields."""
    found = get(client, f"{TOTALS}?source=invented&limit=1000&{query}")["data"]
    keys = [tuple(total[name] for name in names) for total in found]
    assert len(set(keys)) == len(keys), keys
    return {key[0] if len(names) == 1 else key: total["value_usd"] for key, total in zip(keys, found, strict=True)}


PLAIN = "classification=H6&frequency=A&stated_by=self&year=2023"
EXPORTS = f"{PLAIN}&flow=X&product=TOTAL"


def test_world_is_not_added_to_partners(rich: TestClient) -> None:
    assert sums(rich, f"group_by=reporter&{EXPORTS}&reporter=KAZ", "partner") == {"WLD": 1200, "XCA": 135, None: 540}


def test_chapters_are_not_added_to_subheadings_nor_to_the_total(rich: TestClient) -> None:
    found = sums(rich, f"group_by=partner&{PLAIN}&flow=X&reporter=KAZ&partner=CHN", "product_level")
    assert found == {0: 300, 2: 300, 4: 105, 6: 105}


def test_months_quarters_and_first_months_are_not_added_to_years(rich: TestClient) -> None:
    query = "classification=H6&stated_by=self&year=2023&flow=X&product=TOTAL&reporter=KAZ&partner=CHN"
    found = sums(rich, f"group_by=year&{query}", "frequency", "period")
    year_to_date = {("YTD", "2023-01/2023-02"): 46, ("YTD", "2023-01/2023-06"): 138}
    assert found == {("A", "2023"): 300, ("M", None): 318, ("Q", None): 290, **year_to_date}


def test_re_exports_are_not_added_to_exports(rich: TestClient) -> None:
    query = f"group_by=partner&{PLAIN}&flow=X,RX&product=TOTAL&reporter=KAZ&partner=CHN"
    assert sums(rich, query, "flow") == {"export": 300, "re_export": 21}


def test_turnover_is_not_added_to_exports_and_imports(rich: TestClient) -> None:
    query = f"group_by=partner&{PLAIN}&product=TOTAL&reporter=KAZ&partner=CHN"
    assert sums(rich, query, "flow") == {"export": 300, "import": 600, "re_export": 21, "total": 900}


@pytest.mark.parametrize("grouped", ["year", "product", "flow", "source", "year,flow"])
def test_turnover_of_both_sides_is_refused_with_a_request_that_works(rich: TestClient, grouped: str) -> None:
    response = rich.get(f"{TOTALS}?source=invented&flow=total&year=2023&group_by={grouped}")
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "/v1/problems/would-double-count")
    assert "CHN with KAZ" in problem["detail"]
    corrected = get(rich, problem["corrected"])["data"]
    assert {total["reporter"]: total["value_usd"] for total in corrected} == {"KAZ": 900, "CHN": 2490}


@pytest.mark.parametrize("grouped", ["reporter", "partner"])
def test_turnover_by_one_side_is_not_refused(rich: TestClient, grouped: str) -> None:
    response = rich.get(f"{TOTALS}?source=invented&flow=total&year=2023&group_by={grouped}")
    assert response.status_code == 200


def test_turnover_of_one_side_is_not_refused(rich: TestClient) -> None:
    assert sums(rich, f"group_by=year&{PLAIN}&flow=total&reporter=CHN", "reporter") == {None: 2490}


def test_two_speakers_are_kept_apart(rich: TestClient) -> None:
    query = "group_by=partner&classification=H6&frequency=A&flow=X&product=TOTAL&year=2023&reporter=KAZ&partner=CHN"
    assert sums(rich, query, "stated_by") == {None: 300, "kaz-bns": 333}


def test_two_sources_are_kept_apart(rich: TestClient) -> None:
    query = f"group_by=partner&{EXPORTS}&reporter=KAZ&partner=CHN&source=invented,invented-two"
    found = get(rich, f"{TOTALS}?{query}")["data"]
    assert {total["source"]: total["value_usd"] for total in found} == {"invented": 300, "invented-two": 360}


def test_two_classifications_are_kept_apart(rich: TestClient) -> None:
    query = "group_by=partner&frequency=A&flow=X&product=TOTAL&year=2023&stated_by=self&reporter=KAZ&partner=CHN"
    assert sums(rich, query, "classification") == {"H6": 300, None: 297, "S4": 294}


def test_lineage_of_a_flow_without_classification_is_that_flow(rich: TestClient) -> None:
    query = "group_by=partner&frequency=A&flow=X&product=TOTAL&year=2023&stated_by=self&reporter=KAZ&partner=CHN"
    found = get(rich, f"{TOTALS}?source=invented&{query}")["data"]
    lineage = next(total["lineage"] for total in found if total["classification"] is None)
    assert [row["value_usd"] for row in following(rich, lineage)] == [297]


def test_lineage_of_a_flow_without_period_is_that_flow(rich: TestClient) -> None:
    query = "group_by=year&classification=H6&flow=X&product=TOTAL&stated_by=self&reporter=KAZ&partner=CHN"
    found = get(rich, f"{TOTALS}?source=invented&{query}")["data"]
    lineage = next(total["lineage"] for total in found if total["year"] is None)
    assert [row["value_usd"] for row in following(rich, lineage)] == [1000]


def test_growth_needs_the_year_right_before(rich: TestClient) -> None:
    query = "group_by=year&growth=true&classification=H6&frequency=A&flow=X&product=TOTAL&stated_by=self&partner=CHN"
    found = get(rich, f"{TOTALS}?source=invented&{query}")["data"]
    assert [(total["year"], total["growth_percent"]) for total in found] == [(2020, None), (2022, None), (2023, 50)]


def test_growth_of_first_months_is_from_the_same_months(rich: TestClient) -> None:
    query = "group_by=year&growth=true&classification=H6&frequency=YTD&flow=X&product=TOTAL&stated_by=self"
    found = get(rich, f"{TOTALS}?source=invented&{query}")["data"]
    got = {total["period"]: total["growth_percent"] for total in found}
    change = pytest.approx(100 / 22)
    assert got == {
        **{"2022-01/2022-02": None, "2022-01/2022-06": None, "2023-01/2023-02": change, "2023-01/2023-06": change}
    }


def shares(client: TestClient, query: str, name: str) -> dict[Any, float] | None:
    """Give the shares of the invented dataset by a dimension; null where they are refused."""
    response = client.get(f"{TOTALS}?source=invented&{query}&group_by={name}&share={name}")
    if response.status_code == 422:
        return None
    return {total[name]: total["share_percent"] for total in response.json()["data"]}


def test_share_of_a_partner_is_of_the_partners_without_the_world(rich: TestClient) -> None:
    found = shares(rich, f"{EXPORTS}&reporter=KAZ", "partner")
    economies = {partner: found[partner] for partner in ("CHN", "RUS", "UZB")}
    assert economies == {partner: pytest.approx(100 * value / 180) for partner, value in
                         {"CHN": 100, "RUS": 50, "UZB": 30}.items()}  # fmt: skip


def test_share_of_a_flow_is_not_of_turnover_with_its_parts(rich: TestClient) -> None:
    found = shares(rich, f"{PLAIN}&product=TOTAL&reporter=KAZ&partner=CHN", "flow")
    assert found is None or found["total"] in (None, 100)


def test_share_of_a_source_is_not_of_two_sources_together(rich: TestClient) -> None:
    query = f"{EXPORTS}&reporter=KAZ&partner=CHN&source=invented-two&group_by=source&share=source"
    response = rich.get(f"{TOTALS}?source=invented&{query}")
    assert response.status_code == 422 or all(t["share_percent"] in (None, 100) for t in response.json()["data"])


@pytest.mark.parametrize("side", ["reporter", "partner"])
def test_share_of_a_side_is_not_of_turnover_that_both_sides_have(rich: TestClient, side: str) -> None:
    found = shares(rich, f"{PLAIN}&flow=total&country=KAZ", side)
    assert found is None or set(found.values()) == {None}


def test_share_is_of_something_the_sums_are_by(rich: TestClient) -> None:
    response = rich.get(f"{TOTALS}?group_by=year&share=partner")
    assert (response.status_code, response.json()["code"]) == (422, "KHG115")
