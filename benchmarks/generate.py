"""Writes invented trade files in the true form of UN Comtrade and CEPII BACI, of any size, the same for the same seed.

    python benchmarks/generate.py comtrade OUT.csv --rows 1000000 --seed 1
    python benchmarks/generate.py baci OUT.csv --rows 1000000 --seed 1 --year 2022 --codes DIR

Every row is invented: countries, products and the form are true, no value, weight or link is. UN Comtrade's own rows
may not be redistributed. Natural keys occur once. World rows are the sum of their partners; products add up to their
headings, chapters and TOTAL, the last reporter apart, whose rows end where the file is full. Revisions move money
between two partners of a row, so that World still holds; bad rows break what they break.
"""

import argparse
import csv
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from invented import Cell, Product, World

HEADER = (
    "typeCode,freqCode,refPeriodId,refYear,refMonth,period,reporterCode,reporterISO,reporterDesc,flowCode,flowDesc,"
    "partnerCode,partnerISO,partnerDesc,partner2Code,partner2ISO,partner2Desc,classificationCode,"
    "classificationSearchCode,isOriginalClassification,cmdCode,cmdDesc,aggrLevel,isLeaf,customsCode,customsDesc,mosCode,"
    "motCode,motDesc,qtyUnitCode,qtyUnitAbbr,qty,isQtyEstimated,altQtyUnitCode,altQtyUnitAbbr,altQty,isAltQtyEstimated,"
    "netWgt,isNetWgtEstimated,grossWgt,isGrossWgtEstimated,cifvalue,fobvalue,primaryValue,legacyEstimationFlag,"
    "isReported,isAggregate\n"
)
WORLD = '"0","W00","World",'
WHOLE = '"0","TOTAL MOT",'
WAYS = ('"1000","Air",', '"2000","Water",')
TRUE_ISO = {490: "S19"}
NAMES = HEADER.rstrip("\n").split(",")


@dataclass
class Faults:
    """Revisions and bad rows, each kind in turn."""

    revised: float = 0.0
    bad: float = 0.0
    revisions: random.Random = field(default_factory=random.Random)
    draws: random.Random = field(default_factory=random.Random)
    spoilt: int = 0

    def revise(self, values: list[tuple[int, int]]) -> None:
        """Move money between neighbours among the partners, so that the sum stays."""
        for first in range(0, len(values) - 1, 2):
            if self.revisions.random() < self.revised:
                (one, have), (two, has) = values[first], values[first + 1]
                moved = max(1, int(have * self.revisions.uniform(0.01, 0.3)))
                if moved < have:
                    values[first : first + 2] = [(one, have - moved), (two, has + moved)]

    def spoil(self, line: str) -> str:
        """Give a line broken in the next of the ways."""
        fields = next(csv.reader([line]))
        ways = list(SPOILT)
        changes = SPOILT[ways[self.spoilt % len(ways)]]
        self.spoilt += 1
        for name, value in changes.items():
            if name != "fields":
                fields[NAMES.index(name)] = value
        text = ",".join(f'"{one}"' if one else "" for one in fields) + "\n"
        return text if "fields" not in changes else ",".join(text.split(",")[: int(changes["fields"])]) + "\n"


SPOILT = {
    "unknown country": {"partnerCode": "9999", "partnerISO": "X99", "partnerDesc": "Nowhere"},
    "negative value": {"primaryValue": "-1250.5", "cifvalue": "", "fobvalue": ""},
    "not a number": {"primaryValue": "NaN", "cifvalue": "", "fobvalue": ""},
    "no value": {"primaryValue": "", "cifvalue": "", "fobvalue": ""},
    "wrong length of the product": {"cmdCode": "85423", "aggrLevel": "6"},
    "year 0": {"refPeriodId": "0", "refYear": "0", "period": "0"},
    "too few fields": {"fields": "40"},
    "unknown flow": {"flowCode": "ZZ", "flowDesc": "Unheard of"},
}


class Full(Exception):
    """The file has all its rows."""


