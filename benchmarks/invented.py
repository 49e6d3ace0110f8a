"""An invented world of trade: who trades what with whom, for how much, the same from both sides, by seed alone."""

import math
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
AREAS = HERE.parent / "seeds" / "reference" / "countries.yaml"
PRODUCTS = HERE / "hs2022.txt"
AREA = re.compile(r'iso3: ([A-Z]{3}), kind: economy,.*? comtrade_code: (\d+),.*? name: "?([^,"]+)')
AREA_COUNT = 200
BIGGEST = (
    "CHN", "KAZ", "USA", "UZB", "DEU", "RUS", "JPN", "KGZ", "GBR", "FRA",
    "IND", "KOR", "ITA", "TJK", "NLD", "TUR", "CHE", "CIV", "NOR", "TWN",
)  # fmt: skip
"""Largest traders first. Central Asia stands high, so that its pages are full in a small file too."""
NEVER_REPORT = ("TKM", "TWN", "PRK", "VAT", "ERI")
BIGGEST_PRODUCTS = ("270900", "854231", "271121", "870323", "260300", "710812", "851713", "520100", "100199", "740311")
UNITS = (("8", "kg"), ("8", "kg"), ("8", "kg"), ("5", "u"), ("-1", "N/A"))

MASK = 2**64 - 1
NOISE = 4096
NO_EXPORT, NO_IMPORT, NO_LINK = 15, 15, 30  # of 256: reported by one side only, or by none this year


@dataclass(frozen=True)
class Area:
    """A country by Comtrade's own number."""

    code: int
    iso3: str
    name: str

    @property
    def reports(self) -> bool:
        """Whether it has sent figures at all."""
        return self.iso3 not in NEVER_REPORT


@dataclass(frozen=True)
class Product:
    """A subheading: its share of the world's trade, US dollars a kilogram, unit of quantity."""

    code: str
    number: int
    weight: float
    price: float
    unit: tuple[str, str]


@dataclass(frozen=True)
class Market:
    """One side of a chapter: countries by falling weight, negative so that they can be bisected, and each one's own."""

    order: list[int]
    falling: list[float]
    weight: list[float]


@dataclass(frozen=True)
class Chapter:
    """A chapter of the Harmonized System with its products by falling weight and its sellers and buyers."""

    code: str
    products: list[Product]
    sellers: Market
    buyers: Market


Cell = dict[int, int]
"""Cents of one reporter, flow, product and year by partner's place in the list of areas."""
Cells = Iterator[tuple[Product, Cell]]


def read_areas(rng: random.Random, path: Path = AREAS) -> list[Area]:
    """Give the countries of the reference list, the largest traders first, the rest as the seed has it."""
    found = {iso3: Area(int(code), iso3, name) for iso3, code, name in AREA.findall(path.read_text(encoding="utf-8"))}
    first = [found.pop(iso3) for iso3 in BIGGEST]
    rest = list(found.values())
    rng.shuffle(rest)
    return [*first, *rest][:AREA_COUNT]


