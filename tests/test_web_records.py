"""The pages of records show what /v1 answers: projects, people, receipts, sources, search; and lead to each other."""

import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from conftest import NOW, Workshop, serve
from starlette.testclient import TestClient
from tiny import write

from app.ingest.seeds import seed
from app.main import create_app
from app.settings import Settings
from app.web import figures, words

ARTICLE = "astana-times-2025-06"
PAGES = (
    "/projects",
    "/projects?country=KAZ&kind=highway",
    "/people",
    "/people?topic=trade",
    "/people/gulnar-shaimergenova",
    "/people/zhadyra-assetkyzy?topic=dependence",
    "/people/xi-jinping",
    "/figures/at-2024-chn-kaz-total",
    "/figures/at-jan-apr-months",
    "/figures/at-portfolio-jobs",
    "/figures/at-2013-xi-visit-year",
    "/figures/at-2024-kaz-chn-total",
    "/sources",
    f"/sources/{ARTICLE}",
    "/sources/country-codes",
    "/search",
    "/search?q=railway",
    "/search?q=kazakhstan&record=checks,projects,figures,quotes,risks,project_portfolios",
    "/search?q=nothingofthekind",
)
EVIL = "<script>alert('x')</script>"
"""What would run where a page did not escape it."""
MANY = 230
"""Figures of the second article: three pages."""


class Shown(HTMLParser):
    """What a page has: its links, ids, headings and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.levels: list[int] = []
        self.tags: list[str] = []
        self.styled = False
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.styled = self.styled or "style" in found
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))

    def handle_data(self, data: str) -> None:
        self.text += data


def article() -> str:
    """Give a second article: hostile names, a web address, more figures than a page has, two who differ."""
    spoken: dict[str, Any] = {"topics": ["tolls"], "section": None, "continues": None, "speaker_basis": "stated"}
    told = [f"made {number + 1} jobs - {EVIL}" for number in range(MANY)]
    return json.dumps(
        {
            "sources": [
                {
                    **{"slug": "second", "kind": "article", "title": f"Second {EVIL}", "publisher": f"Paper {EVIL}"},
                    **{"language": "en", "url": "https://example.org/a-page#top", "note": EVIL},
                },
                {
                    **{"slug": "tricky", "kind": "article", "title": "Tricky", "publisher": "Trick"},
                    **{"language": "en", "url": "javascript:alert(1)"},
                },
            ],
            "figures": [
                {
                    **{"id": f"second-{number}", "as_stated": f"{number + 1} jobs", "value": number + 1},
                    **{"unit": "jobs", "qualifier": "exact", "exact": exact},
                    **{"start": 100 * number, "end": 100 * number + len(exact)},
                    **{"source": "tricky" if number == MANY - 1 else "second"},
                }
                for number, exact in enumerate(told)
            ],
            "topics": [{"slug": "tolls", "name": f"Tolls {EVIL}", "summary": EVIL}],
            "experts": [
                {"slug": "ann", "name": f"Ann {EVIL}", "role": "expert", "title": EVIL, "source": "second"},
                {"slug": "bob", "name": "Bob", "role": "official", "source": "second"},
            ],
            "quotes": [
                {
                    **{"id": "q-ann", "expert": "ann", "kind": "direct", "text": f"Tolls help {EVIL}"},
                    **{
                        "exact": f"Tolls help {EVIL}",
                        "start": 150,
                        "end": 150 + len(f"Tolls help {EVIL}"),
                        "source": "second",
                        **spoken,
                    },
                },
                {
                    **{"id": "q-bob", "expert": "bob", "kind": "paraphrase", "text": "He sees harm in tolls."},
                    **{"exact": "tolls do harm", "start": 15050, "end": 15063, "source": "second", **spoken},
                },
            ],
            "projects": [
                {
                    **{"slug": "toll-road", "name": f"Toll road {EVIL}", "kind": "highway", "status": "planned"},
                    **{"countries": ["KAZ"], "summary": EVIL, "note": EVIL, "aliases": [EVIL], "source": "second"},
                    **{"value_usd": 5, "jobs": 7},
                }
            ],
        }
    )


@pytest.fixture(scope="module")
def plain(workshop: Workshop) -> Iterator[TestClient]:
    """Give a client of the article's data."""
    with serve(workshop.seeded("sqlite")) as client:
        yield client


