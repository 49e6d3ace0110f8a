"""From a specification to a picture: SVG with its words, or PNG, drawn by a library that asks no other host."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from app.errors import Fault, NotAcceptable, OverLimit

LIBRARY, PACKAGE = "vl_convert", "vl-convert-python"
INSTALL = "pip install 'khorgos[charts]'"
NO_HOST: list[str] = []
PIXELS_MOST = 24_000_000
"""Most pixels of an image: about 100 MB while it is drawn."""
JSON_NAME = "vl.json"
UNFIT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold: the library that draws ends the whole process where it meets one."""


@dataclass(frozen=True)
class Drawing:
    """A way to give a chart."""

    suffix: str
    media_type: str
    write: Callable[[dict[str, Any], float], bytes]
    is_drawn: bool = True  # needs the library


def written_svg(specification: dict[str, Any], _: float) -> bytes:
    """Give the SVG of a specification, with its words for who cannot see it."""
    specification = fit(specification)
    svg = drawn_svg(specification)
    head, inside = svg.split(">", 1)
    title = " ".join(specification["title"]["text"])
    told = f"<title>{escape(title)}</title><desc>{escape(specification['description'])}</desc>"
    return f'{head} role="img" aria-label={quoteattr(title)}>{told}{inside}'.encode()


def written_png(specification: dict[str, Any], scale: float) -> bytes:
    """Give the PNG of a specification. Raises OverLimit where it would have too many pixels."""
    import vl_convert

    specification = fit(specification)
    head = drawn_svg(specification).split(">", 1)[0]
    width, height = (float(head.split(f' {side}="')[1].split('"')[0]) for side in ("width", "height"))
    if width * height * scale**2 > PIXELS_MOST:
        message = f"the image would have more than {PIXELS_MOST:,} pixels: ask for a smaller scale or width, or for svg"
        raise OverLimit.of(Fault("scale", scale, message))
    image: bytes = vl_convert.vegalite_to_png(specification, scale=scale, allowed_base_urls=NO_HOST)
    return image


def written_json(specification: dict[str, Any], _: float) -> bytes:
    """Give the specification itself."""
    return orjson.dumps(specification)


def fit(given: Any) -> Any:
    """Give a specification whose texts have U+FFFD for each character that XML cannot hold."""
    if isinstance(given, str):
        return UNFIT.sub("\ufffd", given)
    if isinstance(given, dict):
        return {fit(name): fit(one) for name, one in given.items()}
    return [fit(one) for one in given] if isinstance(given, list | tuple) else given


def drawn_svg(specification: dict[str, Any]) -> str:
    """Give the SVG as the library draws it."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=NO_HOST)
    return drawn


DRAWINGS = {
    drawing.suffix: drawing
    for drawing in (
        Drawing("svg", "image/svg+xml", written_svg),
        Drawing("png", "image/png", written_png),
        Drawing(JSON_NAME, "application/json", written_json, is_drawn=False),
    )
}


def is_there() -> bool:
    """Whether the library that draws is installed."""
    return find_spec(LIBRARY) is not None


@cache
def drawn_by() -> str:
    """Give the library's version, on which the bytes of a picture depend."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def refuse_undrawn(drawing: Drawing) -> None:
    """Refuse a picture that cannot be drawn here. Raises NotAcceptable with what installs the library."""
    if drawing.is_drawn and not is_there():
        message = f"{drawing.suffix} needs {LIBRARY}, which is not installed here: {INSTALL}"
        raise NotAcceptable.of(Fault("format", drawing.suffix, message, (JSON_NAME,)))
