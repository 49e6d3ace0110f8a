"""An application that has one path and no data: what starting costs anyone."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, str]:
    """Answer."""
    return {"hello": "world"}