class Sheet:
    """A file that takes so many lines and no more."""

    def __init__(self, file: IO[bytes], rows: int, faults: Faults) -> None:
        self.file, self.left, self.faults = file, rows, faults
        self._lines: list[str] = []

    def add(self, lines: list[str]) -> None:
        """Take lines; spoil some. Raises Full."""
        if self.faults.bad:
            lines = [
                self.faults.spoil(line) if self.faults.draws.random() < self.faults.bad else line for line in lines
            ]
        self._lines += lines
        self.left -= len(lines)
        if self.left <= 0:
            raise Full
        if len(self._lines) > 20_000:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        self.file.write("".join(self._lines).encode("latin-1"))
        self._lines.clear()


@dataclass(frozen=True)
class Commodity:
    """What a row says of its product, with the whole transport or a way of it, and how its weight is guessed."""

    text: str
    level: int
    price: float  # US dollars a kilogram
    unit: tuple[str, str]


def commodity(code: str, edition: str, product: Product | None) -> Commodity:
    """Describe a product of any level; only the 6-digit ones have a unit."""
    level = 0 if code == "TOTAL" else len(code)
    said = (
        "All Commodities" if not level else f"Goods of {code}; invented, n.e.s. in chapter {code[:2]}, other than parts"
    )
    leaf, mode = "true" if level == 6 else "false", "0 " if edition == "H5" else "0"  # as in the true files
    text = f'"0","W00","World","{edition}","HS","true","{code}","{said}","{level}","{leaf}","C00","TOTAL CPC","{mode}",'
    return Commodity(text, level, product.price if product else 9.0, product.unit if product else ("-1", "N/A"))


