"""Products: the tree of the Harmonized System of 2022, from all commodities down to subheadings."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, Connection, or_, select
from starlette.requests import Request
from starlette.responses import Response

from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.errors import Fault, NoSuchRecord
from app.filters import Clause, Where, WhereBy
from app.models import Product, SearchEntry
from app.names import fold, visible
from app.params import ListParams, Many, Name, RecordParams, Sources, Text
from app.query import Resource, Row
from app.releases import Edition
from app.routes import TableRoute
from app.search import matching

router = APIRouter(prefix="/v1", tags=["Products"], route_class=TableRoute)

Products = Annotated[Many[Text], Name("product")]
Sections = Annotated[Many[Text], Name("section")]


LEVELS = (0, 2, 4, 6)
"""Lengths of a product's code; TOTAL has 0."""


def known_level(value: Any) -> Any:
    """Refuse a level that no product has, with those there are."""
    allowed = [str(level) for level in LEVELS]
    if str(value) not in allowed:
        message = "it must be one of {choice}"
        raise PydanticCustomError("code", message, {"choice": ", ".join(allowed), "allowed": allowed})
    return value


Level = Annotated[int, Field(json_schema_extra={"enum": list(LEVELS)}), BeforeValidator(known_level)]


def has_words(text: str, edition: Edition) -> ColumnElement[bool]:
    """Narrow products to those whose descriptions, as of the release, match."""
    found = select(SearchEntry.record_key).where(
        SearchEntry.record == Product.__tablename__, visible(SearchEntry, edition.number), matching(text)
    )
    return Product.code.in_(found)


class ProductParams(ListParams):
    """Filters of products."""

    code: Annotated[Products, Where(Product.code)] = Field((), description="HS codes", examples=[["2709", "2711"]])
    level: Annotated[Many[Level], Where(Product.level)] = Field(
        (), description="digits of the code: 2 chapters, 4 headings, 6 subheadings, 0 all commodities"
    )
    parent: Annotated[Products, Where(Product.parent)] = Field((), description="code one level up, TOTAL of chapters")
    section: Annotated[Sections, Where(Product.section)] = Field((), description="Roman number or name of a section")
    source: Annotated[Sources, Where(Product.source)] = ()
    q: Annotated[Text | None, WhereBy(has_words)] = Field(
        None,
        description='words that all occur; `petrol*` for a beginning, `"crude oil"` for a phrase',
        examples=["petroleum"],
    )


class ProductRow(Row):
    """A chapter, heading or subheading of the Harmonized System 2022."""

    code: str = Field(description="HS code, leading zeros kept; TOTAL is all commodities")
    level: int = Field(description="digits of the code; 0 is TOTAL")
    parent: str | None = Field(description="code one level up; null for TOTAL")
    section: str | None = Field(description="Roman number of the section; null for chapter 99, which is in none")
    section_name: str | None
    description: str
    source: str


class ProductItem(BaseModel):
    """A product in the tree of another."""

    code: str
    description: str


class ProductRecord(ProductRow):
    """A product with its place in the tree."""

    ancestors: list[ProductItem] = Field(description="from its parent up to TOTAL")
    children: list[ProductItem] = Field(description="one level down")


PRODUCTS = Resource("products", ProductRow, Product, (Product.code,), ("code",))
PRODUCT = Resource("products", ProductRecord, Product, (Product.code,), (), extras=frozenset({"ancestors", "children"}))


def tree_of(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give what a product is part of and what is part of it, in one query."""
    code = record["code"]
    above = [] if record["parent"] is None else [code[:4], code[:2], "TOTAL"]
    of_tree = or_(Product.parent == code, Product.code.in_([one for one in above if one != code]))
    query = (
        select(Product.code, Product.description, Product.parent == code)
        .where(of_tree, visible(Product, ask.edition.number))
        .order_by(Product.level.desc(), Product.code)
    )
    found: dict[str, list[dict[str, Any]]] = {"ancestors": [], "children": []}
    for one, description, is_child in connection.execute(query):
        found["children" if is_child else "ancestors"].append({"code": one, "description": description})
    return found


@router.get("/products", operation_id="list_products", **listing(ProductRow))
def list_products(request: Request, params: Annotated[ProductParams, Query()]) -> Response:
    """List products in the order of their codes."""
    return answer(request, params, PRODUCTS)


@router.get("/products/{code}", operation_id="get_product", **single(ProductRecord))
def get_product(
    request: Request,
    code: Annotated[str, Path(description="HS code of 2, 4 or 6 digits, or TOTAL", examples=["2709"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a product with what it is part of and what is part of it."""
    return answer_one(request, params, PRODUCT, lambda ask: coded(ask, code), tree_of)


def coded(ask: Ask, code: str) -> Clause:
    """Find the product of a code. Raises NoSuchRecord with the code that was probably meant."""
    book = ask.edition.names.vocabularies["product"]
    meant = book.meanings.get(fold(code), ())
    if not meant:
        message = f"there is no product {code[:60]!r} in release {ask.edition.number}"
        raise NoSuchRecord.of(Fault("product", code, message, did_you_mean=book.like(code)))
    return Clause.of("product", code, Product.code == meant[0], (Product.code,))
