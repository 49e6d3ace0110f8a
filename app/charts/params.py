"""What charts take: the filters of the answer they draw, and how they are drawn."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.api.compare import CompareFilters
from app.api.projects import SummaryFilters
from app.charts.look import Theme
from app.flows import FlowFilters
from app.params import DIGITS, NUMBER, NotListed, Params, canonical

Width = Annotated[int, Field(ge=320, le=1600), DIGITS]
Scale = Annotated[float, Field(ge=1, le=3, allow_inf_nan=False), canonical(NUMBER, "a number")]


class Kind(StrEnum):
    """What a chart of trade is drawn as."""

    LINES = "lines"
    BARS = "bars"
    MULTIPLES = "multiples"


class Drawn(Params):
    """How a chart is drawn."""

    theme: Annotated[Theme, NotListed()] = Field(Theme.LIGHT, description="what it is drawn on", examples=["dark"])
    width: Annotated[Width, NotListed()] = Field(720, description="pixels from side to side", examples=[360])


class Scaled(Drawn):
    """How a chart of pixels is drawn."""

    scale: Annotated[Scale, NotListed()] = Field(
        1.0, description="pixels of the image to each of `width`, for dense screens", examples=[2]
    )


class TradeFilters(FlowFilters):
    """What a chart of trade shows."""

    kind: Annotated[Kind, NotListed()] = Field(
        Kind.LINES,
        description="lines: value by period, a line a series; bars: a bar a statement; multiples: a panel a speaker",
        examples=["bars"],
    )


class TradeChart(Drawn, TradeFilters):
    """A chart of trade."""


class TradeImage(Scaled, TradeFilters):
    """A chart of trade in pixels."""


class CompareChart(Drawn, CompareFilters):
    """A chart of every statement of one trade."""


class CompareImage(Scaled, CompareFilters):
    """A chart of every statement of one trade, in pixels."""


class ProjectsChart(Drawn, SummaryFilters):
    """A chart of projects by status."""


class ProjectsImage(Scaled, SummaryFilters):
    """A chart of projects by status, in pixels."""


OF_CHARTS = frozenset({*Scaled.model_fields, "kind"})
"""Parameters that the answer which is drawn does not take, and the release, which it is always asked with."""
