"""The plain way to serve the same table: FastAPI, the ORM and a response_model, as a tutorial has it.

BENCH_DATABASE_URL=sqlite:///khorgos.db uvicorn orm_app:app --app-dir benchmarks/peers
"""

import os
from collections.abc import Iterator
from datetime import date
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine(os.environ["BENCH_DATABASE_URL"])
sessions = sessionmaker(engine)
app = FastAPI()


class Base(DeclarativeBase):
    """The tables."""


class Flow(Base):
    """The columns of trade_flows."""

    __tablename__ = "trade_flows"

    reporter: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str] = mapped_column(primary_key=True)
    flow: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    classification: Mapped[str] = mapped_column(primary_key=True)
    frequency: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    stated_by: Mapped[str] = mapped_column(primary_key=True)
    breakdown: Mapped[str] = mapped_column(primary_key=True)
    release: Mapped[int] = mapped_column(primary_key=True)
    superseded_by: Mapped[int | None]
    period_start: Mapped[date | None]
    period_end: Mapped[date | None]
    year: Mapped[int | None]
    value_usd: Mapped[int]
    net_weight_kg: Mapped[float | None]
    net_weight_estimated: Mapped[bool | None]
    valuation: Mapped[str]
    obs_status: Mapped[str]
    method: Mapped[str]
    inferred: Mapped[str]
    note: Mapped[str | None]


class FlowRead(BaseModel):
    """A row of the answer."""

    model_config = ConfigDict(from_attributes=True)

    reporter: str
    partner: str
    flow: str
    product: str
    classification: str
    frequency: str
    period: str
    source: str
    stated_by: str
    breakdown: str
    release: int
    period_start: date | None
    period_end: date | None
    year: int | None
    value_usd: int
    net_weight_kg: float | None
    net_weight_estimated: bool | None
    valuation: str
    obs_status: str
    method: str
    inferred: str
    note: str | None


def get_session() -> Iterator[Session]:
    """Give a session for a request."""
    with sessions() as session:
        yield session


@app.get("/flows", response_model=list[FlowRead])
def list_flows(
    session: Annotated[Session, Depends(get_session)],
    reporter: str | None = None,
    partner: str | None = None,
    product: str | None = None,
    year: int | None = None,
    limit: Annotated[int, Query(le=1000)] = 100,
) -> list[Flow]:
    """List current flows."""
    query = select(Flow).where(Flow.superseded_by.is_(None))
    asked = {"reporter": reporter, "partner": partner, "product": product, "year": year}
    for name, value in asked.items():
        if value is not None:
            query = query.where(getattr(Flow, name) == value)
    return list(session.scalars(query.limit(limit)))
