"""Words that pages and charts share: what flows are called in a sentence, short numbers, capitals."""

from app.codes import Flow

FLOW_WORDS = {
    Flow.EXPORT: ("exports", "to"),
    Flow.IMPORT: ("imports", "from"),
    Flow.TOTAL: ("total trade", "with"),
    Flow.RE_EXPORT: ("re-exports", "to"),
    Flow.RE_IMPORT: ("re-imports", "from"),
    Flow.DOMESTIC_EXPORT: ("domestic exports", "to"),
    Flow.FOREIGN_IMPORT: ("foreign imports", "from"),
    Flow.IMPORT_INWARD: ("imports for inward processing", "from"),
    Flow.IMPORT_OUTWARD: ("imports after outward processing", "from"),
    Flow.EXPORT_INWARD: ("exports after inward processing", "to"),
    Flow.EXPORT_OUTWARD: ("exports for outward processing", "to"),
}
"""What a flow is called in a sentence, and the word before the other side."""


def short(value: float) -> str:
    """Give a number with two decimals at most."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def capital(text: str) -> str:
    """Give a text that begins with a capital, the rest as it is."""
    return text[:1].upper() + text[1:]