@pytest.fixture(scope="module")
def wide(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Give a client of a database that has the second article too, as its fourth release."""
    database = workshop.copy("sqlite")
    folder = tmp_path_factory.mktemp("seeds")
    write(folder / "second", article(), "second.yaml")
    seed(database, folder, now=NOW)
    with serve(database) as client:
        yield client
    workshop.remove(database)


def data(client: TestClient, path: str) -> Any:
    return client.get(path).json()["data"]


def shown(client: TestClient, path: str, status: int = 200) -> Shown:
    answer = client.get(path)
    assert answer.status_code == status, path
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Shown(answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_to_what_it_names(plain: TestClient, path: str) -> None:
    targets: dict[str, Shown | None] = {}
    for link in sorted(set(shown(plain, path).links)):
        if re.match("https?:", link):
            continue
        address, fragment = urldefrag(urljoin(f"http://testserver{path}", link))
        if address not in targets:
            answer = plain.get(address)
            assert answer.status_code == 200, link
            targets[address] = Shown(answer.text) if "html" in answer.headers["content-type"] else None
        if fragment and (target := targets[address]):
            assert unquote(fragment) in target.ids, link


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_ids_once_and_headings_in_order_and_nothing_inline(plain: TestClient, path: str) -> None:
    page = shown(plain, path)
    assert len(page.ids) == len(set(page.ids))
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.levels, page.levels[1:], strict=False))
    assert page.tags.count("script") == 1
    assert "style" not in page.tags
    assert not page.styled


@pytest.mark.parametrize("path", ("/projects", "/people", "/figures/at-2024-chn-kaz-total", "/sources", "/search"))
def test_an_unknown_parameter_is_refused_with_what_was_meant(plain: TestClient, path: str) -> None:
    page = shown(plain, f"{path}?releas=1", 422)
    assert "unknown parameter" in page.text
    assert "release" in page.text


@pytest.mark.parametrize("path", ("/people/nobody", "/figures/none", "/sources/nowhere"))
def test_what_is_not_there_is_404(plain: TestClient, path: str) -> None:
    assert "404" in shown(plain, path, 404).text


def test_a_page_is_of_the_release_that_is_asked(wide: TestClient) -> None:
    assert "toll-road" in shown(wide, "/projects").ids
    page = shown(wide, "/projects?release=3")
    assert "toll-road" not in page.ids
    pinned = [link for link in page.links if link.startswith(("/projects", "/figures", "/sources"))]
    assert pinned
    assert all(
        "release=3" in link for link in pinned if "#status" not in link and link not in ("/projects", "/sources")
    )
    shown(wide, "/figures/second-1?release=3", 404)
    shown(wide, "/people/ann?release=3", 404)
    assert wide.get("/projects?release=3").headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "path",
    (
        *("/projects", "/people", "/people?topic=tolls", "/people/ann", "/figures/second-1", "/sources"),
        *("/sources/second", "/search?q=script", "/search?q=%3Cscript%3E", "/projects?country=%3Cscript%3E"),
    ),
)
def test_hostile_words_are_shown_and_do_not_run(wide: TestClient, path: str) -> None:
    answer = wide.get(path)
    assert EVIL not in answer.text
    assert Shown(answer.text).tags.count("script") == 1
    assert "<script>" in Shown(answer.text).text


def test_a_link_leads_to_the_web_or_nowhere(wide: TestClient) -> None:
    last = f"/figures/second-{MANY - 1}"
    for path in ("/sources/tricky", last):
        assert not [link for link in shown(wide, path).links if link.startswith("javascript")]
    assert "no link to its page" in shown(wide, last).text


def test_a_receipt_opens_the_publisher_at_the_words(wide: TestClient) -> None:
    links = [link for link in shown(wide, "/figures/second-1").links if link.startswith("https:")]
    assert links == [words.to_words("https://example.org/a-page", f"made 2 jobs - {EVIL}")]
    assert links[0].startswith("https://example.org/a-page#:~:text=made%202%20jobs%20%2D%20")


def test_projects_are_those_of_the_list(plain: TestClient) -> None:
    listed = data(plain, "/v1/projects")
    page = shown(plain, "/projects")
    assert {row["slug"] for row in listed} <= set(page.ids)
    for row in listed:
        assert row["name"] in page.text
        assert row["summary"] in page.text
        for item in row["evidence"]:
            assert item["exact"] in page.text
            assert f"characters {item['start']:,} to {item['end']:,}" in page.text
    for row in data(plain, "/v1/projects/portfolios"):
        assert row["slug"] in page.ids
        assert {f"/figures/{item['figure']}" for item in row["evidence"] if item["figure"]} <= set(page.links)


def test_filters_of_projects_narrow_as_those_of_the_list(plain: TestClient) -> None:
    every = {row["slug"] for row in data(plain, "/v1/projects")}
    for query in (
        "status=operational",
        "kind=railway",
        "country=uzbekistan",
        "programme=BRI",
        "country=KAZ&kind=highway",
    ):
        kept = {row["slug"] for row in data(plain, f"/v1/projects?{query}")}
        assert every & set(shown(plain, f"/projects?{query}").ids) == kept, query


def test_a_wrong_filter_of_projects_is_said_with_what_was_meant(plain: TestClient) -> None:
    for wrong, right in (("status=operationl", "status=operational"), ("country=Kazakstan", "country=Kazakhstan")):
        page = shown(plain, f"/projects?{wrong}", 422)
        assert f"/projects?{right}" in page.links
        assert not [id for id in page.ids if id.startswith("name-")]


def test_an_empty_list_of_projects_says_why(plain: TestClient) -> None:
    page = shown(plain, "/projects?status=planned")
    assert "No project is named with status planned" in page.text
    assert "/projects?status=operational" in page.links


def test_a_project_with_no_words_shows_its_value_without_a_receipt(wide: TestClient) -> None:
    page = wide.get("/projects?status=planned").text
    assert re.search(r'<span class="amount"[^>]*>\$5</span>', page)
    assert "<dd>7</dd>" in page


def test_people_who_speak_of_one_topic_stand_side_by_side(wide: TestClient) -> None:
    page = html.unescape(wide.get("/people?topic=tolls").text)
    assert page.count('class="voice"') == 2
    assert f"“Tolls help {EVIL}”" in page
    assert "“He sees harm" not in page
    assert "in our words</span> He sees harm in tolls." in page
    assert "<span>tolls do harm</span>" in page


def test_quotation_marks_are_of_direct_quotes_only(plain: TestClient) -> None:
    for slug in ("gulnar-shaimergenova", "zhadyra-assetkyzy", "alibek-kuantyrov"):
        text = shown(plain, f"/people/{slug}").text
        for quote in data(plain, f"/v1/quotes?expert={slug}"):
            assert quote["text"] in text
            assert quote["exact"] in text
            assert (f"“{quote['text']}”" in text) == (quote["kind"] == "direct")


def test_a_person_has_every_quote_once_and_the_figures_they_stated(plain: TestClient) -> None:
    page = shown(plain, "/people/alibek-kuantyrov")
    quotes = [row["id"] for row in data(plain, "/v1/quotes?expert=alibek-kuantyrov")]
    assert [id for id in page.ids if id.startswith("q-")] == quotes
    stated = [row["id"] for row in data(plain, "/v1/figures?stated_by=alibek-kuantyrov")]
    assert {f"/figures/{id}" for id in stated} <= set(page.links)


@pytest.mark.parametrize(
    "id", ("at-2024-chn-kaz-total", "at-2024-kaz-chn-total", "at-portfolio-value", "at-kaz-chn-rank")
)
def test_a_receipt_is_what_v1_has(plain: TestClient, id: str) -> None:
    figure = data(plain, f"/v1/figures/{id}")
    answer = plain.get(f"/figures/{id}")
    page = Shown(answer.text)
    assert f"<mark>{html.escape(figure['as_stated'])}</mark>" in answer.text
    assert figure["exact"] in page.text
    assert f"characters {figure['start']:,} to {figure['end']:,}" in page.text
    assert figure["citation"]["text"] in page.text
    assert figure["citation"]["bibtex"] in page.text
    assert (figure["stated_by_name"] or "in its own voice") in page.text
    for check in data(plain, "/v1/checks"):
        assert (check["title"] in page.text) == (id in {one["id"] for one in check["figures"]})


def test_a_receipt_names_all_that_rests_on_it(plain: TestClient) -> None:
    for row in data(plain, f"/v1/figures?source={ARTICLE}&limit=1000"):
        figure = data(plain, f"/v1/figures/{row['id']}")
        page = plain.get(f"/figures/{row['id']}").text
        rests = re.search(r'<ul class="rests">(.*?)</ul>', page, re.DOTALL)
        records = {(one["record"], one["key"]) for one in figure["supports"]}
        assert (rests[1].count("<li>") if rests else 0) == len(records)
        assert not rests or rests[1].count("<a ") >= len(records)


def test_every_kind_of_record_that_rests_on_a_figure_has_a_name(plain: TestClient) -> None:
    kinds = {
        one["record"]
        for row in data(plain, f"/v1/figures?source={ARTICLE}&limit=1000")
        for one in data(plain, f"/v1/figures/{row['id']}")["supports"]
    }
    assert kinds - {"observations"} <= set(figures.KINDS)


@pytest.mark.parametrize(
    ("period", "told"),
    (
        ("2025-01/2025-04", "January to April 2025"),
        ("--01/--04", "January to April of a year that is not stated"),
        ("--06", "June of a year that is not stated"),
        ("2024-Q1", "first quarter of 2024"),
    ),
)
def test_a_period_is_put_into_words(period: str, told: str) -> None:
    assert words.period(period) == told


@pytest.mark.parametrize(
    ("given", "told"),
    (
        ((43_815, 43_825, "jobs"), "from 43,815 to 43,825 jobs"),
        ((2013, 2013, "year"), "2013 and nothing else"),
        ((10**9, None, "USD"), "at least 1,000,000,000 US dollars"),
        ((None, 13.5, "percent"), "at most 13.5 percent"),
        ((None, None, "tons"), "open on both sides"),
    ),
)
def test_an_interval_is_put_into_words(given: tuple[Any, ...], told: str) -> None:
    assert words.interval(dict(zip(("lower", "upper", "unit"), given, strict=True))) == told


def test_a_source_is_read_in_the_order_of_its_text(plain: TestClient) -> None:
    listed = data(plain, f"/v1/sources/{ARTICLE}")
    order = sorted(
        [
            *((one["start"], 1, one["id"]) for one in listed["figures"]),
            *((one["start"], 0, one["id"]) for one in listed["quotes"]),
        ]
    )
    page = shown(plain, f"/sources/{ARTICLE}")
    ids = [id for id in page.ids if id.startswith(("at-", "q-"))]
    assert ids == [id for *_, id in order]
    assert listed["sha256"] in page.text
    assert "khorgos verify --text FILE" in page.text


def test_a_long_source_has_pages_that_leave_nothing_out(wide: TestClient) -> None:
    path: str | None = "/sources/second"
    seen: list[str] = []
    pages = 0
    while path:
        page = shown(wide, path)
        seen += [id for id in page.ids if id.startswith(("second-", "q-"))]
        path = next((link for link in page.links if "cursor=" in link), None)
        pages += 1
    every = [f"second-{number}" for number in range(MANY - 1)]
    assert pages == 3
    assert [id for id in seen if id.startswith("second-")] == every
    assert [id for id in seen if id.startswith("q-")] == ["q-ann", "q-bob"]
    assert seen.index("q-ann") == seen.index("second-1") + 1


def test_sources_say_how_much_they_hold(plain: TestClient) -> None:
    text = " ".join(shown(plain, "/sources").text.split())
    assert "49 figures 26 quotes 17 trade flows" in text
    for row in data(plain, "/v1/sources"):
        assert row["title"] in text
        assert row["sha256"][:12] in text


def test_search_shows_what_v1_finds_in_its_order(plain: TestClient) -> None:
    found = plain.get("/v1/search?q=railway&limit=50").json()
    page = plain.get("/search?q=railway").text
    titles = re.findall(r"<h3><a[^>]*>(.*?)</a></h3>", page, re.DOTALL)
    assert len(titles) == len(found["data"]) == found["meta"]["total"]
    for row, title in zip(found["data"], titles, strict=True):
        if row["record"] != "quotes":
            assert html.unescape(re.sub("<[^>]*>", "", title)).strip() == row["title"]
    assert "<mark>railway</mark>" in page


def test_search_has_pages_and_kinds(plain: TestClient) -> None:
    total = plain.get("/v1/search?q=copper&count=true").json()["meta"]["total"]
    path: str | None = "/search?q=copper"
    shown_titles = 0
    while path:
        page = plain.get(path).text
        shown_titles += len(re.findall(r"<h3><a", page))
        path = next((link for link in Shown(page).links if "cursor=" in link), None)
    assert shown_titles == total > 50
    assert len(re.findall("<h3><a", plain.get("/search?q=railway&record=quotes").text)) == 2


def test_a_search_for_nothing_helps(plain: TestClient) -> None:
    for path in ("/search", "/search?q=", "/search?q=+"):
        assert "What you can ask" in shown(plain, path).text


def test_a_search_that_finds_nothing_says_so(plain: TestClient) -> None:
    assert "Nothing has this word" in shown(plain, "/search?q=nothingofthekind").text
    assert "No result with record events" in shown(plain, "/search?q=copper&record=events").text
    shown(plain, "/search?q=%21", 422)
    shown(plain, "/search?q=copper&record=evnts", 422)


def test_a_search_in_quotes_says_who_and_how(plain: TestClient) -> None:
    page = shown(plain, "/search?q=railway&record=quotes")
    assert "Zhadyra Assetkyzy" in page.text
    assert "/people/zhadyra-assetkyzy#q-assetkyzy-cku" in page.links
    assert "in our words" in page.text


def test_pages_carry_the_prefix_of_a_proxy(workshop: Workshop) -> None:
    settings = Settings(database_url=workshop.seeded("sqlite").settings.database_url, release_ttl=0, root_path="/data")
    with TestClient(create_app(settings)) as client:
        for path in ("/projects", "/people", "/figures/at-2024-chn-kaz-total", "/sources", "/search?q=railway"):
            links = [link for link in Shown(client.get(path).text).links if link.startswith("/")]
            assert [link for link in links if not link.startswith("/data/")] == []
