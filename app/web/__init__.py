"""The explorer: pages for people, rendered from what `/v1` answers to anyone."""

from app.web import compare, docs, figures, home, people, projects, search, trade

VIEWS = (
    *home.VIEWS,
    *docs.VIEWS,
    *trade.VIEWS,
    *compare.VIEWS,
    *projects.VIEWS,
    *people.VIEWS,
    *figures.VIEWS,
    *search.VIEWS,
)
"""Every page."""
