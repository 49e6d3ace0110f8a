"""A small application as the stack makes it by itself: what it does with hostile input is what ours must not."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Engine, text


def bare(engine: Engine) -> FastAPI:
    """Give an application over an engine; it writes nothing."""
    made = FastAPI()

    @made.get("/text")
    def by_text(q: str) -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(text("SELECT slug FROM topics WHERE slug = :q"), {"q": q}).scalars())

    @made.get("/number")
    def by_number(n: int) -> Any:
        with engine.connect() as connection:
            return connection.execute(text("SELECT count(*) FROM topics WHERE release = :n"), {"n": n}).scalar()

    @made.get("/echo")
    def echo(x: float) -> JSONResponse:
        return JSONResponse({"x": x})

    @made.get("/words")
    def by_words(q: str) -> list[Any]:
        statement = "SELECT rowid FROM search_index WHERE search_index MATCH :q"
        with engine.connect() as connection:
            return list(connection.execute(text(statement), {"q": q}).scalars())

    @made.get("/list")
    def by_list(slugs: str) -> list[Any]:
        given = slugs.split(",")
        condition = " OR ".join(f"slug = :s{number}" for number in range(len(given)))
        values = {f"s{number}": slug for number, slug in enumerate(given)}
        with engine.connect() as connection:
            return list(connection.execute(text(f"SELECT slug FROM topics WHERE {condition}"), values).scalars())

    return made
