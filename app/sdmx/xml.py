"""Pieces of SDMX-ML 2.1 that messages share; every value is escaped, and what XML cannot hold is marked."""

import re
from datetime import UTC
from xml.sax.saxutils import escape, quoteattr

from app.releases import Edition
from app.sdmx.cube import AGENCY, VERSION

SCHEMAS = "http://www.sdmx.org/resources/sdmxml/schemas/v2_1"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def told(text: str) -> str:
    """Give text as XML can hold it: a character it cannot hold becomes U+FFFD."""
    return NO_XML.sub("\ufffd", text)


def word(value: object) -> str:
    """Give a value as an attribute, quoted."""
    return quoteattr(told(str(value)))


def name(text: str, tag: str = "com:Name") -> str:
    """Give a text in English as an element."""
    return f'<{tag} xml:lang="en">{escape(told(text))}</{tag}>'


def prepared(edition: Edition) -> str:
    """Give when a message was made: when its release was published, for it is the same ever after."""
    return edition.published_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def message_id(what: str, edition: Edition) -> str:
    """Give the id of a message: what it is about, and its release."""
    return f"{AGENCY}-{what}-R{edition.number}"


def header(what: str, edition: Edition, structure: str = "") -> str:
    """Give the header of a message, with what says how its data are laid out."""
    source = f"Khorgos, release {edition.number}"
    return (
        f"<mes:Header><mes:ID>{escape(message_id(what, edition))}</mes:ID><mes:Test>false</mes:Test>"
        f"<mes:Prepared>{prepared(edition)}</mes:Prepared><mes:Sender id={word(AGENCY)}/>{structure}"
        f"{name(source, 'mes:Source')}</mes:Header>\n"
    )


def reference(what: str, kind: str, package: str) -> str:
    """Give a reference to a structure of ours."""
    return (
        f"<Ref id={word(what)} version={word(VERSION)} agencyID={word(AGENCY)} package={word(package)} "
        f"class={word(kind)}/>"
    )