def read_products(rng: random.Random, path: Path = PRODUCTS) -> dict[str, list[Product]]:
    """Give the subheadings of HS 2022 by chapter, by falling weight."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    rest = [heading + end for heading, *ends in lines for end in ends]
    rest = [code for code in rest if code not in BIGGEST_PRODUCTS]
    rng.shuffle(rest)
    chapters: dict[str, list[Product]] = {}
    for rank, code in enumerate((*BIGGEST_PRODUCTS, *rest), 1):
        price = 20 * math.exp(1.5 * rng.gauss(0, 1))
        product = Product(code, rank, rank**-0.8, price, rng.choice(UNITS))
        chapters.setdefault(code[:2], []).append(product)
    return dict(sorted(chapters.items()))


def market(rng: random.Random, areas: list[Area]) -> Market:
    """Give the weights of countries on one side of a chapter: Zipf by rank, shaken."""
    weight = [rank**-0.9 * math.exp(0.7 * rng.gauss(0, 1)) for rank in range(1, len(areas) + 1)]
    order = sorted(range(len(areas)), key=lambda place: -weight[place])
    return Market(order, [-weight[place] for place in order], weight)


class World:
    """Trade of every pair of countries in every product that passes a threshold: the lower it is, the more rows."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.salt = rng.getrandbits(64) | 1
        self.areas = read_areas(rng)
        self.chapters = [
            Chapter(code, products, market(rng, self.areas), market(rng, self.areas))
            for code, products in read_products(rng).items()
        ]
        self.level = [math.exp(1.6 * rng.gauss(0, 1)) for _ in range(NOISE)]  # of a link, through the years
        self.swing = [math.exp(0.25 * rng.gauss(0, 1)) for _ in range(256)]  # of a link in one year
        self.freight = [rng.uniform(1.02, 1.10) if rng.random() < 0.93 else rng.uniform(1.2, 3) for _ in range(256)]
        self.threshold = 1.0

    @cached_property
    def reporters(self) -> list[int]:
        """Places of the countries that report, by their number."""
        return sorted(
            (place for place, area in enumerate(self.areas) if area.reports), key=lambda place: self.areas[place].code
        )

    def wanted(self, chapter: Chapter, reporter: int, exports: bool) -> Iterator[tuple[Product, list[int]]]:
        """Give each product that the reporter trades in a chapter, with the partners that pass the threshold."""
        own, other = (chapter.sellers, chapter.buyers) if exports else (chapter.buyers, chapter.sellers)
        needed = self.threshold / own.weight[reporter]
        for product in chapter.products:
            count = bisect_right(other.falling, -needed / product.weight)
            if not count:
                return
            yield product, other.order[:count]

    def cells(self, chapter: Chapter, reporter: int, year: int, exports: bool) -> Cells:
        """Give the reporter's products of a chapter by code, with cents by partner; the mirror sees nearly the same."""
        own, other = (chapter.sellers, chapter.buyers) if exports else (chapter.buyers, chapter.sellers)
        silent = NO_EXPORT if exports else NO_IMPORT
        shift = 8 if exports else 16
        level, swing, freight, weights = self.level, self.swing, self.freight, other.weight
        salt = (self.salt * year) & MASK
        for product, partners in sorted(self.wanted(chapter, reporter, exports), key=lambda pair: pair[0].code):
            scale = 2e12 * own.weight[reporter] * product.weight * 1.04 ** (year - 2014)
            cell: Cell = {}
            for partner in partners:
                seller, buyer = (reporter, partner) if exports else (partner, reporter)
                link = (product.number * 256 + seller) * 256 + buyer
                bits = ((link + salt) * 0x9E3779B97F4A7C15) & MASK
                bits = ((bits ^ bits >> 29) * 0xBF58476D1CE4E5B9) & MASK
                bits ^= bits >> 32
                if bits & 255 < NO_LINK or bits >> shift & 255 < silent or (seller == buyer and (exports or seller)):
                    continue
                cents = scale * weights[partner] * level[link * 2654435761 >> 7 & 4095] * swing[bits >> 24 & 255]
                if not exports:
                    cents *= freight[bits >> 40 & 255]
                cell[partner] = int(cents) + 1 if bits >> 48 & 3 else (int(cents) // 100 + 1) * 100
            if cell:
                yield product, cell

    def count(self, reporters: list[int], both: bool) -> int:
        """Estimate the rows of a year before the levels above the products, or the exports alone: what BACI has."""
        found = (
            len(partners)
            for reporter in reporters
            for exports in ((True, False) if both else (True,))
            for chapter in self.chapters
            for _, partners in self.wanted(chapter, reporter, exports)
        )
        return int(sum(found) * (1 - NO_LINK / 256) * (1 - NO_EXPORT / 256))

    def fit(self, rows: int, count: Callable[[], int], measure: Callable[[], int]) -> None:
        """Set the threshold at which a year has somewhat more rows than asked: a quick count, mended by `measure`."""
        wanted = rows / 3
        for _ in range(3):
            self.threshold = 100.0
            while count() < wanted:
                self.threshold /= 1.5
            low, high = self.threshold, self.threshold * 1.5
            while high / low > 1.01:
                self.threshold = math.sqrt(low * high)
                low, high = (self.threshold, high) if count() >= wanted else (low, self.threshold)
            self.threshold = low
            found = measure()
            if rows <= found < rows * 1.04:
                return
            wanted *= rows * 1.015 / found