class Comtrade:
    """Writes reporters' years as Comtrade has them."""

    def __init__(self, world: World, sheet: Sheet, parts: float) -> None:
        self.world, self.sheet = world, sheet
        self.parts = int(parts * 1024)
        self.partners = [f'"{area.code}","{TRUE_ISO.get(area.code, area.iso3)}","{area.name}",' for area in world.areas]
        self._known: dict[tuple[str, str], Commodity] = {}

    def commodity(self, code: str, edition: str, product: Product | None = None) -> Commodity:
        """Describe a product, once."""
        found = self._known.get((code, edition))
        if found is None:
            found = self._known[code, edition] = commodity(code, edition, product)
        return found

    def write(self, reporter: int, year: int, exports: bool) -> None:
        """Write one side of a reporter's year, from the subheadings up to TOTAL."""
        # Countries come to a new edition late.
        edition = "H6" if year >= 2022 + reporter % 3 // 2 else "H5"
        area = self.world.areas[reporter]
        flow = '"X","Export",' if exports else '"M","Import",'
        start = f'"C","A","{year}0101","{year}","52","{year}","{area.code}","{area.iso3}","{area.name}",{flow}'
        total: Cell = {}
        for chapter in self.world.chapters:
            sums: dict[str, Cell] = {}
            for product, cell in self.world.cells(chapter, reporter, year, exports):
                self.cell(start, self.commodity(product.code, edition, product), cell, exports)
                heading = sums.setdefault(product.code[:4], {})
                for partner, cents in cell.items():
                    heading[partner] = heading.get(partner, 0) + cents
            whole: Cell = {}
            for code, cell in sums.items():
                self.cell(start, self.commodity(code, edition), cell, exports)
                add(whole, cell)
            if whole:
                self.cell(start, self.commodity(chapter.code, edition), whole, exports)
                add(total, whole)
        if total:
            self.cell(start, self.commodity("TOTAL", edition), total, exports)

    def cell(self, start: str, what: Commodity, cell: Cell, exports: bool) -> None:
        """Write the world's row and its partners', and the parts of some by transport."""
        values = sorted(cell.items())
        left = self.sheet.left
        if left <= len(values):
            values = values[: left - 1]
        elif left == len(values) + 2 and len(values) > 1:
            values.pop()  # else one row would be left, and a world needs a partner
        if self.sheet.faults.revised:
            self.sheet.faults.revise(values)
        lines = [""]
        parts: list[str] = []
        left -= len(values) + 1
        weights = 0
        for partner, cents in values:
            weight, text = measures(what, cents, partner, exports)
            weights += weight
            lines.append(f"{start}{self.partners[partner]}{what.text}{WHOLE}{text}")
            split = what.level == 6 and (cents * 40503 >> 4 & 1023) < self.parts
            if split and cents > 1 and left - len(parts) not in (0, 1, 3):
                parts += self.split(f"{start}{self.partners[partner]}{what.text}", what, cents, partner, exports)
        _, text = measures(what, sum(cents for _, cents in values), 0, exports, weights)
        lines[0] = f"{start}{WORLD}{what.text}{WHOLE}{text}"
        self.sheet.add(lines + parts)

    def split(self, start: str, what: Commodity, cents: int, partner: int, exports: bool) -> Iterator[str]:
        """Give the two rows by transport that make up a partner's."""
        for way, part in zip(WAYS, (cents // 3, cents - cents // 3), strict=True):
            yield f"{start}{way}{measures(what, part, partner, exports)[1]}"


def add(whole: Cell, cell: Cell) -> None:
    """Add a product to the level above it."""
    for partner, cents in cell.items():
        whole[partner] = whole.get(partner, 0) + cents


def measures(what: Commodity, cents: int, partner: int, exports: bool, weight: int | None = None) -> tuple[int, str]:
    """Give the weight in kilograms, 0 where it is blank, and the end of the row: quantity, weights, values, flags."""
    odd = (cents * 2654435761 + partner * 97) >> 9 & 1023
    value = repr(cents / 100) if cents % 100 else str(cents // 100)
    unit, short = what.unit
    kilograms = int(cents / (100 * what.price) * (0.7 + odd / 1700)) if weight is None else weight
    if odd < 102 and weight is None:
        kilograms = 0
    quantity = "0" if odd & 2 else ""
    if unit == "8" and kilograms:
        quantity = str(kilograms)
    elif unit == "5" and odd & 1:
        quantity = str(1 + cents // 4000)
    else:
        unit, short = "-1", "N/A"
    amount = f'"{quantity}"' if quantity else ""
    guessed = odd & 12 == 0 and kilograms
    fraction = f".{odd}".rstrip("0") if odd & 16 and weight is None and 99 < odd < 1000 else ""
    net = f'"{kilograms}{fraction}"' if kilograms else ""
    reported = what.level == 6 and odd & 240 != 240
    values = f',"{value}"' if exports else f'"{value}",'
    measured = f'"{unit}","{short}",{amount},"false",'
    weighed = f'{net},"{"true" if guessed else "false"}",,"false",{values},"{value}","{4 if guessed else 0}",'
    flags = '"true","false",\n' if reported else '"false","true",\n' if what.level < 6 else '"false","false",\n'
    return kilograms, f"{measured}{measured}{weighed}{flags}"


def write_comtrade(args: argparse.Namespace) -> None:
    """Write a Comtrade file."""
    first, _, last = args.years.partition("-")
    years = range(int(first), int(last or first) + 1)
    world = World(args.seed)
    world.fit(
        -(-args.rows // len(years)),
        lambda: world.count(world.reporters, True),
        lambda: count_year(world, years[len(years) // 2], args.breakdowns),
    )
    while True:
        faults = Faults(
            args.revise_share, args.bad_share, random.Random(args.revise_seed), random.Random(f"bad {args.seed}")
        )
        with Path(args.out).open("wb") as file:
            file.write(HEADER.encode())
            sheet = Sheet(file, args.rows, faults)
            comtrade = Comtrade(world, sheet, args.breakdowns)
            try:
                for year in years:
                    for reporter in world.reporters:
                        for exports in (False, True):
                            comtrade.write(reporter, year, exports)
            except Full:
                sheet.flush()
                return
        world.threshold *= 0.97  # years differ a little


def count_year(world: World, year: int, parts: float) -> int:
    """Count the rows of a year without writing them."""
    rows = 0.0
    for reporter in world.reporters:
        for exports in (False, True):
            partners: dict[str, set[int]] = {}
            for chapter in world.chapters:
                for product, cell in world.cells(chapter, reporter, year, exports):
                    rows += len(cell) * (1 + 2 * parts) + 1
                    for level in (product.code[:4], product.code[:2], ""):
                        partners.setdefault(level, set()).update(cell)
            rows += sum(len(found) + 1 for found in partners.values())
    return int(rows)


def write_baci(args: argparse.Namespace) -> None:
    """Write a BACI file of one year: thousand US dollars, tons, product codes without their leading zero."""
    world = World(args.seed)
    everyone = sorted(range(len(world.areas)), key=lambda place: world.areas[place].code)
    world.fit(
        args.rows,
        lambda: world.count(everyone, False),
        lambda: sum(1 for exporter in everyone for _ in pairs(world, exporter, args.year)),
    )
    while True:
        left = args.rows
        with Path(args.out).open("wb") as file:
            file.write(b"t,i,j,k,v,q\n")
            for exporter in everyone:
                lines = list(pairs(world, exporter, args.year))[:left]
                file.write("".join(lines).encode())
                left -= len(lines)
        if not left:
            break
        world.threshold *= 0.97
    if args.codes:
        write_codes(world, Path(args.codes))


def pairs(world: World, exporter: int, year: int) -> Iterator[str]:
    """Give an exporter's rows by product and importer."""
    code = world.areas[exporter].code
    for chapter in world.chapters:
        for product, cell in world.cells(chapter, exporter, year, True):
            for importer, cents in sorted(cell.items()):
                tons = f"{cents / (100_000 * product.price):.3f}" if cents * 40503 >> 5 & 63 else "           NA"
                yield f"{year},{code},{world.areas[importer].code},{int(product.code)},{cents / 100_000:.3f},{tons}\n"


def write_codes(world: World, folder: Path) -> None:
    """Write BACI's two code tables."""
    folder.mkdir(parents=True, exist_ok=True)
    areas = io.StringIO()
    table = csv.writer(areas, lineterminator="\n")
    table.writerow(("country_code", "country_name", "country_iso2", "country_iso3"))
    table.writerows(
        (area.code, area.name, area.iso3[:2], area.iso3) for area in sorted(world.areas, key=lambda a: a.code)
    )
    (folder / "country_codes_V202401.csv").write_text(areas.getvalue(), encoding="utf-8")
    codes = sorted(product.code for chapter in world.chapters for product in chapter.products)
    lines = "".join(f'{code},"Goods of {code}; invented, n.e.s."\n' for code in codes)
    (folder / "product_codes_HS22_V202401.csv").write_text("code,description\n" + lines, encoding="utf-8")


def share(text: str) -> float:
    """Read a share from 0 to 1."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError("a share is from 0 to 1")
    return float(text)


def rows(text: str) -> int:
    """Read a count of rows; a world's row and its partner's are two."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError("at least 2 rows")
    return int(text)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write an invented trade file in the true form.")
    kinds = parser.add_subparsers(required=True)
    comtrade = kinds.add_parser("comtrade", help="UN Comtrade v1 'plus', 47 columns")
    comtrade.add_argument("--bad-share", type=share, default=0.0, help="share of rows that are spoilt")
    comtrade.add_argument("--revise-share", type=share, default=0.0, help="share of partners' values that differ")
    comtrade.add_argument("--revise-seed", type=int, default=2)
    comtrade.add_argument("--breakdowns", type=share, default=0.0, help="share of 6-digit rows with parts by transport")
    comtrade.add_argument("--years", default="2014-2023", help="a year, or the first and the last")
    comtrade.set_defaults(write=write_comtrade)
    baci = kinds.add_parser("baci", help="CEPII BACI, one year")
    baci.add_argument("--year", type=int, default=2022)
    baci.add_argument("--codes", help="folder for the country and product tables")
    baci.set_defaults(write=write_baci)
    for kind in (comtrade, baci):
        kind.add_argument("out", help="file to write")
        kind.add_argument("--rows", type=rows, default=1_000_000)
        kind.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = read_arguments()
    arguments.write(arguments)
