"""Parameter types that requests use again and again, and the parameters that every list and record takes.

A parameter is refused here when its shape is wrong; names of countries, sources and the like are looked up later, in
the release that is asked.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from app import codes
from app.errors import Fault, InvalidValue
from app.nearest import nearest
from app.periods import ACCEPTED, parse_period

T = TypeVar("T")
LIST_MAX = 200
TEXT_MAX = 200
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,9})?", re.ASCII)


def canonical(shape: re.Pattern[str], name: str) -> BeforeValidator:
    """Refuse other spellings of a number, such as 1_000, 1.0 or +1: one value, one spelling, one ETag."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not shape.fullmatch(value):
            raise PydanticCustomError("spelling", "it must be {name}, in digits", {"name": name})
        return value

    return BeforeValidator(check)


def split(value: Any) -> Any:
    """Read a list given as `a,b`, as repeats, or both; in one order, each value once."""
    given = value if isinstance(value, list | tuple) else [value]
    items = [part for item in given for part in (item.split(",") if isinstance(item, str) else [item])]
    if any(isinstance(item, str) and not item.strip() for item in items):
        raise PydanticCustomError("blank", "a value of the list is blank")
    if len(items) > LIST_MAX:
        raise PydanticCustomError(
            "over_limit", "it has {count} values, at most {most} are read", {"count": len(items), "most": LIST_MAX}
        )
    return list(dict.fromkeys(items))


def truth(value: Any) -> Any:
    """Read a truth value; 1, yes and on are other spellings and refused."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise PydanticCustomError("code", "it must be true or false", {"allowed": ["true", "false"]})
    return value == "true"


class CodeOf:
    """Read a code of a closed list in any case, or by another spelling its standard gives it."""

    def __init__(self, members: type[codes.Code]) -> None:
        self.members = members
        self.known = {spelling.casefold(): member for member in members for spelling in (member, *member.spellings)}

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": [str(member) for member in self.members]}

    def read(self, value: Any) -> Any:
        """Give the member, or say which there are."""
        member = self.known.get(str(value).casefold())
        if member is None:
            allowed = [str(one) for one in self.members]
            raise PydanticCustomError(
                "code", "it must be one of {choice}", {"choice": ", ".join(allowed), "allowed": allowed}
            )
        return member


def period_code(value: str) -> str:
    """Give a period's one spelling; that of none stated is `-`."""
    return value if value == codes.NOT_STATED else parse_period(value).code


@dataclass(frozen=True)
class Name:
    """Marks a parameter whose values are names of this vocabulary, looked up in the release that is asked."""

    vocabulary: str


@dataclass(frozen=True)
class NotListed:
    """Marks a parameter that shapes the answer and narrows no rows."""


DIGITS = canonical(INTEGER, "a whole number")

Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1), DIGITS]
Money = Annotated[int, Field(ge=0, le=2**63 - 1), DIGITS]
Year = Annotated[int, Field(ge=1900, le=2100), DIGITS]
TopCount = Annotated[int, Field(ge=1, le=100), DIGITS]
ReleaseNumber = Annotated[int, Field(ge=1, le=2**31 - 1), DIGITS]
PageLimit = Annotated[int, Field(ge=1, le=2**31 - 1, json_schema_extra={"maximum": 1000}), DIGITS]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), canonical(NUMBER, "a number")]
Truth = Annotated[bool, BeforeValidator(truth)]
PeriodCode = Annotated[Text, AfterValidator(period_code), Field(description=f"{ACCEPTED}; `-` is not stated")]
Many = Annotated[tuple[T, ...], BeforeValidator(split), Field(max_length=LIST_MAX)]

Countries = Annotated[Many[Text], Name("country")]
Sources = Annotated[Many[Text], Name("source")]
Speakers = Annotated[Many[Text], Name("speaker")]
Experts = Annotated[Many[Text], Name("expert")]
Organizations = Annotated[Many[Text], Name("organization")]
Topics = Annotated[Many[Text], Name("topic")]
Programmes = Annotated[Many[Text], Name("programme")]
Groups = Annotated[Many[Text], Name("group")]
Regions = Annotated[Many[Text], Name("region")]
Subregions = Annotated[Many[Text], Name("subregion")]
Years = Many[Year]
Periods = Many[PeriodCode]

Flows = Many[Annotated[codes.Flow, CodeOf(codes.Flow)]]
Frequencies = Many[Annotated[codes.Frequency, CodeOf(codes.Frequency)]]
Methods = Many[Annotated[codes.Method, CodeOf(codes.Method)]]
Statuses = Many[Annotated[codes.ProjectStatus, CodeOf(codes.ProjectStatus)]]


class Params(BaseModel):
    """What every answer from data takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    release: Annotated[ReleaseNumber | None, NotListed()] = Field(
        None, description="the state of the data as of this release, for ever the same; else the current one"
    )


class RecordParams(Params):
    """What every single record takes."""

    fields: Annotated[Many[Text], NotListed()] = Field((), description="fields to give; else all")


class TableParams(RecordParams):
    """What every table takes: the format too."""

    format: Annotated[Text | None, NotListed()] = Field(
        None, description="how the table is written; overrules the Accept header"
    )


class Shape(StrEnum):
    """How a list is laid out."""

    LONG = "long"
    ARRAY = "array"


class ListParams(TableParams):
    """What every list takes: a page of it, or in the other formats and as a bare array the whole."""

    sort: Annotated[Many[Text], NotListed()] = Field((), description="fields to sort by, `-` before one for descending")
    limit: Annotated[PageLimit | None, NotListed()] = Field(
        None,
        description="rows of a page: 100 unless told, 1000 at most; without it, formats other than json give every row",
    )
    cursor: Annotated[Annotated[str, Field(min_length=1, max_length=2000)] | None, NotListed()] = Field(
        None, description="where the page before ended, from its `links.next`"
    )
    shape: Annotated[Shape, NotListed()] = Field(
        Shape.LONG, description="array is a bare JSON array without envelope, of every row unless `limit` is given"
    )
    count: Annotated[Truth, NotListed()] = Field(
        False, description="count every row, however many; small totals always are"
    )


def given(params: BaseModel) -> list[str]:
    """Give the parameters that a request has, in the order they are declared."""
    return [name for name in type(params).model_fields if name in params.model_fields_set]


def narrowing(model: type[BaseModel]) -> Iterable[str]:
    """Give the parameters that narrow rows, in the order they are declared."""
    for name, field in model.model_fields.items():
        if not any(isinstance(mark, NotListed) for mark in field.metadata):
            yield name


def refuse_unknown_fields(names: Iterable[str], allowed: tuple[str, ...]) -> None:
    """Refuse fields that a row does not have. Raises InvalidValue with all of them."""
    faults = [
        Fault("fields", name, f"there is no field {name[:60]!r} here", allowed, nearest(name, allowed))
        for name in names
        if name not in allowed
    ]
    if faults:
        raise InvalidValue.of(*faults)


@cache
def vocabulary(model: type[BaseModel], parameter: str) -> str | None:
    """Give the vocabulary whose names a parameter takes, if it takes any."""
    marks = model.model_fields[parameter].metadata
    return next((mark.vocabulary for mark in marks if isinstance(mark, Name)), None)
