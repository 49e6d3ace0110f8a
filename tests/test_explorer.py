"""The explorer in a real Chromium: at three widths, by keyboard, without JavaScript, in both schemes, axe clean."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Workshop
from playwright.sync_api import Browser, Page, Response, sync_playwright
from test_http import served

PAGES = (
    "/",
    "/trade",
    "/trade?country=KAZ&year=2024",
    "/compare",
    "/compare?reporter=KAZ&partner=CHN&year=2024",
    "/projects",
    "/people",
    "/people/gulnar-shaimergenova",
    "/figures/at-2024-chn-kaz-total",
    "/sources",
    "/sources/astana-times-2025-06",
    "/search?q=railway",
)
REFUSED = {"/trade?country=Kazakstan": 422, "/figures/none": 404, "/people?nme=1": 422, "/?release=0": 422}
WIDTHS = (360, 820, 1440)
FIRST_PAINT = 100 * 1024
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a Chromium of this machine: the one that KHORGOS_TEST_BROWSER names, or one that is installed."""
    named = os.environ.get("KHORGOS_TEST_BROWSER")
    path = named or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: install one, or name it in KHORGOS_TEST_BROWSER")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def site(workshop: Workshop) -> Iterator[str]:
    """Give the address of a running service with the article's data."""
    with served(workshop.seeded("sqlite")) as (port, _):
        yield f"http://127.0.0.1:{port}"


@dataclass
class Seen:
    """What a browser met on a page."""

    page: Page
    errors: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def size(self, *kinds: str) -> int:
        """Give the bytes of the answers of these kinds."""
        return sum(len(one.body()) for one in self.answers if one.request.resource_type in kinds)


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Seen]]:
    """Open pages, each in a window of its own."""
    with contextmanager(windows)(browser, site) as opened:
        yield opened


def windows(browser: Browser, site: str) -> Iterator[Callable[..., Seen]]:
    """Give what opens a page; all windows are closed at the end."""
    contexts = []

    def opened(path: str, width: int = 1280, scripts: bool = True, wait: str = "load", **options: Any) -> Seen:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, base_url=site, **options
        )
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("requestfailed", lambda one: seen.errors.append(f"failed: {one.url}"))
        seen.page.on("request", lambda one: seen.hosts.add(urlsplit(one.url).netloc))
        seen.page.on("response", lambda one: seen.answers.append(one))
        seen.page.goto(path, wait_until=wait)
        return seen

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("path", PAGES)
def test_page_is_whole_at_each_width(visit: Callable[..., Seen], site: str, path: str) -> None:
    seen = visit(path, WIDTHS[0], wait="networkidle")
    assert seen.errors == []
    assert seen.hosts == {urlsplit(site).netloc}
    assert seen.answers[0].status == 200
    assert seen.size("document", "stylesheet", "script") < FIRST_PAINT
    for width in WIDTHS:
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"


@pytest.mark.parametrize(
    ("path", "width", "scheme"),
    [(path, *look) for path, look in zip([*PAGES, *REFUSED], cycle(((360, "dark"), (1440, "light"))), strict=False)],
)
def test_axe_finds_nothing(visit: Callable[..., Seen], path: str, width: int, scheme: str) -> None:
    found = Axe().run(visit(path, width, color_scheme=scheme).page, options=RULES)
    broken = {one["id"]: [node["html"][:200] for node in one["nodes"]] for one in found.response["violations"]}
    assert broken == {}


@pytest.mark.parametrize("path", PAGES)
def test_page_says_the_same_without_javascript(visit: Callable[..., Seen], path: str) -> None:
    plainly, fully = visit(path, scripts=False).page, visit(path).page
    for selector in ("h1", "h2", "td", "th", "blockquote"):
        assert plainly.locator(selector).all_text_contents() == fully.locator(selector).all_text_contents()
    assert plainly.locator("[data-copy]:visible").count() == 0


@pytest.mark.parametrize("path", PAGES)
def test_everything_is_reached_by_keyboard_and_seen(visit: Callable[..., Seen], path: str) -> None:
    page = visit(path).page
    stops = page.evaluate(
        "Array.from(document.querySelectorAll("
        "'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]'))"
        ".filter(one => one.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})"
        " && !one.disabled && !(one.type === 'radio')).length"
    )
    reached = 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(stops + 20):
        if page.evaluate("document.activeElement === document.body"):
            break
        drawn = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 })()"
        )
        assert drawn, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        reached += 1
        page.keyboard.press("Tab")
    assert reached >= stops


def test_skip_link_leads_to_the_content(visit: Callable[..., Seen]) -> None:
    page = visit("/").page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_search_is_asked_by_keyboard(visit: Callable[..., Seen]) -> None:
    page = visit("/").page
    page.get_by_label("Search countries").focus()
    page.keyboard.type("Khorgos")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=Khorgos")
    assert page.get_by_role("link", name="Khorgos dry port").count()


@pytest.mark.parametrize("path", PAGES)
def test_targets_are_large_enough_for_a_finger(visit: Callable[..., Seen], path: str) -> None:
    small = visit(path, 360).page.evaluate(
        "Array.from(document.querySelectorAll('button, input:not([type=hidden]), select, nav a, summary'))"
        ".filter(one => one.checkVisibility()).map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])"
        ".filter(([_, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"
    )
    assert small == []


@pytest.mark.parametrize(("path", "status"), REFUSED.items())
def test_what_is_wrong_is_a_page_that_says_so(visit: Callable[..., Seen], path: str, status: int) -> None:
    seen = visit(path)
    assert seen.answers[0].status == status
    assert seen.page.locator("h1").count() == 1


def test_table_has_the_rows_of_the_api(visit: Callable[..., Seen], site: str) -> None:
    page = visit("/trade").page
    page.get_by_label("Country, either side").fill("Kazakhstan")
    page.get_by_label("From year").fill("2024")
    page.get_by_label("To year").fill("2024")
    page.get_by_role("button", name="Show").click()
    page.wait_for_load_state("load")
    rows = httpx.get(site + str(page.get_by_test_id("api").get_attribute("href"))).json()["data"]
    assert rows
    shown = [cell.get_attribute("data-value") for cell in page.locator("table.flows [data-value]").all()]
    assert shown == [str(row["value_usd"]) for row in rows]


def test_curl_as_copied_gives_the_rows_of_the_table(visit: Callable[..., Seen]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    page = visit("/trade?country=KAZ&year=2024").page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("curl", exact=True).first.click()
    page.locator("[data-copy=code-curl]").click()
    command = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=30)
    shown = [cell.get_attribute("data-value") for cell in page.locator("table.flows [data-value]").all()]
    assert [str(row["value_usd"]) for row in json.loads(done.stdout)["data"]] == shown


@pytest.mark.parametrize("path", PAGES)
def test_policy_lets_in_nothing_but_our_own(site: str, path: str) -> None:
    answer = httpx.get(site + path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "data:" not in policy
    assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
    assert "<script>" not in answer.text and "<style" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_page_is_tagged_and_kept(site: str, path: str) -> None:
    first, second = httpx.get(site + path), httpx.get(site + path)
    assert first.content == second.content
    again = httpx.get(site + path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.head(site + path).headers["content-length"] == first.headers["content-length"]
