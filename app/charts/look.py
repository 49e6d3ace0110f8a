"""How charts look: colours of each theme, shapes, dashes, the font, and text broken into lines of a width."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
TITLE, TEXT, SMALL = 17, 12, 11
"""Sizes of letters in pixels."""
LEADING = 1.35
"""Height of a line in sizes of its letters."""


class Theme(StrEnum):
    """What a chart is drawn on."""

    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True)
class Colours:
    """The colours of a theme."""

    background: str
    text: str
    muted: str  # 4.5 to 1 and more, as text must
    grid: str
    series: tuple[str, ...]  # 3 to 1 and more, and told apart by who is colour-blind: after Okabe and Ito


COLOURS = {
    Theme.LIGHT: Colours(
        "#ffffff", "#1d2326", "#566069", "#e3e6e8", ("#0072b2", "#c65102", "#00855f", "#b0528a", "#8a6d00", "#3a3f44")
    ),
    Theme.DARK: Colours(
        "#161c20", "#e8e6e1", "#a3adb5", "#2d353b", ("#56b4e9", "#f0883e", "#2fc499", "#d88fb8", "#e6c84a", "#c9cdd0")
    ),
}
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3])


@dataclass(frozen=True)
class Pen:
    """How a series is drawn: by colour and by shape, so that neither is needed."""

    colour: str
    shape: str
    dash: list[int]


def pens(theme: Theme, count: int) -> list[Pen]:
    """Give as many pens as there are series; no two are alike."""
    colours = COLOURS[theme].series
    return [
        Pen(colours[n % len(colours)], SHAPES[(n + n // len(colours)) % len(SHAPES)], DASHES[n % len(DASHES)])
        for n in range(count)
    ]


def mixed(colour: str, other: str, share: float) -> str:
    """Give a colour that has a share of one, and of another the rest."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(one * share + two * (1 - share)) for one, two in pairs).hex()


def config(theme: Theme) -> dict[str, Any]:
    """Give what a specification is configured with."""
    colours = COLOURS[theme]
    return {
        "aria": False,  # the picture as a whole has its words
        "font": FONT,
        "view": {"stroke": None},
        "concat": {"spacing": 18},
        "text": {"color": colours.text, "fontSize": TEXT, "font": FONT},
        "title": {
            **{"anchor": "start", "frame": "bounds", "offset": 14, "color": colours.text, "fontSize": TITLE},
            **{"fontWeight": 600, "lineHeight": high(TITLE), "subtitleColor": colours.muted},
            **{"subtitleFontSize": TEXT, "subtitleLineHeight": high(TEXT), "subtitlePadding": 6},
        },
        "axis": {
            **{"labelColor": colours.muted, "labelFontSize": SMALL, "gridColor": colours.grid, "title": None},
            **{"domainColor": colours.muted, "tickColor": colours.muted, "tickSize": 4, "labelPadding": 5},
        },
    }


def high(size: float) -> int:
    """Give the height of a line of letters."""
    return round(size * LEADING)


WIDTHS = {
    **dict.fromkeys("ijl|'", 0.24),
    **dict.fromkeys("tfI.,:;/!()[] ·", 0.3),
    **dict.fromkeys('r-"“”', 0.38),
    **dict.fromkeys("sckvxyzJ", 0.52),
    **dict.fromkeys("mwMW@%—…", 0.95),
    **dict.fromkeys("GOQ&", 0.8),
}
"""How wide letters of the font are, in sizes of them; rather too much than too little."""


def letter(one: str) -> float:
    """Give about how wide a letter is, in sizes of it."""
    if one in WIDTHS:
        return WIDTHS[one]
    if unicodedata.east_asian_width(one) in "WF":
        return 1.0
    return 0.72 if one.isupper() else 0.58


def length(text: str, size: float = TEXT) -> float:
    """Give about how wide a text is, in pixels."""
    return sum(map(letter, text)) * size


def clean(text: str) -> str:
    """Give a text as one line, with spaces for control characters, half characters and breaks."""
    kept = "".join(" " if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") else one for one in text)
    return " ".join(kept.split())


def wrapped(text: str, width: float, size: float = TEXT) -> list[str]:
    """Break a text into lines of a width in pixels: between words, and within one that is longer than a line."""
    lines, line = [], ""
    for word in pieces(clean(text).split(" "), width, size):
        joined = f"{line} {word}" if line else word
        if line and length(joined, size) > width:
            lines.append(line)
            joined = word
        line = joined
    return [*lines, line]


def pieces(words: Iterable[str], width: float, size: float) -> Iterable[str]:
    """Give words, those that are longer than a line in parts: of an address, between its parameters."""
    for word in words:
        part = ""
        for one in word:
            if part and length(part + one, size) > width:
                at = max(map(part.rfind, "&?/,")) + 1 or len(part)
                yield part[:at]
                part = part[at:]
            part += one
        yield part
